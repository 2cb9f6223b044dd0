"""Pages of a MediaWiki dump (https://www.mediawiki.org/wiki/Help:Export), such as Wikipedia's `pages-articles.xml.bz2`.

The XML is parsed as it is decompressed, and one page is in memory at a time. A dump declares no document type, so that
one that does is refused, and with it every entity of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

from rag_lightning.core.compression import open_file, read_some
from rag_lightning.core.errors import DataError

LOOKS = re.compile(r"\s*<(?:[^\0]*<)?mediawiki[\s>]")
"""The start of a dump."""
READ = 1 << 18
PAGE_BYTES, FIELD_BYTES, DEPTH = 4 << 20, 4 << 10, 16
"""Largest page, tag or comment, other field, and depth of elements; MediaWiki's own limits are 2 MiB and 255 bytes."""
MOST_PREFIXES = 100
PAGE = ("mediawiki", "page")
REVISION = (*PAGE, "revision")
FIELDS: Mapping[tuple[str, ...], str] = {
    (*PAGE, "title"): "title",
    (*PAGE, "ns"): "namespace",
    (*PAGE, "id"): "page_id",
    (*REVISION, "model"): "model",
    (*REVISION, "text"): "wikitext",
}
NAMESPACE = ("mediawiki", "siteinfo", "namespaces", "namespace")
DROPPED = ("6", "14")
"""Keys of the namespaces of files and of categories: links to them are no text."""


def read_pages(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number of the page from 1, page) of a dump, plain or compressed, multistream too.

    A page has page_id, title, namespace, wikitext, model and `prefixes` (names of the namespaces of files and
    categories in the language of the wiki), and redirect, the title that it leads to, where it is one.

    Raises:
        DataError: cut, damaged, not well-formed, with a document type, several revisions of a page, or a page of more
            than 4 MiB; it names the page.
    """
    pages = _Pages(path)
    with open_file(path) as handle:
        while raw := read_some(path, handle.read, READ, pages.number + 1):
            pages.feed(raw)
            yield from pages.taken()
        pages.feed(b"", last=True)
        yield from pages.taken()


class _Pages:
    """The handlers of the parser."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, 0
        self._open: tuple[str, ...] = ()
        self._page: dict[str, Any] = {}
        self._prefixes: list[str] = []
        self._field, self._text, self._size, self._revisions, self._fed = "", [""], 0, 0, 0
        self._finished: list[tuple[int, dict[str, Any]]] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, raw: bytes, last: bool = False) -> None:
        """Parse the next bytes."""
        self._fed += len(raw)
        try:
            self._parser.Parse(raw, last)
        except expat.ExpatError as error:
            place = f"line {error.lineno:,}, column {error.offset + 1:,}"
            if last:
                raise self._error(f"is cut short ({place})", "fetch it again") from error
            reason = expat.ErrorString(error.code)
            raise self._error(f"is not well-formed XML ({reason}, {place})", "fetch it again") from error
        except (LookupError, ValueError) as error:  # of the codec that the file names
            hint = "convert it to UTF-8, in which dumps are"
            raise self._error(f"names an encoding that is not read ({error})", hint) from error
        if self._fed - self._parser.CurrentByteIndex > PAGE_BYTES:  # the parser begins it anew with each read
            raise self._error("has a tag of more than 4 MiB", "is it the file that is meant?")

    def taken(self) -> list[tuple[int, dict[str, Any]]]:
        """The pages that are complete, once."""
        pages, self._finished = self._finished, []
        return pages

    def _error(self, problem: str, hint: str) -> DataError:
        inside = self._open[: len(PAGE)] == PAGE
        return DataError(self.path, problem, row=self.number if inside else self.number + 1, hint=hint)

    def _doctype(self, *declared: object) -> None:
        raise self._error("declares a document type, as no dump does", "nothing of it was expanded")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._open = (*self._open, name)
        if len(self._open) > DEPTH:
            raise self._error(f"has elements nested more than {DEPTH} deep", "is it the file that is meant?")
        if self._open == PAGE:
            self.number, self._revisions = self.number + 1, 0
            self._page = {"wikitext": "", "model": "", "prefixes": self._prefixes}
        elif self._open == REVISION:
            self._revisions += 1
            if self._revisions > 1:
                hint = "give pages-articles, not a dump of the history"
                raise self._error("has several revisions of a page", hint)
        elif self._open == (*PAGE, "redirect"):
            self._page["redirect"] = attributes.get("title", "")
        named = self._open == NAMESPACE and attributes.get("key") in DROPPED
        self._field = "prefix" if named else FIELDS.get(self._open, "")
        self._text, self._size = [], 0

    def _characters(self, text: str) -> None:
        if not self._field:
            return
        self._text.append(text)
        self._size += len(text)
        if self._size > (PAGE_BYTES if self._field == "wikitext" else FIELD_BYTES):
            longest = "4 MiB" if self._field == "wikitext" else "4 KiB"
            raise self._error(f"has a {self._field} of more than {longest}", "is it the file that is meant?")

    def _end(self, name: str) -> None:
        if self._field == "prefix":
            if len(self._prefixes) == MOST_PREFIXES:
                raise self._error("has more names of namespaces than any wiki", "is it the file that is meant?")
            self._prefixes = [*self._prefixes, "".join(self._text)]
        elif self._field:
            self._page[self._field] = "".join(self._text)
        self._field = ""
        if self._open == PAGE:
            self._finished.append((self.number, self._page))
        self._open = self._open[:-1]
