"""From a row of any question file to an Example: the checks and the ids all formats share."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example


@dataclass(frozen=True)
class RawExample:
    """What a reader found in one row: `own_id` is the file's, `context` the paragraph the question was asked about."""

    row: int
    question: str
    answers: tuple[str, ...]
    gold: tuple[str, ...] = ()
    own_id: str = ""
    entity: str = ""
    context: str = ""


def to_examples(path: Path, raws: Iterable[RawExample]) -> list[tuple[Example, str]]:
    """Give every row an id that no other has; returns (example, context).

    The n-th repetition of an id ends in `#n`; ids made from a question start with the file's name.
    """
    stem = path.name.split(".")[0]
    taken: set[str] = set()
    found = []
    for raw in raws:
        identifier = free_id(raw.own_id or f"{stem}-{_question_hash(raw)}", taken)
        taken.add(identifier)
        found.append((Example(identifier, raw.question, raw.answers, raw.gold, raw.entity), raw.context))
    return found


def free_id(identifier: str, taken: Collection[str]) -> str:
    """The id itself, or with the first of #2, #3, … that is not taken."""
    if identifier not in taken:
        return identifier
    return next(name for n in count(2) if (name := f"{identifier}#{n}") not in taken)


def _question_hash(raw: RawExample) -> str:
    return hashlib.sha256("\n".join((raw.question, *raw.answers)).encode()).hexdigest()[:12]


def question_text(path: Path, row: int, field: str, value: Any) -> str:
    """The question of a row, outer white space removed.

    Raises:
        DataError: missing, not a string or empty.
    """
    if value is None:
        raise DataError(path, "is missing", row=row, field=field)
    if not isinstance(value, str) or not value.strip():
        raise DataError(path, "must be a string that is not empty", row=row, field=field, value=value)
    return value.strip()


def answer_list(path: Path, row: int, field: str, value: Any) -> tuple[str, ...]:
    """The answers of a row without repetitions, in their order.

    Raises:
        DataError: missing, not a list, empty, or holding anything but strings that are not empty.
    """
    if value is None:
        raise DataError(path, "is missing", row=row, field=field)
    if not isinstance(value, list) or not value:
        hint = "give a list of at least one string"
        raise DataError(path, "must hold at least one answer", row=row, field=field, value=value, hint=hint)
    for answer in value:
        if not isinstance(answer, str) or not answer.strip():
            raise DataError(path, "holds an answer that is not a string or empty", row=row, field=field, value=answer)
    return tuple(dict.fromkeys(value))


def gold_ids(path: Path, row: int, values: Mapping[str, Any]) -> tuple[str, ...]:
    """`gold_passage_ids` (a list) or `gold_passage_id` of a row as strings, () if it has neither.

    Raises:
        DataError: an id that is neither a string nor a whole number.
    """
    field = "gold_passage_ids" if "gold_passage_ids" in values else "gold_passage_id"
    value = values.get(field, [])
    ids = value if isinstance(value, list) else [value]
    for one in ids:
        if isinstance(one, bool) or not isinstance(one, (str, int)) or one == "":
            raise DataError(path, "must be a string or a whole number", row=row, field=field, value=one)
    return tuple(dict.fromkeys(map(str, ids)))
