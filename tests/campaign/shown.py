"""What is wrong with texts that are shown: on a page, in a browser, in LaTeX, in Markdown, in a terminal."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from tests.browsing import BROWSER, injected, opened
from tests.campaign.children import Ended
from tests.campaign.tally import Tally

LATEX = shutil.which("xelatex") or shutil.which("pdflatex")
LINKS = ("href", "src", "action", "formaction", "xlink:href")
HARMLESS = {
    "text",
    "softbreak",
    "hardbreak",
    "strong_open",
    "strong_close",
    "em_open",
    "em_close",
    "code_inline",
    "text_special",
}
PAPER = r"""\documentclass{article}\usepackage{booktabs}\usepackage{graphicx}\usepackage[T1]{fontenc}
\usepackage{textcomp}
\begin{document}\input{table}\end{document}
"""


def in_terminal(ended: Ended) -> str:
    """Signs that move or colour a terminal, in what a command printed to a file."""
    text = ended.out + ended.err
    bad = {sign for sign in text if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t"}
    bad |= set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")
    return f"prints control characters {sorted(bad)[:4]!r}" if bad else ""


class _Seen(HTMLParser):
    """Elements and attributes that no page of ours has."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("iframe", "b", "object", "embed", "base", "link", "form"):
            self.bad.append(f"<{tag}>")
        for name, value in attrs:
            runs = name in LINKS and re.match(r"\s*(javascript|data|vbscript):", value or "", re.IGNORECASE)
            if name.startswith("on") or runs:
                self.bad.append(f"<{tag} {name}>")


def on_page(folder: Path, place: Path, chromium: Any, page: str = "index.html") -> str:
    """The first thing wrong with the files of a page."""
    for path in sorted(folder.glob("*")):
        if path.suffix == ".html" and path.name == page:
            text = path.read_text(encoding="utf-8")
            seen = _Seen()
            seen.feed(text)
            if seen.bad or "<script>window.ran" in text:
                return f"{path.name} has {seen.bad[:3] or 'a script of a text'}"
            if chromium is not None:
                with opened(chromium, path) as shown:
                    if found := injected(shown):
                        return f"in a browser {path.name} has {found[:2]}"
        if path.suffix == ".tex" and (problem := _latex(path, place)):
            return f"{path.name} {problem}"
        if path.suffix == ".md" and (problem := _markdown(path)):
            return f"{path.name} {problem}"
        if path.suffix == ".csv":
            lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
            if any(unicodedata.category(sign) == "Cc" for line in lines for cell in line for sign in cell):
                return f"{path.name} holds control characters"
    return ""


def _latex(path: Path, place: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t" for sign in text):
        return "holds control characters"
    if found := re.findall(r"\\(?:input|write|include|openout|def|csname)(?![a-z])", text):
        return f"has the command {found[0]}"
    plain = re.sub(r"\\[\\{}%&#$_]", "", text)
    if plain.count("{") != plain.count("}"):
        return "has braces that do not match"
    if LATEX is None:
        return ""
    folder = place / "tex"
    folder.mkdir(exist_ok=True)
    (folder / "table.tex").write_text(text, encoding="utf-8")
    (folder / "paper.tex").write_text(PAPER, encoding="utf-8")
    words = [LATEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False, timeout=120)
    errors = [line for line in done.stdout.decode(errors="replace").splitlines() if line.startswith("!")]
    return f"does not compile: {errors[:1]}" if done.returncode else ""


def _markdown(path: Path) -> str:
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(path.read_text(encoding="utf-8")):
        if token.type == "html_block":
            return f"has HTML: {token.content[:60]!r}"
        bad = [child for child in token.children or () if child.type not in HARMLESS]
        if bad:
            return f"has {bad[0].type}: {token.content[:60]!r}"
    return ""


@contextmanager
def browser(tally: Tally) -> Iterator[Any]:
    """Chromium, None where it is not there."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if LATEX is None:
        tally.notes.append("no LaTeX: tables were read, not compiled")
    if BROWSER is None or sync_playwright is None:
        tally.notes.append("no browser: pages were read by a parser of HTML")
        yield None
        return
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()
