"""Tables, and their Markdown and CSV with the escaping of each format; LaTeX and HTML are in files of their own."""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rag_lightning.core.plain import LONGEST, clean, shorten
from rag_lightning.metrics.metric import Estimate
from rag_lightning.metrics.statistics import FEW_CLUSTERS

NOTHING = "\N{EN DASH}"
APPROXIMATE = "\N{DAGGER}"
"""Mark of an interval that is only approximate."""
APPROXIMATE_NOTE = f"{APPROXIMATE} approximate: the interval rests on fewer than {FEW_CLUSTERS} effective clusters."
SUPERSCRIPTS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖᵠʳˢᵗᵘᵛʷˣʸᶻ")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]|#~$!])")
_FORMULA = ("=", "+", "-", "@")
Tone = Literal["", "good", "bad", "quiet", "missing"]
"""Tone of a cell: reproduced, different, not comparable, not run."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Args:
        text: As it is shown.
        value: As CSV has it and tables sort by it.
        low: Lower bound of its 95 % interval.
        high: Upper bound of its 95 % interval.
        digits: Digits of the interval.
        approximate: Whether the interval is only approximate.
        marks: Letters above the line.
        hint: Text shown when the pointer or the keyboard is on it.
        tone: Tone of its colour; the text says the same.
        best: Whether it is the best of its column, and so bold.
        below: A second, smaller line, which LaTeX and CSV leave out.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    digits: int = 1
    approximate: bool = False
    marks: str = ""
    hint: str = ""
    tone: Tone = ""
    best: bool = False
    below: str = ""

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
    """One row of cells in the order of the columns; `strong` rows are emphasised, `hint` is that of all its cells."""

    cells: tuple[Cell, ...]
    strong: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Args:
        title: Title.
        columns: Columns.
        rows: Rows with a cell per column.
        notes: Sentences below it.
        name: Name of its CSV file and LaTeX label; none without a name.
        lead: The sentence between title and table that says what it shows.
        folded: Whether a page shows it only on demand.
        ordered: Whether its rows belong in their order, so that a page does not sort or filter them.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())
    name: str = ""
    lead: str = ""
    folded: bool = False
    ordered: bool = False

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, 1):
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.title}: row {number} has {len(row.cells)} cells for {len(self.columns)} heads")

    def view(self, title: str, heads: Sequence[str], notes: Sequence[str] = (), lead: str = "") -> Table:
        """A table of some of the columns, in the order of the heads; a head that is not there is left out."""
        places = [place for head in heads for place, column in enumerate(self.columns) if column.head == head]
        places = [place for place in places if any(row.cells[place].text not in ("", NOTHING) for row in self.rows)]
        rows = tuple(replace(row, cells=tuple(row.cells[place] for place in places)) for row in self.rows)
        columns = tuple(replace(self.columns[place], shown=True) for place in places)
        return Table(title, columns, rows, tuple(notes), lead=lead)

    def visible(self) -> Table:
        """The table without its CSV-only columns, all long texts cut, with a note if an interval is approximate."""
        places = [place for place, column in enumerate(self.columns) if column.shown]
        rows = tuple(replace(row, cells=tuple(_cut(row.cells[place]) for place in places)) for row in self.rows)
        columns = tuple(replace(self.columns[place], head=shorten(self.columns[place].head)) for place in places)
        marked = any(cell.approximate and cell.interval for row in rows for cell in row.cells)
        notes = (*map(shorten, self.notes), *((APPROXIMATE_NOTE,) if marked else ()))
        lead, name = shorten(self.lead), self.name[:LONGEST]
        return replace(self, title=shorten(self.title), columns=columns, rows=rows, notes=notes, name=name, lead=lead)


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


def to_markdown(tables: Iterable[Table]) -> str:
    """Titled pipe tables with their notes."""
    return "\n".join(_markdown(table.visible()) for table in tables)


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


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, also inside a pipe table."""
    return html.escape(_MARKDOWN.sub(r"\\\1", clean(text)), quote=False)


def _cut(cell: Cell) -> Cell:
    return cell if len(cell.text) <= LONGEST else replace(cell, text=shorten(cell.text))


def _markdown(table: Table) -> str:
    lines = [f"## {escape_markdown(table.title)}", ""]
    lines += [escape_markdown(table.lead), ""] if table.lead else []
    lines.append(_piped(escape_markdown(column.head) for column in table.columns))
    lines.append(_piped("---:" if column.numeric else ":---" for column in table.columns))
    lines += [_piped(_markdown_cell(cell, row.strong) for cell in row.cells) for row in table.rows]
    notes = [f"- {escape_markdown(note)}" for note in table.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes, ""])


def _markdown_cell(cell: Cell, strong: bool) -> str:
    text = f"{escape_markdown(cell.text)}{cell.marks.translate(SUPERSCRIPTS)} {cell.interval}".strip()
    text = f"**{text}**" if (strong or cell.best) and text else text
    return f"{text} ({escape_markdown(cell.below)})" if cell.below else text


def _piped(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


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
