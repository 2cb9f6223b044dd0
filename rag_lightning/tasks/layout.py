"""A layout is one file format: how a file of it is recognised, and how it is read.

A file is recognised by the names and types of the fields of its first rows, however it stores them (`core/rows.py`): a
layout of rows is read from JSON lines as from a JSON list or parquet. Text without a header is known by its cells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, read_head, read_lines
from rag_lightning.core.rows import SIZE, Shape, find_shape, read_rows
from rag_lightning.core.separated import csv_cells, find_quotes, unquote
from rag_lightning.tasks.examples import Row

ParseRow = Callable[[Path, int, Mapping[str, Any]], Row]
"""(file, row from 1, fields) -> an example, or why there is none; raises DataError."""
Types = type | tuple[type, ...]
Fit = tuple[int, int, bool]
"""How many of the first rows have the names and types of a layout, how many its names, and whether the first fits."""
NO_FIT: Fit = (0, 0, False)
SAMPLE = 20
"""Rows by which a file is recognised."""
NO_ROWS: Sequence[Shape] = ("JSON document", "topics")
TEXT: Sequence[Shape] = ("tab-separated text", "comma-separated text")
QRELS = "give those with a header query-id, corpus-id, score beside their queries, as BEIR's folders have them"
_KEY = re.compile(r'"(\w+)"\s*:')
_AS_ALL = "as is all else that tells"
_SHOWN, _LISTED = 8, 4


@dataclass(frozen=True)
class Layout:
    """One file format.

    Args:
        name: Source and format: "FEVER".
        shape: `rows` for named values, however they are stored; or how a file of it is stored.
        read: File -> rows; raises DataError.
        needs: Names of the fields that its rows have, with their types in JSON and tables; `object` for any.
        cells: Numbers of cells that a row of text without a header may have, () for any.
        like: Whether the cells of such a row are of this format.
        parse: Reads one row; None where a row alone is no example.
    """

    name: str
    shape: Shape | Literal["rows"]
    read: Callable[[Path], Iterator[Row]]
    needs: Mapping[str, Types] = field(default_factory=dict)
    cells: tuple[int, ...] = ()
    like: Callable[[Sequence[str]], bool] = bool
    parse: ParseRow | None = None

    def fit(self, head: Head) -> Fit:
        """How well the first rows fit; NO_FIT for another shape."""
        if self.shape != "rows":
            if head.shape != self.shape or not self.needs.keys() <= head.keys:
                return NO_FIT
            likes = [not self.cells or (len(row) in self.cells and self.like(row)) for row in head.cells or [()]]
            return sum(likes), sum(likes), likes[0]
        if head.shape in NO_ROWS:
            return NO_FIT
        if not head.rows:
            found = self.needs.keys() <= head.keys
            return int(found), int(found), found
        named = [self.needs.keys() <= row.keys() for row in head.rows]
        if head.shape in TEXT:  # a cell can be a list that is written out, not an object
            return 0 if dict in self.needs.values() else sum(named), sum(named), named[0]
        typed = [self.has_types(row) for row in head.rows]
        return sum(typed), sum(named), typed[0]

    def has_types(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has the names and types."""
        return all(name in row and isinstance(row[name], types) for name, types in self.needs.items())

    def __str__(self) -> str:
        cells = f"{' or '.join(map(str, self.cells))} columns" if self.cells else ""
        what = ", ".join(self.needs) or cells
        return f"{self.name} ({what})" if what else self.name


def rows(name: str, needs: Mapping[str, Types], parse: ParseRow) -> Layout:
    """A layout of rows of named values, each an example.

    Args:
        name: Source and format.
        needs: Names and types of the fields that tell it; a layout that needs more goes before one that needs fewer.
        parse: Reads one row.
    """

    def read(path: Path) -> Iterator[Row]:
        for row, values in read_rows(path):
            if not isinstance(values, dict):
                raise DataError(path, f"is not an object with {' and '.join(needs) or 'fields'}", row=row, value=values)
            if missing := [need for need in needs if need not in values]:
                problem = f"is missing, {_AS_ALL if len(missing) == len(needs) else 'which tells'} {name}"
                hint = "one file holds one format" if row > 1 else "`rag-lightning doctor --data` tells the format"
                raise DataError(path, problem, row=row, field=missing[0], value=sorted(values), hint=hint)
            yield parse(path, row, values)

    return Layout(name, "rows", read, needs, parse=parse)


