"""A layout is one file format: how a file of it is recognised, and how it is read.

A file is recognised by its first part: its shape, and the field names of its rows.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, read_head, read_json, read_jsonl_objects
from rag_lightning.tasks.examples import Row

ParseRow = Callable[[Path, int, Mapping[str, Any]], Row]
"""(file, row from 1, fields) -> an example, or why there is none; raises DataError."""
ReadRows = Callable[[Path], Iterable[tuple[int, Any]]]


@dataclass(frozen=True)
class Layout:
    """One file format.

    Args:
        name: Source and format: "FEVER JSONL".
        shape: How its rows are stored.
        read: File -> rows; raises DataError.
        needs: Field names that the first row must have.
        cells: Numbers of cells that a row of text may have, () for any.
    """

    name: str
    shape: Shape
    read: Callable[[Path], Iterator[Row]]
    needs: frozenset[str] = frozenset()
    cells: tuple[int, ...] = ()

    def fits(self, head: Head) -> bool:
        """Whether the beginning of a file fits this layout."""
        return head.shape == self.shape and self.needs <= head.keys and (not self.cells or head.cells in self.cells)

    def __str__(self) -> str:
        cells = f"{' or '.join(map(str, self.cells))} columns" if self.cells else ""
        what = ", ".join(sorted(self.needs)) or cells
        return f"{self.name} ({what})" if what else self.name


def json_lines(name: str, needs: Sequence[str], parse: ParseRow) -> Layout:
    """A layout of one JSON object per line."""
    return Layout(name, "JSON lines", _reader(name, needs, parse, read_jsonl_objects), frozenset(needs))


def json_list(name: str, needs: Sequence[str], parse: ParseRow) -> Layout:
    """A layout of one JSON list of objects; rows are positions in it, from 1."""
    return Layout(name, "JSON list", _reader(name, needs, parse, _items), frozenset(needs))


def json_columns(name: str, needs: Sequence[str], parse: ParseRow) -> Layout:
    """A layout of JSON columns, each keyed by row number; rows are positions, from 1."""
    return Layout(name, "JSON columns", _reader(name, needs, parse, _columns), frozenset(needs))


def find_layout(path: Path, layouts: Sequence[Layout]) -> Layout:
    """The layout a file is in; where only the shape fits and is one layout's alone, that one, to say what is wrong.

    Raises:
        DataError: missing, empty, damaged, or none of them.
    """
    head = look_at_head(path)
    same = [layout for layout in layouts if layout.shape == head.shape]
    found = [layout for layout in same if layout.fits(head)] or (same if len(same) == 1 else [])
    if not found:
        raise DataError(path, f"is {head}", row=1, hint=f"expected {'; '.join(map(str, layouts))}")
    return found[0]


def _reader(name: str, needs: Sequence[str], parse: ParseRow, read: ReadRows) -> Callable[[Path], Iterator[Row]]:
    def rows(path: Path) -> Iterator[Row]:
        for row, values in read(path):
            if not isinstance(values, dict):
                raise DataError(path, f"is not an object with {' and '.join(needs)}", row=row, value=values)
            if not values.keys() & set(needs):
                problem = f"is missing, as is all else that tells {name}"
                hint = "one file holds one format" if row > 1 else "`rag-lightning doctor --data` tells the format"
                raise DataError(path, problem, row=row, field=needs[0], value=sorted(values), hint=hint)
            yield parse(path, row, values)

    return rows


def _items(path: Path) -> Iterator[tuple[int, Any]]:
    values = read_json(path)
    if not isinstance(values, list):
        raise DataError(path, "is not a list of objects")
    yield from enumerate(values, 1)


def _columns(path: Path) -> Iterator[tuple[int, Any]]:
    table = read_json(path)
    if not isinstance(table, dict):
        raise DataError(path, "is not a dictionary of columns")
    numbers: dict[str, None] = {}
    for name, column in table.items():
        if not isinstance(column, dict):
            raise DataError(path, "must be a dictionary keyed by row number", field=name, value=column)
        numbers |= dict.fromkeys(column)
    for row, number in enumerate(numbers, 1):
        yield row, {name: column[number] for name, column in table.items() if number in column}


Shape = Literal["JSON lines", "JSON list", "JSON columns", "JSON document", "tab-separated text"]
SIZE = 1 << 20
"""Bytes of the first part; a row is far smaller."""
_KEY = re.compile(r'"(\w+)"\s*:')
_COLUMNS = re.compile(r'\{\s*"\w+"\s*:\s*\{\s*("\d+"\s*:|\})')
_SHOWN = 8


@dataclass(frozen=True)
class Head:
    """The beginning of a file.

    Args:
        shape: How rows are stored. JSON columns: `{"query": {"0": …, "1": …}, …}`; a JSON document nests its rows.
        keys: Names of the first row's fields, of a document's keys, or of the columns; for text its first row's cells.
        cells: Tab-separated cells of the first row of a text, else 0.
    """

    shape: Shape
    keys: frozenset[str]
    cells: int = 0

    def __str__(self) -> str:
        if self.cells:
            return f"{self.shape} of {self.cells} columns"
        names = sorted(self.keys)
        return f"{self.shape} with {', '.join(names[:_SHOWN]) or 'no fields'}{', …' if len(names) > _SHOWN else ''}"


def look_at_head(path: Path, size: int = SIZE) -> Head:
    """Read the shape and the field names from the first bytes of a plain or gzip file.

    Raises:
        DataError: missing, empty, damaged, or not UTF-8.
    """
    text = read_head(path, size)
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(path, "is empty")
    start = text.lstrip()
    if start[0] == "[":
        return Head("JSON list", _keys(start[1:].lstrip()))
    if start[0] == "{":
        return _object(path, start, [line.strip() for line in lines])
    return _text(path, lines[0])


def _object(path: Path, start: str, lines: list[str]) -> Head:
    """JSON lines, columns or a document; only a document spreads over lines or holds a list called data."""
    if _COLUMNS.match(start) and ".jsonl" not in path.suffixes:
        return Head("JSON columns", frozenset(_KEY.findall(start)))
    first = _parsed(lines[0])
    rows = ".jsonl" in path.suffixes or (len(lines) > 1 and lines[1].startswith("{"))
    if rows or (isinstance(first, dict) and not {"data", "Data"} & first.keys()):
        return Head("JSON lines", _keys(lines[0]))
    return Head("JSON document", _keys(start))


def _keys(text: str) -> frozenset[str]:
    """The names of the object a text begins with; where it is cut, every name in sight."""
    if not text.startswith("{"):
        return frozenset()
    try:
        return frozenset(json.JSONDecoder().raw_decode(text)[0])
    except UNREADABLE:
        return frozenset(_KEY.findall(text))


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except UNREADABLE:
        return None


def _text(path: Path, line: str) -> Head:
    try:
        cells = next(csv.reader([line], delimiter="\t"))
    except csv.Error as error:
        raise DataError(path, f"is not tab-separated text: {error}", row=1) from error
    return Head("tab-separated text", frozenset(cell.strip().lower() for cell in cells), len(cells))
