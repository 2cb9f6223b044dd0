"""The dev score of an evaluation, whoever has scored which batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from rag_lightning.core.records import Example

Scorer = Callable[[Sequence[Example]], list[float]]
Evaluator = Callable[[], Scorer]
"""Called at the start of every evaluation; the scorer it returns gives the objective of each example, 0 to 1."""


class Monitor(Protocol):
    """Sees what an evaluation retrieves."""

    def close(self, step: int) -> dict[str, float]:
        """What was seen since the last call, in all processes; each of them calls it."""


@dataclass(frozen=True)
class ScoredBatch:
    """The number of a dev batch, its example ids, and the objective of each."""

    number: int
    example_ids: tuple[str, ...]
    values: tuple[float, ...]


def dev_score(scored: Sequence[ScoredBatch]) -> float:
    """Mean over all questions, each counted once.

    Added up in float32, batch by batch in the order of the dev set: the same number on any number of processes, and
    the one Lightning's own mean gives on one.

    Raises:
        RuntimeError: a question that was scored twice.
    """
    ids = [example_id for batch in scored for example_id in batch.example_ids]
    if len(set(ids)) != len(ids):
        raise RuntimeError(f"{len(ids) - len(set(ids))} dev questions were scored twice")
    total = torch.tensor(0.0)
    for batch in sorted(scored, key=lambda b: b.number):
        total += torch.tensor(sum(batch.values) / len(batch.values)) * len(batch.values)
    return float(total / len(ids))
