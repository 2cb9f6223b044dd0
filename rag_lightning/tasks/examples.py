"""From a row of any question file to an Example: the checks and the ids all formats share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example


@dataclass(frozen=True)
class RawExample:
    """What a reader found in one row.

    `own_id` is the file's, from its field `id_field`; `context` is the paragraph the question was asked about; `titles`
    are alternative sets of evidence articles, as in `Example.gold_titles`.
    """

    row: int
    question: str
    answers: tuple[str, ...]
    gold: tuple[str, ...] = ()
    own_id: str = ""
    entity: str = ""
    context: str = ""
    id_field: str = "id"
    titles: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dropped:
    """A row that makes no example, why, and the one it makes where `task.fallback` is on."""

    row: int
    reason: str
    instead: RawExample | None = None


Row = RawExample | Dropped


@dataclass(frozen=True)
class Reading:
    """What a file holds.

    Args:
        layout: The format it was read as.
        pairs: Examples and their contexts ("" for none), in the order of the file.
        notes: How many rows were dropped or read by fallback, and why.
    """

    layout: str
    pairs: list[tuple[Example, str]]
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def examples(self) -> list[Example]:
        """The examples alone."""
        return [example for example, _ in self.pairs]


def to_reading(path: Path, rows: Iterable[Row], layout: str, fallback: bool = False) -> Reading:
    """Examples with ids of their own, what was dropped counted.

    Raises:
        DataError: two rows have one id, or no row makes an example.
    """
    notes: Counter[str] = Counter()
    raws = []
    for row in rows:
        if isinstance(row, RawExample):
            raws.append(row)
        elif fallback and row.instead is not None:
            notes[f"by fallback: {row.reason}"] += 1
            raws.append(row.instead)
        else:
            notes[f"dropped: {row.reason}"] += 1
    if not raws:
        why = "; ".join(f"{reason} ({times} rows)" for reason, times in notes.items())
        raise DataError(path, f"holds no questions: {why}" if why else "holds no questions")
    return Reading(layout, to_examples(path, raws), dict(notes))


def to_examples(path: Path, raws: Iterable[RawExample]) -> list[tuple[Example, str]]:
    """Give every row an id that no other has; returns (example, context).

    Ids made from a question start with the file's name, and the n-th repetition of one ends in `#n`.

    Raises:
        DataError: an id of the file's own on two rows, or text that cannot be written as UTF-8.
    """
    stem = path.name.split(".")[0]
    rows: dict[str, int] = {}
    found = []
    for raw in raws:
        _check_text(path, raw)
        if raw.own_id in rows:
            problem = f"is the id of row {rows[raw.own_id]} too"
            raise DataError(path, problem, row=raw.row, field=raw.id_field, value=raw.own_id, hint="give ids once")
        identifier = raw.own_id or free_id(f"{stem}-{_question_hash(raw)}", rows)
        rows[identifier] = raw.row
        found.append((_example(identifier, raw), raw.context))
    return found


def _check_text(path: Path, raw: RawExample) -> None:
    """JSON can escape half of a surrogate pair, which is no text."""
    for text in (raw.question, *raw.answers, raw.own_id, raw.entity, *raw.gold, *raw.titles, *raw.tags.values()):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            problem = "holds half of a surrogate pair"
            raise DataError(path, problem, row=raw.row, value=text, hint="write the whole sign") from error


def _example(identifier: str, raw: RawExample) -> Example:
    found = Example(identifier, raw.question, raw.answers, raw.gold, raw.entity)
    return replace(found, tags=raw.tags, gold_titles=raw.titles)


def free_id(identifier: str, taken: Collection[str]) -> str:
    """The id itself, or with the first of #2, #3, … that is not taken."""
    if identifier not in taken:
        return identifier
    return next(name for n in count(2) if (name := f"{identifier}#{n}") not in taken)


def _question_hash(raw: RawExample) -> str:
    return hashlib.sha256("\n".join((raw.question, *raw.answers)).encode()).hexdigest()[:12]
