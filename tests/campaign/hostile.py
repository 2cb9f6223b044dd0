"""Hostile texts, names and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PIECES = (
    "<script>window.ran = 1</script>", "<img src=x onerror='window.ran = 1'>", "</script><b>x</b>", "<!--", "-->",
    "]]>", "<svg/onload=alert(1)>", "</td></tr></table><iframe src=//x>", "&lt;b&gt;", "&#60;", "javascript:alert(1)",
    "\" onmouseover=\"window.ran=1", "{{7*7}}", "{% x %}", "${HOME}", "\\input{/etc/passwd}", "\\write18{id}",
    "^^5cend", "$$ \\begin{x} \\\\", "% & # _ ~ ^ { }", "\\end{table}", "\\\\", "\\%", "# heading", "| a | b |",
    "|---|", "[link](http://x)", "![i](x)", "`code`", "```", "***", "> quote", "---", "1. list", "<http://x>", "\\|",
    "[bold red]x[/bold red]", "[/]", "[link=http://x]x[/link]", "[", "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://x\x07x\x1b]8;;\x07", "\x1b[2J", "\x9b31m", "\b\b\b", "\x07", "\u202eevil\u202c", "\u2066x",
    "\u200f", "\u200b", "\ufeff", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\r", "\n", "\t", "\x00", "\x7f",
    "\ufffe", "\U0010ffff", "\ud800", "\udfff", "e" + "\u0301" * 60, "👩‍👩‍👧‍👦", "Ж", "日本語", "עברית", "العربية", "ﷺ",
    "ß", "İ", "ǅ", "½", "²", "٣", "=1+1", "@SUM(A1)", "-2", "+3", "'", '"', "''", '""', "\\", "/", "..", "../../x",
    "NaN", "null", "None", "inf", "-0", "1e999", "%s %d %(x)s", "{0} {} {x}", "a" * 5000, " ", "", "[SEP]",
    "[CLS] [MASK] [PAD]", "[UNK]", "<unk>", " // ", " / ",
)  # fmt: skip
"""Pieces of hostile texts: markup, commands, control characters, scripts, numbers that are none."""
NAMES = (
    "", " ", ".", "..", "../escape", "../../escape", "/tmp/escape", "a/b", "a\\b", "a/../b", "~", "~root", "-n",
    "--help", "--name", "-", "a b", "Anna's data", 'say "x"', "$HOME", "$(touch escape)", "`touch escape`",
    "; touch escape", "a\nb", "a\tb", "a\rb", "a\x1b[31mb", "a\x00b", "*", "?", "[a]", "{}", "{a}", "%41", "%s",
    "a%20b", "a#b", "a?b=c", "what?100%#1", "é", "日本", "\u202egnp", "a" * 300, "é" * 120, ".hidden", "experiments",
    "con", "x.lock", "x.jsonl", "ledger.jsonl", "tiny/../tiny", "tiny/", "./tiny", "tiny.", "TINY", "\ud800", "[bold]",
    "<b>", "null", "1", "true", "[1, 2]", "{a: 1}", "!!python/object:x", "&a *a", "x: y", "@x", "${x}", "sqlite:///x",
)  # fmt: skip
"""Names for a sweep, a run, a data set, a file."""
FOLDERS = (
    "a{}b", "a{x}b", "a%41b", "what?100%#1", "a%20b", "a b", "a#b", "a'b", 'a"b', "a$b", "a;b", "é日本", "a&b", "[a]",
    "a*b", "-a", "a\\b", "~a", "a\nb", "@a", "a:b", "a=b", "x" * 200,
)  # fmt: skip
"""Names that a folder may have: everything must work in it."""
VALUES = (
    "'; touch CANARY; '", '"; touch CANARY; "', "$(touch CANARY)", "$$(touch CANARY)", "`touch CANARY`",
    "$(shell touch CANARY)", "$(error x)", "${shell touch CANARY}", "; touch CANARY", "& touch CANARY &",
    "| touch CANARY", "&& touch CANARY", "|| touch CANARY", "> CANARY", "\ntouch CANARY\n", "x\n\ttouch CANARY", "# x",
    "\\", "\\'; touch CANARY; \\'", "Anna's data", 'say "x"', "cost$5.tsv", "cost$$5.tsv", "a  b", " a ", "*", "~",
    "-n", "--help", "%", "a,b", "a=b", "é日本", "!x", "$HOME", "{a,b}", "<x", "(x)", "a:b", "x" * 500,
)  # fmt: skip
"""Values of variables of make; CANARY is a file that only a command makes."""
VARIABLES: Mapping[str, Sequence[str]] = {
    "sweep": (
        "TASK",
        "SCALE",
        "TRIALS",
        "SEED",
        "WORKERS",
        "ENGINE",
        "STORAGE",
        "CORPUS",
        "TRAIN",
        "DEV",
        "TEST",
        "NAME",
        "DATASET",
        "VERBOSE",
    ),
    "status": ("TASK", "SCALE", "SEED", "NAME", "STORAGE"),
    "report": ("TASK", "SCALE", "SEED", "NAME"),
    "smoke": ("VERBOSE",),
    "experiment": ("NAME", "SEED", "CORPUS", "TRAIN", "VERBOSE"),
    "matrix": ("SCALE", "CORPUS", "TRAIN", "VERBOSE"),
    "claims": ("SCALE", "SPLIT", "CORPUS", "TRAIN", "VERBOSE"),
    "paper": ("SCALE",),
    "plan": ("EXPERIMENT",),
    "fetch": ("SCALE",),
    "ask": ("Q", "EXPERIMENT"),
    "mlflow-ui": ("PORT",),
    "optuna-ui": ("PORT", "NAME", "TASK", "SEED", "STORAGE"),
    "clean-runs": ("CONFIRM",),
}
"""Target of make -> its variables."""
