"""From a row of any question file to an Example: the checks and the ids all formats share.

The fields of a row, checked: questions, answers, ids. Every fault names file, row and field.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, content_digest
from rag_lightning.core.plain import is_whole
from rag_lightning.core.records import Example
from rag_lightning.metrics.pages import TOGETHER, normalize_title


@dataclass(frozen=True)
class RawExample:
    """The fields a reader found in one row.

    `own_id` is the file's, from its field `id_field`; `paragraph` is the paragraph the question is about; `titles`
    are alternative sets of evidence articles, as in `Example.gold_titles`; `note` is counted in `Reading.notes`.
    """

    row: int
    question: str
    answers: tuple[str, ...]
    gold: tuple[str, ...] = ()
    own_id: str = ""
    entity: str = ""
    paragraph: str = ""
    id_field: str = "id"
    titles: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Dropped:
    """A row without an example, and the reason.

    `instead` is the example it gives where `task.fallback` is on; `unanswered` is its question with gold passages
    alone, by which retrieval can be scored.
    """

    row: int
    reason: str
    instead: RawExample | None = None
    unanswered: RawExample | None = None


Row = RawExample | Dropped


@dataclass(frozen=True)
class Reading:
    """The content of a file.

    Args:
        layout: The format it was read as.
        pairs: Examples and their paragraphs ("" for none), in the order of the file.
        rows: The row of each example in the file, from 1.
        notes: How many rows were dropped, read by fallback or kept with a fault, and why.
    """

    layout: str
    pairs: list[tuple[Example, str]]
    rows: Sequence[int]
    notes: Mapping[str, int]

    @property
    def examples(self) -> list[Example]:
        """The examples alone."""
        return [example for example, _ in self.pairs]


def to_reading(
    path: Path, rows: Iterable[Row], layout: str, fallback: bool = False, unanswered: bool = False
) -> Reading:
    """Examples with ids of their own, and counts of the dropped rows.

    Args:
        path: The file.
        rows: What its rows give.
        layout: The format it is read as.
        fallback: Whether to keep the other answers of a row that has no preferred one.
        unanswered: Whether to keep questions without answers that have gold passages.

    Raises:
        DataError: two rows have one id, or no row makes an example.
    """
    notes: Counter[str] = Counter()
    raws = []
    for row in rows:
        if isinstance(row, RawExample):
            raws.append(row)
            notes.update([row.note] if row.note else [])
        elif fallback and row.instead is not None:
            notes[f"by fallback: {row.reason}"] += 1
            raws.append(row.instead)
        elif unanswered and row.unanswered is not None and row.unanswered.gold:
            raws.append(row.unanswered)
        else:
            notes[f"dropped: {row.reason}"] += 1
    if not raws:
        why = "; ".join(f"{reason} ({times} rows)" for reason, times in notes.items())
        raise DataError(path, f"holds no questions: {why}" if why else "holds no questions")
    return Reading(layout, to_examples(path, raws), [raw.row for raw in raws], dict(notes))


def to_examples(path: Path, raws: Iterable[RawExample]) -> list[tuple[Example, str]]:
    """Give every row an id that no other has; returns (example, paragraph).

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
        found.append((_example(identifier, raw), raw.paragraph))
    return found


def _check_text(path: Path, raw: RawExample) -> None:
    """JSON can escape half of a surrogate pair, which is no text, and NUL, which ends one for many a program."""
    names = (raw.own_id, raw.entity, *raw.gold, *raw.titles, *raw.tags.values())
    for text in (raw.question, *raw.answers, raw.paragraph, *names):
        if not is_whole(text):
            problem, hint = "holds half of a surrogate pair", "write the whole character"
            raise DataError(path, problem, row=raw.row, value=text, hint=hint)
        if "\0" in text:
            raise DataError(path, "holds a NUL", row=raw.row, value=text, hint="remove it")


def _example(identifier: str, raw: RawExample) -> Example:
    found = Example(identifier, raw.question, raw.answers, raw.gold, raw.entity)
    return replace(found, tags=raw.tags, gold_titles=raw.titles)


