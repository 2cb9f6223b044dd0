"""What a file looks like from its first part: its shape, and the names its rows have."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, read_head

Shape = Literal["JSON lines", "JSON list", "JSON columns", "JSON document", "tab-separated text"]
SIZE = 1 << 20
"""Bytes that are looked at; a row is far smaller."""
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


def look(path: Path, size: int = SIZE) -> Head:
    """Look at the first bytes of a plain or gzip file.

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
