"""Tables, rendered to Markdown, LaTeX, CSV and HTML with the escaping of each format."""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from rag_lightning.metrics.metric import Estimate
from rag_lightning.metrics.statistics import FEW_CLUSTERS

NOTHING = "\N{EN DASH}"
APPROXIMATE = "\N{DAGGER}"
"""Mark of an interval that is only approximate."""
APPROXIMATE_NOTE = f"{APPROXIMATE} approximate: the interval rests on fewer than {FEW_CLUSTERS} effective clusters."
_MARKDOWN = re.compile(r"([\\`*_{}\[\]|#~$!])")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORMULA = ("=", "+", "-", "@")
_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "·": r"$\cdot$",
    "\N{EN DASH}": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\N{MINUS SIGN}": "$-$",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "✓": r"$\surd$",
    APPROXIMATE: r"\dag{}",
} | {sign: f"\\{sign}" for sign in "{}$&#%_"}
_LATEX_HEAD = r"""% Needs \usepackage{booktabs}, \usepackage{graphicx}, \usepackage[T1]{fontenc}, \usepackage{textcomp};
% names in other scripts need XeLaTeX or LuaLaTeX.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: `text` is shown, `value` goes to CSV, low and high are its 95 % interval, which may be approximate."""

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    digits: int = 1
    approximate: bool = False

    @property
    def interval(self) -> str:
        """`[47.0, 55.3]`, marked if it is approximate, or "" without an interval."""
        if self.low is None or self.high is None:
            return ""
        mark = APPROXIMATE if self.approximate else ""
        return f"[{self.low:.{self.digits}f}, {self.high:.{self.digits}f}]{mark}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `numeric` is right-aligned, `bar` draws values (0 to 100) as bars, not `shown` is CSV only."""

    head: str
    numeric: bool = True
    bar: bool = False
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One row of cells in the order of the columns; `strong` rows are emphasised."""

    cells: tuple[Cell, ...]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title and notes below it; a table with a name gets a CSV file of that name."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())
    name: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, 1):
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.title}: row {number} has {len(row.cells)} cells for {len(self.columns)} heads")


def number(value: float | None, digits: int = 1) -> Cell:
    """A number without an interval, a dash for None."""
    return Cell(NOTHING) if value is None else Cell(f"{value:,.{digits}f}", value, digits=digits)


def estimated(estimate: Estimate | None, degraded: bool = False) -> Cell:
    """An estimate with its interval if it has one, a dash for None; a note below the table says why it is degraded."""
    if estimate is None:
        return Cell(NOTHING)
    digits = 1 if estimate.unit == "%" else 3
    text = f"{estimate.mean:.{digits}f}" + (" (degraded)" if degraded else "")
    return Cell(text, estimate.mean, estimate.low, estimate.high, digits, estimate.approximate)


def clean(text: str) -> str:
    """Text on one line without control characters, direction marks and surrogates."""
    kept = (sign if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cs") else "" for sign in text)
    return " ".join("".join(sign for sign in kept if sign not in _BIDI).split())


def to_markdown(tables: Iterable[Table]) -> str:
    """Titled pipe tables with their notes."""
    return "\n".join(_markdown(_shown(table)) for table in tables)


def to_latex(tables: Iterable[Table]) -> str:
    """`table` environments with booktabs rules."""
    return _LATEX_HEAD + "\n".join(_latex(_shown(table)) for table in tables)


def to_csv(table: Table) -> str:
    """One table; a column with intervals becomes three, and text that a spreadsheet would run gets a quote before."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    wide = [any(row.cells[i].interval for row in table.rows) for i in range(len(table.columns))]
    heads = [_safe(column.head) for column in table.columns]
    writer.writerow(name for head, three in zip(heads, wide, strict=True) for name in _names(head, three))
    for row in table.rows:
        writer.writerow(text for cell, three in zip(row.cells, wide, strict=True) for text in _values(cell, three))
    return out.getvalue()


