"""A layout is one file format: what tells it, and what reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_json, read_jsonl_objects
from rag_lightning.tasks.examples import Row
from rag_lightning.tasks.head import Head, Shape, look

ParseRow = Callable[[Path, int, Mapping[str, Any]], Row]
"""(file, row from 1, fields) -> an example, or why there is none; raises DataError."""
ReadRows = Callable[[Path], Iterable[tuple[int, Any]]]


@dataclass(frozen=True)
class Layout:
    """One file format.

    Args:
        name: Who writes it so, and how: "FEVER JSONL".
        shape: How its rows are stored.
        read: File -> rows; raises DataError.
        needs: Names a first row must have, all of them.
        cells: Numbers of cells that a text's row may have, () for any.
    """

    name: str
    shape: Shape
    read: Callable[[Path], Iterator[Row]]
    needs: frozenset[str] = frozenset()
    cells: tuple[int, ...] = ()

    def fits(self, head: Head) -> bool:
        """Does a file that begins so look like this layout?"""
        return head.shape == self.shape and self.needs <= head.keys and (not self.cells or head.cells in self.cells)

    def __str__(self) -> str:
        cells = f"{' or '.join(map(str, self.cells))} columns" if self.cells else ""
        what = ", ".join(sorted(self.needs)) or cells
        return f"{self.name} ({what})" if what else self.name


def json_lines(name: str, needs: Sequence[str], parse: ParseRow) -> Layout:
    """One object a line."""
    return Layout(name, "JSON lines", _reader(name, needs, parse, read_jsonl_objects), frozenset(needs))


def json_list(name: str, needs: Sequence[str], parse: ParseRow) -> Layout:
    """One list of objects; rows are positions in it, from 1."""
    return Layout(name, "JSON list", _reader(name, needs, parse, _items), frozenset(needs))


def json_columns(name: str, needs: Sequence[str], parse: ParseRow) -> Layout:
    """A dictionary of columns, each keyed by row number; rows are positions, from 1."""
    return Layout(name, "JSON columns", _reader(name, needs, parse, _columns), frozenset(needs))


def find_layout(path: Path, layouts: Sequence[Layout]) -> Layout:
    """The layout a file is in; where only the shape fits and is one layout's alone, that one, to say what is wrong.

    Raises:
        DataError: missing, empty, damaged, or none of them.
    """
    head = look(path)
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
