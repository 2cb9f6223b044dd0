"""Training batches that are a function of (seed, step) alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Literal, Protocol

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from rag_lightning.core import seeds
from rag_lightning.core.records import Passage

POOL = 16
"""Batches whose items are sorted by length together: less padding, still random."""


class Sized(Protocol):
    """What can be learned from."""

    @property
    def size(self) -> int:
        """A cheap stand-in for the number of tokens."""


@dataclass(frozen=True)
class Item:
    """One training example: (query, target), with a passage where training gives one (reader warm-up).

    `kind` says what the target is: `copied` from a passage, `written` in words of its own, or a `label` of the task.
    `example_id` and `gold_passage_ids` are those of the example it was made from, for retrieval that looks at them.
    """

    query: str
    target: str
    passage: Passage | None = None
    kind: Literal["copied", "written", "label"] = "copied"
    example_id: str = ""
    gold_passage_ids: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """A cheap stand-in for the number of tokens."""
        return len(self.query) + (len(self.passage.text) if self.passage else 0)


def batch_plan(sizes: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch: each item at most once, items of similar size together, order random.

    A short last batch is left out unless it would be the only one.
    """
    rng = seeds.generator(seed, f"epoch {epoch}")
    order = rng.permutation(len(sizes)).tolist()
    batches = []
    for start in range(0, len(order), POOL * batch_size):
        pool = sorted(order[start : start + POOL * batch_size], key=lambda i: sizes[i])
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    full = [batch for batch in batches if len(batch) == batch_size] or batches
    return [full[i] for i in rng.permutation(len(full))]


@dataclass(frozen=True)
class Lesson:
    """What is learned for a number of steps.

    Args:
        items: Training examples, in endless epochs.
        batch_size: Items of a step.
        steps: After which the next lesson begins; the last lesson goes on.
    """

    items: Sequence[Sized]
    batch_size: int
    steps: int = 0

    def batches(self, seed: int) -> Iterator[list[Sized]]:
        """Endless epochs of batches."""
        sizes = [item.size for item in self.items]
        for epoch in count():
            for batch in batch_plan(sizes, self.batch_size, seed, epoch):
                yield [self.items[i] for i in batch]


class StepBatches(IterableDataset[list[Sized]]):
    """The batches of one lesson after the other, from a given step on."""

    def __init__(self, lessons: Sequence[Lesson], seed: int, start: int = 0) -> None:
        self.lessons, self.seed, self.start = lessons, seed, start

    def __iter__(self) -> Iterator[list[Sized]]:
        *first, last = self.lessons
        parts = [islice(lesson.batches(self.seed), lesson.steps) for lesson in first]
        return islice(chain(*parts, last.batches(self.seed)), self.start, None)


class TrainingData(pl.LightningDataModule):
    """Training batches and the dev batches of the evaluation.

    Args:
        lessons: Training examples.
        seed: Of the order.
        start: Step to begin with, when a checkpoint is resumed.
        dev: Batches handed to `validation_step` as they are.
    """

    def __init__(self, lessons: Sequence[Lesson], seed: int, start: int = 0, dev: Sequence[object] = ()) -> None:
        super().__init__()
        self.batches = StepBatches(lessons, seed, start)
        self.dev = list(dev)

    def train_dataloader(self) -> DataLoader[list[Sized]]:
        """One item of the loader is one batch; no workers, because faiss does not survive a fork."""
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[object] | list[object]:
        """The dev batches; none means no evaluation."""
        if not self.dev:
            return []
        return DataLoader(self.dev, batch_size=None)  # type: ignore[arg-type]


def seed_step(seed: int, step: int) -> None:
    """Dropout of a step depends on (seed, step) only."""
    torch.manual_seed(seeds.derive_seed(seed, f"step {step}"))