def find_layout(path: Path, layouts: Sequence[Layout]) -> Layout:
    """The first layout that more than half of the first rows fit, or else the one that most fit.

    Where none fits and only one has the shape, or the file has its first field, it is that one, to say what is wrong.

    Raises:
        DataError: missing, empty, damaged, or none of them.
    """
    head = look_at_head(path)
    fits = [(layout, layout.fit(head)) for layout in layouts]
    most = max(len(head.rows), len(head.cells), 1) / 2
    if common := next((layout for layout, fit in fits if fit[0] > most), None):
        return common
    best, fit = max(fits, key=lambda pair: pair[1])
    if fit != NO_FIT:
        return best
    if head.judgements:
        raise DataError(path, f"is {head}", hint=QRELS)
    same = [layout for layout in layouts if layout.shape == head.shape]
    same = [layout for layout in same if head.cells and len(head.cells[0]) in layout.cells] or same
    if not same and head.shape not in NO_ROWS:
        same = [layout for layout in layouts if layout.shape == "rows"]
    near = [layout for layout in same if {*list(layout.needs)[:1]} & head.keys]
    if len(same) == 1 or near:
        return (near or same)[0]
    more = f"{len(layouts) - _LISTED} more; `rag-lightning doctor --data` tells which task reads it"
    listed = [*map(str, layouts[:_LISTED]), *([more] if len(layouts) > _LISTED else [])]
    header = " under a header that names the columns" if head.shape == "comma-separated text" else ""
    raise DataError(path, f"is {head}", row=1, hint=f"expected {'; '.join(listed)}{header}")


@dataclass(frozen=True)
class Head:
    """The beginning of a file.

    Args:
        shape: How rows are stored. JSON columns: `{"query": {"0": …, "1": …}, …}`; a JSON document nests its rows.
        keys: Names of the fields of the first row, of a document's keys, or of the columns of the header.
        rows: The first rows of named values; of text as if its first row were a header.
        cells: The first rows of text, as cells.
        note: How double quotes are read where not as csv reads them.
    """

    shape: Shape
    keys: frozenset[str]
    rows: tuple[Mapping[str, Any], ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()
    note: str = ""

    @property
    def judgements(self) -> bool:
        """Whether it holds qrels: (query, passage, number) under a header, or TREC's (query, 0, passage, number)."""
        words = [" ".join(row).split() for row in self.cells[1:] or self.cells]
        return bool(words) and all(
            (len(row) == 3 or (len(row) == 4 and row[1] in ("0", "Q0"))) and row[-1].lstrip("-").isdigit()
            for row in words
        )

    def __str__(self) -> str:
        if self.judgements:
            return "judgements of passages (qrels)"
        if self.cells:
            return f"{self.shape} of {len(self.cells[0])} columns"
        names = sorted(self.keys)
        shown = f"{', '.join(names[:_SHOWN]) or 'no fields'}{', …' if len(names) > _SHOWN else ''}"
        return self.shape if self.shape == "topics" else f"{self.shape} with {shown}"


def look_at_head(path: Path) -> Head:
    """Read the shape, the field names and the first rows of a file or folder.

    Raises:
        DataError: missing, empty, damaged, or not UTF-8.
    """
    shape = find_shape(path)
    if shape in TEXT:
        return _text(path, shape)
    if shape in (*NO_ROWS, "JSON columns"):
        text = read_head(path, SIZE)
        if shape != "JSON columns" or len(text.encode()) > SIZE - 4:
            return Head(shape, _keys(text))
    with closing(read_rows(path, shape)) as found:  # type: ignore[type-var]
        first = [values for _, values in islice(found, SAMPLE)]
    sample = tuple(values for values in first if isinstance(values, dict))
    return Head(shape, frozenset(first[0] if first and isinstance(first[0], dict) else ()), sample)


def _keys(text: str) -> frozenset[str]:
    """The names of an object; where it is cut, every name in sight."""
    try:
        return frozenset(json.loads(text))
    except UNREADABLE:
        return frozenset(_KEY.findall(text))


def _text(path: Path, shape: Shape) -> Head:
    """Rows may have several widths here: CuratedTREC's do."""
    quotes = find_quotes(path) if shape == "tab-separated text" else None
    with closing(read_lines(path)) as found:
        full = ((row, line.rstrip("\r\n")) for row, line in enumerate(found, 1) if line.strip())
        lines = list(islice(full, SAMPLE))
    if quotes is None:
        cells = [csv_cells(path, row, line) for row, line in lines]
    else:
        cells = [
            [unquote(cell) or cell if quotes.quoting == "csv" else cell for cell in x.split("\t")] for _, x in lines
        ]
    names = [cell.strip().lower() for cell in cells[0]]
    named = tuple(dict(zip(names, row, strict=False)) for row in cells[1:])
    return Head(shape, frozenset(names), named, tuple(map(tuple, cells)), str(quotes or ""))
