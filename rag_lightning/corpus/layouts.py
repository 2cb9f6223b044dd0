"""Layouts of a corpus: which fields a row has, and which passages it makes.

To add one, write a `CorpusLayout`, here or in a file of its own, and its line in `config/registries.py`; the first that
fits is taken.

- KILT knowledge source (https://github.com/facebookresearch/KILT): an article a row, its paragraphs in a list
- MS MARCO v2.1 segments (https://trec-rag.github.io), FlashRAG (https://github.com/RUC-NLPIR/FlashRAG), Tevatron
  (https://github.com/texttron/tevatron), DPR (https://github.com/facebookresearch/DPR), BEIR
  (https://github.com/beir-cellar/beir), Atlas (https://github.com/facebookresearch/atlas)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.plain import is_whole
from rag_lightning.core.records import Passage
from rag_lightning.corpus.chunking import make_passages, split_text

Values = Mapping[str, Any]
ID: tuple[type, ...] = (str, int)
TEXT: tuple[type, ...] = (str,)
PERHAPS: tuple[type, ...] = (str, type(None))
WHAT = {ID: "a string or a whole number", TEXT: "a string", PERHAPS: "a string", (list,): "a list of paragraphs"}


def _nothing(values: Values) -> str:
    """Leave out no row."""
    return ""


@dataclass(frozen=True)
class CorpusLayout:
    """One layout.

    Args:
        name: Where it is from.
        needs: Fields that every row has -> their types.
        passages: (file, row, fields, position in the corpus from 0) -> passages; none for a row without text.
        others: Further fields that are read where a row has them.
        numbered: Whether the row in the corpus is the passage id; such rows have no further field, as it may be one.
        left_out: Fields -> why the row makes no passages, in the words of a count; empty for a row that does.
        slow: Whether passages take long to make, so that several processes make them.
    """

    name: str
    needs: Mapping[str, tuple[type, ...]]
    passages: Callable[[Path, int, Values, int], Iterator[Passage]]
    others: tuple[str, ...] = ()
    numbered: bool = False
    left_out: Callable[[Values], str] = _nothing
    slow: bool = False

    def fits(self, values: Values) -> bool:
        """Whether a row has the fields of this layout."""
        return self.needs.keys() <= values.keys() and not self._strange(values)

    def _strange(self, values: Values) -> list[str]:
        return [name for name in values if name not in {*self.needs, *self.others}] if self.numbered else []

    def fault(self, values: Values) -> tuple[str, str] | None:
        """The first field that is missing, of a wrong type or one too many, with what is wrong about it; or None."""
        for name, types in self.needs.items():
            if name not in values:
                return name, "is missing"
            value = values[name]
            if value is None and types is not PERHAPS:
                return name, f"is null, and must be {WHAT[types]}"
            if isinstance(value, bool) or not isinstance(value, types) or (types is ID and value == ""):
                return name, f"must be {WHAT[types]}"
        strange = self._strange(values)
        return (strange[0], "is a field that other rows do not have") if strange else None

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.needs)})"


def _passage(path: Path, row: int, identifier: object, title: object, text: str, field: str = "text") -> Passage:
    """A passage; a title that is null is empty.

    Raises:
        DataError: neither text nor title, a title that is no string, or half of a surrogate pair.
    """
    if not isinstance(title, str | None):
        raise DataError(path, "must be a string", row=row, field="title", value=title)
    if not (text.strip() or (title or "").strip()):
        raise DataError(path, "is empty, and so is the title", row=row, field=field, value=text)
    found = Passage(str(identifier), title or "", text)
    for name, value in {"id": found.passage_id, "title": found.title, field: text}.items():
        if not is_whole(value):
            problem, hint = "holds half of a surrogate pair", "write the whole character"
            raise DataError(path, problem, row=row, field=name, hint=hint)
    return found


def _plain(name: str, id_field: str, text: str = "text") -> CorpusLayout:
    """A layout with a field each for id, text and, in some rows, title."""

    def passages(path: Path, row: int, values: Values, number: int) -> Iterator[Passage]:
        yield _passage(path, row, values[id_field], values.get("title"), values[text], text)

    return CorpusLayout(name, {id_field: ID, text: TEXT}, passages, ("title",))


def _flashrag(path: Path, row: int, values: Values, number: int) -> Iterator[Passage]:
    """The title is the first line, in quotes; contents of one line have none."""
    title, end, text = values["contents"].partition("\n")
    if not end:
        title, text = "", title
    elif len(title) > 1 and title[0] == title[-1] == '"':
        title = title[1:-1].replace('""', '"')
    yield _passage(path, row, values["id"], title, text, "contents")


def _atlas(path: Path, row: int, values: Values, number: int) -> Iterator[Passage]:
    """The section is part of the title, as Atlas writes it; without an id the row of the corpus is one."""
    title, section = values["title"] or "", values.get("section")
    text = values["text"]
    yield _passage(path, row, values.get("id", number), f"{title}: {section}" if section else title, text)


_HEADING = re.compile(r"^Section::::.*", re.MULTILINE)


def _kilt(path: Path, row: int, values: Values, number: int) -> Iterator[Passage]:
    """An article cut to passages; its first paragraph is the title, and headings and marks of lists are left out."""
    identifier, title = values["wikipedia_id"], values["wikipedia_title"]
    for paragraph in values["text"]:
        if not isinstance(paragraph, str):
            raise DataError(path, "must be a list of strings", row=row, field="text", value=paragraph)
    paragraphs = list(values["text"])
    if paragraphs and paragraphs[0].strip() == title.strip():
        paragraphs = paragraphs[1:]
    text = _HEADING.sub("", "\n".join(paragraphs)).replace("BULLET::::-", "")
    for passage in make_passages(str(identifier), title, split_text(text)):
        yield _passage(path, row, passage.passage_id, passage.title, passage.text)


KILT = CorpusLayout("KILT knowledge source", {"wikipedia_id": ID, "wikipedia_title": TEXT, "text": (list,)}, _kilt)
MSMARCO = _plain("MS MARCO v2.1 segments", "docid", "segment")
FLASHRAG = CorpusLayout("FlashRAG", {"id": ID, "contents": TEXT}, _flashrag)
ATLAS = CorpusLayout("Atlas", {"id": ID, "title": PERHAPS, "section": PERHAPS, "text": TEXT}, _atlas)
DPR = _plain("DPR", "id")
BEIR = _plain("BEIR", "_id")
TEVATRON = _plain("Tevatron", "docid")
NO_ID = CorpusLayout("Atlas without id", {"title": PERHAPS, "text": TEXT}, _atlas, ("section",), numbered=True)
