"""JSON larger than memory: the items of a list, the members of an object, one at a time.

Only the value in hand and one block of text are kept.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any

from rag_lightning.core.compression import check_length, open_file, read_some
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, check_file

BLOCK = 1 << 20
"""Bytes read at a time, at least."""
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_NEAR_END = 16
"""Characters before the end of a block within which a fault may be the cut: the longest literal is -Infinity."""


def json_items(path: Path) -> Generator[tuple[int, Any], None, None]:
    """(position from 1, item) of a file that is one JSON list.

    Raises:
        DataError: missing, empty, damaged, not UTF-8, not JSON (with its line), no list, or an item that is longer than
            a line may be.
    """
    check_file(path)
    with open_file(path) as handle:
        stream = JsonStream(path, handle)
        yield from enumerate(stream.items(), 1)
        stream.end()


def json_objects(path: Path) -> Generator[tuple[int, dict[str, Any]], None, None]:
    """(position from 1, object) of a file that is one JSON list of objects.

    Raises:
        DataError: as `json_items`, or an item that is no object.
    """
    for row, item in json_items(path):
        if not isinstance(item, dict):
            raise DataError(path, "must be a list of objects", row=row, value=item)
        yield row, item


def json_members(path: Path) -> Generator[tuple[str, Any], None, None]:
    """(name, value) of the members of a file that is one JSON object.

    Raises:
        DataError: as `json_items`, or no object.
    """
    check_file(path)
    with open_file(path) as handle:
        stream = JsonStream(path, handle)
        for name in stream.names():
            yield name, stream.value()
        stream.end()


def json_columns(path: Path, wanted: Callable[[str], bool]) -> Generator[tuple[str, str, Any], None, None]:
    """(column, row, value) of the wanted columns of a file that is one JSON object of objects; others are passed over.

    Raises:
        DataError: as `json_items`, or a column that is no object.
    """
    check_file(path)
    with open_file(path) as handle:
        stream = JsonStream(path, handle)
        for name in stream.names():
            if not wanted(name):
                stream.skip()
                continue
            if stream.peek() != "{":
                raise DataError(path, "must be a dictionary keyed by row number", field=name, value=stream.value())
            for row in stream.names():
                yield name, row, stream.value()
        stream.end()


class JsonStream:
    """The JSON of an open file, read forwards.

    Args:
        path: Its name, for errors.
        handle: The open file, UTF-8.
    """

    def __init__(self, path: Path, handle: IO[bytes]) -> None:
        self.path, self._handle, self._decode = path, handle, codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._line, self._whole = "", 0, 1, False

    def peek(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self._at < len(self._text) or self._whole:
                return self._text[self._at : self._at + 1]
            self._more()

    def value(self) -> Any:
        """The next value, whole.

        Raises:
            DataError: not JSON.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._whole or not self._may_be_cut(error):
                    line = self._line + self._text.count("\n", 0, error.pos)
                    raise DataError(self.path, f"is not JSON: {error.msg}", row=line) from error
            except UNREADABLE as error:
                raise DataError(self.path, f"is JSON that cannot be read: {error}", row=self.line) from error
            else:
                if end < len(self._text) or self._whole:
                    self._at = end
                    return value
            self._more()

    def items(self) -> Iterator[Any]:
        """The items of the list that comes next.

        Raises:
            DataError: no list, or not JSON.
        """
        for _ in self._parts("[", "]"):
            yield self.value()

    def names(self) -> Iterator[str]:
        """The names of the members of the object that comes next; the caller reads each value before the next name.

        Raises:
            DataError: no object, or not JSON.
        """
        for _ in self._parts("{", "}"):
            name = self.value()
            if not isinstance(name, str):
                raise DataError(self.path, "is not JSON: a name must be in double quotes", row=self.line, value=name)
            self._take(":")
            yield name

    def skip(self) -> None:
        """Pass over the next value; of a list or an object, part by part."""
        start = self.peek()
        if start == "[":
            for _ in self.items():
                pass
        elif start == "{":
            for _ in self.names():
                self.value()
        else:
            self.value()

    def end(self) -> None:
        """Raise DataError if anything follows."""
        if self.peek():
            raise DataError(self.path, "is not JSON: something follows its end", row=self.line)

    @property
    def line(self) -> int:
        """The line that is read, from 1."""
        return self._line + self._text.count("\n", 0, self._at)

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        self._take(opening)
        if self.peek() != closing:
            yield
            while self.peek() == ",":
                self._take(",")
                yield
        self._take(closing)

    def _take(self, sign: str) -> None:
        found = self.peek()
        if found != sign:
            problem = "the file is cut short" if not found else f"expected {sign!r}"
            raise DataError(self.path, f"is not JSON: {problem}", row=self.line, value=found or None)
        self._at += 1

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _NEAR_END

    def _more(self) -> None:
        """Read as much again as is kept, so that a long value is not parsed more than a few times.

        Raises:
            DataError: what is kept is longer than a value may be; not UTF-8.
        """
        line = self.line
        kept = self._text[self._at :]
        check_length(self.path, len(kept), line, "value")
        raw = read_some(self.path, self._handle.read, max(BLOCK, len(kept)), line)
        self._whole = not raw
        try:
            self._text, self._at, self._line = kept + self._decode.decode(raw, final=self._whole), 0, line
        except UnicodeDecodeError as error:
            row = line + kept.count("\n") + raw.count(b"\n", 0, error.start)
            raise DataError(self.path, "is not UTF-8", row=row, hint="convert it to UTF-8") from error