def to_html(table: Table) -> str:
    """A `<section>` with the title, the table and its notes; safe to put into a page as it is."""
    table = _shown(table)
    heads = "".join(f'<th scope="col"{_class(column)}>{_html(column.head)}</th>' for column in table.columns)
    body = "\n".join(_html_row(row, table.columns) for row in table.rows)
    notes = "".join(f"<li>{_html(note)}</li>" for note in table.notes)
    return (
        f"<section>\n<h2>{_html(table.title)}</h2>\n"
        f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n'
        + (f'<ul class="notes">{notes}</ul>\n' if notes else "")
        + "</section>"
    )


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, also inside a pipe table."""
    return html.escape(_MARKDOWN.sub(r"\\\1", clean(text)), quote=False)


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(sign, sign) for sign in clean(text))


def _shown(table: Table) -> Table:
    """The table without its CSV-only columns, with a note if an interval is approximate."""
    places = [place for place, column in enumerate(table.columns) if column.shown]
    rows = tuple(replace(row, cells=tuple(row.cells[place] for place in places)) for row in table.rows)
    marked = any(cell.approximate and cell.interval for row in rows for cell in row.cells)
    notes = (*table.notes, APPROXIMATE_NOTE) if marked else table.notes
    return replace(table, columns=tuple(table.columns[place] for place in places), rows=rows, notes=notes)


def _markdown(table: Table) -> str:
    lines = [f"## {escape_markdown(table.title)}", ""]
    lines.append(_piped(escape_markdown(column.head) for column in table.columns))
    lines.append(_piped("---:" if column.numeric else ":---" for column in table.columns))
    for row in table.rows:
        texts = [" ".join(filter(None, (escape_markdown(cell.text), cell.interval))) for cell in row.cells]
        lines.append(_piped(f"**{text}**" if row.strong and text else text for text in texts))
    notes = [f"- {escape_markdown(note)}" for note in table.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes, ""])


def _piped(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _latex(table: Table) -> str:
    layout = "".join("r" if column.numeric else "l" for column in table.columns)
    heads = " & ".join(escape_latex(column.head) for column in table.columns)
    rows = [" & ".join(_latex_cell(cell, row.strong) for cell in row.cells) + r" \\" for row in table.rows]
    notes = [rf"\par\footnotesize {escape_latex(note)}" for note in table.notes]
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{escape_latex(table.title)}}}"]
    lines += [r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{{layout}}}", r"\toprule", heads + r" \\"]
    lines += [r"\midrule", *rows, r"\bottomrule", r"\end{tabular}}", *notes, r"\end{table}", ""]
    return "\n".join(lines)


def _latex_cell(cell: Cell, strong: bool) -> str:
    text = escape_latex(cell.text)
    text = rf"\textbf{{{text}}}" if strong and text else text
    return rf"{text} {{\scriptsize {escape_latex(cell.interval)}}}" if cell.interval else text


def _names(head: str, three: bool) -> Sequence[str]:
    return (head, f"{head} low", f"{head} high") if three else (head,)


def _values(cell: Cell, three: bool) -> Sequence[str]:
    text = _safe(cell.text if cell.text != NOTHING else "") if cell.value is None else f"{cell.value:.6g}"
    bounds = ["" if bound is None else f"{bound:.6g}" for bound in (cell.low, cell.high)]
    return [text, *bounds] if three else [text]


def _safe(text: str) -> str:
    text = clean(text)
    # Spreadsheets read the full-width forms of the signs too.
    return f"'{text}" if unicodedata.normalize("NFKC", text[:1]).startswith(_FORMULA) else text


def _html(text: str) -> str:
    return html.escape(clean(text))


def _class(column: Column) -> str:
    return ' class="num"' if column.numeric else ""


def _html_row(row: Row, columns: Sequence[Column]) -> str:
    cells = "".join(_html_cell(cell, column) for cell, column in zip(row.cells, columns, strict=True))
    return f'<tr class="strong">{cells}</tr>' if row.strong else f"<tr>{cells}</tr>"


def _html_cell(cell: Cell, column: Column) -> str:
    bar = ""
    if column.bar and cell.value is not None:
        bar = f' style="--share:{min(max(cell.value, 0.0), 100.0):.1f}%"'
    name = " ".join(filter(None, ("num" if column.numeric else "", "bar" if bar else "")))
    interval = f" <small>{_html(cell.interval)}</small>" if cell.interval else ""
    return f"<td{f' class={chr(34)}{name}{chr(34)}' if name else ''}{bar}>{_html(cell.text)}{interval}</td>"
