"""The fields of a row, checked: questions, answers, ids. Every fault names file, row and field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError


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
    """A list of JSON objects.

    Raises:
        DataError: missing, or anything else.
    """
    if value is None:
        raise DataError(path, "is missing", row=row, field=field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(path, "must be a list of objects", row=row, field=field, value=value)
    return value
