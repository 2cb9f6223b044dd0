"""Predictions and rankings meet their examples by id, never by position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example


class HasExampleId(Protocol):
    """A record that belongs to an example: Prediction, Ranking, Score."""

    @property
    def example_id(self) -> str:
        """The id of the example."""


R = TypeVar("R", bound=HasExampleId)
_LISTED = 10


def join_by_id(
    records: Iterable[R], examples: Sequence[Example], source: Path | str = "predictions"
) -> list[tuple[R, Example]]:
    """Each example with its record, in the order of the examples.

    Args:
        records: Predictions, rankings or scores, in any order.
        examples: What they belong to.
        source: The records' file, named in the message.

    Raises:
        DataError: ids twice, missing or extra; the message lists them.
    """
    listed = list(records)
    by_id = {record.example_id: record for record in listed}
    wanted = [example.example_id for example in examples]
    problems = _problems([record.example_id for record in listed], wanted)
    if problems:
        raise DataError(
            source,
            "; ".join(problems),
            field="example_id",
            hint="give the questions they were made for, or predict again for those that are missing",
        )
    return [(by_id[example.example_id], example) for example in examples]


def _problems(given: list[str], wanted: list[str]) -> list[str]:
    have, want = set(given), set(wanted)
    kinds = {
        "missing": [name for name in wanted if name not in have],
        "extra": [name for name in given if name not in want],
        "there twice": [name for name, count in Counter(given).items() if count > 1],
        "twice among the examples": [name for name, count in Counter(wanted).items() if count > 1],
    }
    return [f"{len(names)} {kind}: {_list(names)}" for kind, names in kinds.items() if names]


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
