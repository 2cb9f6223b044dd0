"""Tables as sections of a page; every text is escaped, so the result goes into the page as it is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rag_lightning.core.plain import clean, shorten
from rag_lightning.report.tables import Cell, Column, Row, Table

FILTERED = 8
"""Rows from which a page offers to filter a table."""
TALL = 16
"""Rows from which a table scrolls in a box of its own."""
SHORT, LONG = 24, 100
"""Characters up to which a text stays on one line, and from which it gets a wide column."""
HINT = 4000
"""Longest hint of a row or cell, in characters."""


def to_html(table: Table, anchor: str = "") -> str:
    """A `<section>` with the title, the sentence on it, the table and its notes."""
    table = table.visible()
    heads = "".join(f'<th scope="col"{_class(column)}>{_html(column.head)}</th>' for column in table.columns)
    marks = [max((len(row.cells[i].marks) for row in table.rows), default=0) for i in range(len(table.columns))]
    body = "\n".join(_row(row, table.columns, marks) for row in table.rows)
    notes = "".join(f"<li>{_html(note)}</li>" for note in table.notes)
    long = ' data-filter="yes"' if len(table.rows) >= FILTERED and not table.ordered else ""
    long += ' data-ordered="yes"' if table.ordered else ""
    tall = " tall" if len(table.rows) >= TALL else ""
    inner = (
        (f'<p class="lead">{_html(table.lead)}</p>\n' if table.lead else "")
        + f'<div class="scroll{tall}" role="region" tabindex="0" aria-label="{_html(table.title)}"><table{long}>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
        + (f'<ul class="notes">{notes}</ul>\n' if notes else "")
    )
    title, place = _html(table.title), f' id="{_html(anchor)}"' if anchor else ""
    if table.folded:
        return f"<section{place}><details>\n<summary><h2>{title}</h2></summary>\n{inner}</details></section>"
    return f"<section{place}>\n<h2>{title}</h2>\n{inner}</section>"


def _html(text: str) -> str:
    return escape(clean(text))


def _class(column: Column) -> str:
    return ' class="num"' if column.numeric else ""


def _row(row: Row, columns: Sequence[Column], marks: Sequence[int]) -> str:
    cells = [_cell(*given, first=not at) for at, given in enumerate(zip(row.cells, columns, marks, strict=True))]
    name = ' class="strong"' if row.strong else ""
    return f"<tr{name}{_hint(row.hint)}>{''.join(cells)}</tr>"


def _hint(text: str) -> str:
    """The attribute that the page's script shows; lines stay lines."""
    if not text:
        return ""
    lines = "&#10;".join(_html(shorten(line)) for line in text[:HINT].splitlines())
    return f' tabindex="0" data-hint="{lines}"'


def _width(length: int) -> str:
    return "short" if length <= SHORT else "words" if length <= LONG else "long"


def _cell(cell: Cell, column: Column, marks: int, *, first: bool) -> str:
    """One cell; letters stand in a box as wide as the most letters of the column, so that digits stay aligned."""
    style = f"--share:{min(max(cell.value, 0.0), 100.0):.1f}%" if column.bar and cell.value is not None else ""
    names = (
        "num" if column.numeric else _width(max(len(cell.text), len(cell.below) * 2 // 3)),
        "bar" if style else "",
        cell.tone,
        "best" if cell.best else "",
    )
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in (
            ("class", " ".join(filter(None, names))),
            ("style", style),
            ("data-value", f"{cell.value:.10g}" if cell.value is not None else ""),
        )
        if value
    )
    box = f'<sup style="min-width:{0.6 * marks:.1f}em">{_html(cell.marks)}</sup>' if marks and column.numeric else ""
    interval = f" <small>{_html(cell.interval)}</small>" if cell.interval else ""
    below = f"<br><small>{_html(cell.below)}</small>" if cell.below else ""
    inner = f"{_html(cell.text)}{box}{interval}{below}"
    if first and not column.numeric:
        return f'<th scope="row"{attributes}{_hint(cell.hint)}>{inner}</th>'
    return f"<td{attributes}{_hint(cell.hint)}>{inner}</td>"