def free_id(identifier: str, taken: Collection[str]) -> str:
    """The id itself, or with the first of #2, #3, … that is not taken."""
    if identifier not in taken:
        return identifier
    return next(name for n in count(2) if (name := f"{identifier}#{n}") not in taken)


def _question_hash(raw: RawExample) -> str:
    return content_digest("\n".join((raw.question, *raw.answers)), 12)


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

    One rule for all formats: a list of strings that are not empty, or one such string. A string in square brackets, or
    in round ones around quotes, is a list that was written as text (`written_list`). Numbers, null and true are no
    answers.

    Raises:
        DataError: anything else.
    """
    if value is None:
        raise DataError(path, "is missing", row=row, field=field)
    if isinstance(value, str):
        value = written_list(path, row, field, value) if _BRACKETS.fullmatch(value) else [value]
    if not isinstance(value, list):
        raise DataError(path, "must be a list of strings, or one string", row=row, field=field, value=value)
    if not value:
        hint = "give a list of at least one string"
        raise DataError(path, "must hold at least one answer", row=row, field=field, value=value, hint=hint)
    for answer in value:
        if not isinstance(answer, str) or not answer.strip():
            raise DataError(path, "holds an answer that is not a string or empty", row=row, field=field, value=answer)
    return tuple(dict.fromkeys(value))


_BRACKETS = re.compile(r"""\s*(\[.*\]|\(\s*['"].*\))\s*""", re.DOTALL)
_STRING = r"""[rRuU]?(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
_LISTED = re.compile(rf"\s*[\[(]?\s*(?:{_STRING}\s*(?:,\s*{_STRING}\s*)*+,?\s*)?[\])]?\s*", re.DOTALL)


def written_list(path: Path, row: int, field: str, text: str) -> list[Any]:
    """A list of strings that was written as text, by JSON or by Python (also a tuple, or one string in quotes).

    Raises:
        DataError: anything else; and strings side by side, which Python would join (`['Ann' 'Bell']`).
    """
    hint = "write a list of quoted strings: ['answer', …]"
    try:
        value = _json_or_python(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataError(path, "is not a list of answers", row=row, field=field, value=text, hint=hint) from error
    found = list(value) if isinstance(value, tuple) else [value] if isinstance(value, str) else value
    if not isinstance(found, list):
        raise DataError(path, "is not a list of answers", row=row, field=field, value=text, hint=hint)
    if all(isinstance(one, str) for one in found) and not _LISTED.fullmatch(text):
        problem = "holds strings side by side without a comma"
        raise DataError(path, problem, row=row, field=field, value=text, hint=hint)
    return found


def _json_or_python(text: str) -> Any:
    try:
        return json.loads(text)
    except UNREADABLE:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes, which patterns have
            return ast.literal_eval(text.strip())


def title_sets(sets: Iterable[Iterable[Any]]) -> tuple[str, ...]:
    """The normalised titles of each set of evidence as one entry of `gold_titles`, without repetitions."""
    named = [{normalize_title(title) for title in titles if isinstance(title, str) and title} for titles in sets]
    return tuple(dict.fromkeys(TOGETHER.join(sorted(titles)) for titles in named if titles))


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


def own_id(path: Path, row: int, values: Mapping[str, Any], field: str = "id") -> str:
    """The row's own id as a string, "" if it has none.

    Raises:
        DataError: neither a string nor a whole number.
    """
    value = values.get(field)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(path, "must be a string or a whole number", row=row, field=field, value=value)
    return str(value)


def objects(path: Path, row: int, field: str, value: Any) -> list[dict[str, Any]]:
    """A list of JSON objects, or an object of lists of one length, as which `datasets` stores such a list in tables.

    Raises:
        DataError: missing, or anything else.
    """
    if value is None:
        raise DataError(path, "is missing", row=row, field=field)
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            raise DataError(path, "must be lists of one length", row=row, field=field, value=value)
        return [dict(zip(value, items, strict=True)) for items in zip(*value.values(), strict=True)]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(path, "must be a list of objects", row=row, field=field, value=value)
    return value
