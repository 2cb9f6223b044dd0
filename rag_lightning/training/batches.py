"""Training batches that are a function of (seed, step) alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Literal, Protocol, TypeVar

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from rag_lightning.core import seeds
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage

T = TypeVar("T")
POOL = 16
"""Batches whose items are sorted by length together: less padding, still random."""


class Sized(Protocol):
    """A training example with a size."""

    @property
    def size(self) -> int:
        """The number of tokens, or a cheap estimate."""


@dataclass(frozen=True)
class Item:
    """One training example: (query, target), with a passage where training gives one (reader warm-up).

    `kind` is the kind of target: `copied` from a passage, `written` in words of its own, or a `label` of the task.
    `example_id` and `gold_passage_ids` are those of the example it was made from, for oracle and random retrieval.
    A cloze question is made from none. `distractor` is true where the passage is known not to hold the answer.
    `tokens` is the length of the generator's input, 0 where it is unknown.
    """

    query: str
    target: str
    passage: Passage | None = None
    kind: Literal["copied", "written", "label"] = "copied"
    example_id: str = ""
    gold_passage_ids: tuple[str, ...] = ()
    distractor: bool = False
    tokens: int = 0

    @property
    def size(self) -> int:
        """The number of tokens, or of characters where that is unknown."""
        return self.tokens or len(self.query) + (len(self.passage.text) if self.passage else 0)


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
    """Training examples of a number of steps.

    Args:
        items: Training examples, in endless epochs.
        batch_size: Items of each part of a step.
        steps: Number of steps until the next lesson begins; the last lesson has no end.

    Raises:
        ConfigError: no items.
    """

    items: Sequence[Sized]
    batch_size: int
    steps: int = 0

    def __post_init__(self) -> None:
        if not self.items:
            raise ConfigError("there is no training example to learn from; give more training data")

    def batches(self, seed: int, parts: int = 1) -> Iterator[list[Sized]]:
        """Endless epochs of the items of a step, which has so many parts.

        Raises:
            ConfigError: fewer items than a step of several parts takes.
        """
        sizes = [item.size for item in self.items]
        if parts > 1 and len(sizes) < parts * self.batch_size:
            raise ConfigError(
                f"{len(sizes)} training examples are fewer than a step takes: batch_size={self.batch_size} times "
                f"{parts} (trainer.accumulate_grad_batches x devices x num_nodes); lower them"
            )
        for epoch in count():
            for batch in batch_plan(sizes, parts * self.batch_size, seed, epoch):
                yield [self.items[i] for i in batch]


@dataclass(frozen=True)
class Share:
    """The share of each step that a process trains on.

    Args:
        rank: Rank of the process.
        world: Number of processes.
        accumulate: Batches of each process that make a step.
    """

    rank: int = 0
    world: int = 1
    accumulate: int = 1

    @property
    def parts(self) -> int:
        """Batches of a step, all processes together."""
        return self.world * self.accumulate

    def of(self, step: Sequence[T]) -> Iterator[list[T]]:
        """The batches of this process, from the items of a step: together the step, whatever the shares."""
        size = len(step) // self.accumulate
        for first in range(self.accumulate):
            whole = step[first * size : (first + 1) * size] if self.accumulate > 1 else step
            yield list(whole[self.rank :: self.world])


class StepBatches(IterableDataset[list[Sized]]):
    """The batches of one lesson after the other, from a given step on.

    A step has the same items, whether it is one batch, or several of several processes.
    """

    def __init__(self, lessons: Sequence[Lesson], seed: int, start: int = 0, share: Share = Share()) -> None:
        self.lessons, self.seed, self.start, self.share = lessons, seed, start, share

    def __iter__(self) -> Iterator[list[Sized]]:
        *first, last = self.lessons
        parts = self.share.parts
        begun = [islice(lesson.batches(self.seed, parts), lesson.steps) for lesson in first]
        steps = islice(chain(*begun, last.batches(self.seed, parts)), self.start, None)
        return chain.from_iterable(self.share.of(step) for step in steps)


class TrainingData(pl.LightningDataModule):
    """Training batches and the dev batches of the evaluation, of the process that asks.

    Args:
        lessons: Training examples.
        seed: Seed of the order.
        start: Step to begin with, when a checkpoint is resumed.
        dev: Batches handed to `validation_step` as they are; dealt to the processes in turn.
        accumulate: Batches of each process that make a step.
    """

    def __init__(
        self, lessons: Sequence[Lesson], seed: int, start: int = 0, dev: Sequence[object] = (), accumulate: int = 1
    ) -> None:
        super().__init__()
        self.lessons, self.seed, self.start, self.accumulate = lessons, seed, start, accumulate
        self.dev = list(dev)

    def train_dataloader(self) -> DataLoader[list[Sized]]:
        """One item of the loader is one batch; no workers, because faiss does not survive a fork."""
        share = Share(*self._place(), self.accumulate)
        return DataLoader(StepBatches(self.lessons, self.seed, self.start, share), batch_size=None)

    def next_steps(self) -> Iterator[list[Sized]]:
        """The training batches of this process from the second step on, for what looks one step ahead."""
        return iter(StepBatches(self.lessons, self.seed, self.start + 1, Share(*self._place(), self.accumulate)))

    def val_dataloader(self) -> DataLoader[object] | list[object]:
        """The dev batches of this process; none at all means no evaluation.

        Where there are fewer than processes, the others get one without questions: Lightning lets no process sit out.
        """
        if not self.dev:
            return []
        rank, world = self._place()
        return DataLoader(self.dev[rank::world] or [[]], batch_size=None)  # type: ignore[arg-type]

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def seed_step(seed: int, batch: int, rank: int = 0) -> None:
    """Seed dropout by (seed, number of the batch since the start, process)."""
    torch.manual_seed(seeds.derive_seed(seed, f"step {batch}" + (f" rank {rank}" if rank else "")))
