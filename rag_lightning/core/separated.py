"""Tab- and comma-separated files, where one line is one row: a double quote never joins fields or rows.

A field that begins with a double quote is quoted as csv quotes: it ends with one, and those inside are doubled. Where
fields of a tab-separated file begin with a double quote and are not quoted so, quotes are characters in all of it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_lines

Quoting = Literal["csv", "none"]
ONE_LINE = "one line is one row: write tabs and line ends within a text as spaces"
CUT = "unexpected end of data"
"""csv's words for a line that ends within quotes."""
LONGEST = 2**31 - 1
"""Characters of a field of comma-separated text; csv's own limit is 131,072."""


@dataclass(frozen=True)
class Quotes:
    """How double quotes are read, and the row that tells (0 if none does).

    Args:
        quoting: `csv`, or `none` where they are characters.
        row: The first row that can be read one way only.
    """

    quoting: Quoting
    row: int = 0

    def __str__(self) -> str:
        if self.quoting == "csv" or not self.row:
            return ""
        problem = f"a field of row {self.row} begins with a double quote and is not quoted as csv"
        return f"read without csv quoting: {problem}"


def unquote(cell: str) -> str | None:
    """The text of a field that begins with a double quote; None if it is not quoted as csv quotes.

    >>> unquote('"The ""B"" side"'), unquote('"Heroes" (song)')
    ('The "B" side', None)
    """
    inner = cell[1:-1]
    if len(cell) < 2 or cell[-1] != '"' or '"' in inner.replace('""', ""):
        return None
    return inner.replace('""', '"')


def find_quotes(path: Path) -> Quotes:
    """How double quotes of a tab-separated file are read; it is read up to the row that tells.

    Raises:
        DataError: as `read_lines`.
    """
    with closing(read_lines(path)) as lines:
        for row, line in enumerate(lines, 1):
            if '\t"' not in line and line[0] != '"':
                continue
            cells = [cell for cell in _line(path, row, line).split("\t") if cell.startswith('"')]
            if any(unquote(cell) is None for cell in cells):
                return Quotes("none", row)
            if any('""' in cell[1:-1] for cell in cells):
                return Quotes("csv", row)
    return Quotes("csv")


def read_tsv(path: Path, hint: str, quotes: Quotes | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of a tab-separated file, as many cells in every row; blank lines are skipped.

    Args:
        path: The file, plain or compressed.
        hint: What to do about a row with another number of cells than the first.
        quotes: How double quotes are read; None to look (`find_quotes`).

    Raises:
        DataError: as `read_lines`; another number of cells; a carriage return within a line; or fields some of which
            are quoted as csv and some cannot be.
    """
    quotes = quotes or find_quotes(path)
    why = f"row {quotes.row} opens a double quote that it does not close; {ONE_LINE}" if str(quotes) else hint
    for row, cells in _rows(path, why, lambda row, text: text.split("\t")):
        yield row, _unquoted(path, row, cells, quotes) if any(cell[:1] == '"' for cell in cells) else cells


def _unquoted(path: Path, row: int, cells: list[str], quotes: Quotes) -> list[str]:
    """The cells as the file's quotes are read; what the row that told does not explain is an error."""
    if quotes.quoting == "none" and not quotes.row:
        return cells
    read = [unquote(cell) if cell.startswith('"') else cell for cell in cells]
    if quotes.quoting == "none":
        for cell, text in zip(cells, read, strict=True):
            if text not in (None, cell) and '""' in cell[1:-1]:
                problem = f"is quoted as csv, row {quotes.row} is not"
                raise DataError(path, problem, row=row, value=cell, hint="quote all rows as csv.writer does, or none")
        return cells
    found = []
    for cell, text in zip(cells, read, strict=True):
        if text is None:
            problem = f"opens a double quote and does not close it as csv does, as row {quotes.row}"
            raise DataError(path, problem, row=row, value=cell, hint=f"double quotes inside; {ONE_LINE}")
        found.append(text)
    return found


def read_csv(path: Path, hint: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of comma-separated text, as many cells in every row; blank lines are skipped.

    Args:
        path: The file, plain or compressed.
        hint: What to do about a row with another number of cells than the first.

    Raises:
        DataError: as `read_tsv`, or a line that csv cannot read, such as one whose quoted field goes on in the next.
    """
    return _rows(path, hint, lambda row, text: _csv_cells(path, row, text))


def csv_cells(path: Path, row: int, line: str) -> list[str]:
    """The cells of one line of comma-separated text.

    Raises:
        DataError: a line that csv cannot read, or a carriage return within it.
    """
    return _csv_cells(path, row, _line(path, row, line))


def _csv_cells(path: Path, row: int, text: str) -> list[str]:
    csv.field_size_limit(LONGEST)
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        open_quote = "opens a double quote that this line does not close"
        problem = open_quote if str(error) == CUT else f"is not comma-separated text: {error}"
        hint = f"{ONE_LINE}, or give JSON lines or parquet"
        raise DataError(path, problem, row=row, hint=hint) from error


def column_names(path: Path, row: int, header: Sequence[str]) -> tuple[str, ...]:
    """The names of a header, whose case does not matter.

    Raises:
        DataError: a name twice.
    """
    names = tuple(cell.strip().lower() for cell in header)
    repeated = next((name for name, times in Counter(names).items() if times > 1), None)
    if repeated is not None:
        raise DataError(path, "names a column twice", row=row, field="header", value=repeated)
    return names


def _rows(path: Path, hint: str, split: Callable[[int, str], list[str]]) -> Iterator[tuple[int, list[str]]]:
    width = 0
    with closing(read_lines(path)) as lines:
        for row, line in enumerate(lines, 1):
            text = _line(path, row, line)
            if not text:
                continue
            cells = split(row, text)
            if width not in (0, len(cells)):
                raise DataError(path, f"has {len(cells)} fields instead of {width}", row=row, hint=hint)
            width = width or len(cells)
            yield row, cells


def _line(path: Path, row: int, line: str) -> str:
    """The line without its end.

    Raises:
        DataError: a carriage return that ends no line.
    """
    text = line.removesuffix("\n").removesuffix("\r")
    if "\r" in text:
        hint = r"end lines with \n or \r\n (tr '\r' '\n'), and write those within a text as spaces"
        raise DataError(path, "holds a carriage return within a line", row=row, hint=hint)
    return text
