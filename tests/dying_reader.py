"""A small reader whose training dies where a test says, and how it is trained: for tests of resuming."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.records import Example, Passage
from rag_lightning.training import fitting
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.rag import ReaderModule

ITEMS = [Item(f"what is {c}", f"rome {c}", Passage(c, c, f"the {c} of rome")) for c in "abcdefgh7"]
DEV = [[Example("1", "a", ("a",)), Example("2", "b", ("b",))], [Example("3", "c", ("c",))]]
STEPS = 8
Weights = dict[str, Tensor]


class Killed(RuntimeError):
    """The process ends here."""


class Reader(ReaderModule):
    """Stops in a given part of a step, and scores dev by a script; keeps the weights of every evaluation."""

    dies_at = -1
    dies_in = 0
    told_at = -1
    script: dict[int, float] = {}  # noqa: RUF012
    dies_evaluating = -1

    def training_step(self, batch: list[Item], index: int) -> Tensor:
        if self.global_step == self.dies_at and index % self.trainer.accumulate_grad_batches == self.dies_in:
            raise Killed
        if self.global_step == self.told_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().training_step(batch, index)

    def follow(self, script: dict[int, float], dies_evaluating: int = -1) -> dict[int, Weights]:
        seen: dict[int, Weights] = {}

        def start() -> Callable[[Sequence[Example]], list[float]]:
            if self.global_step == dies_evaluating:
                raise Killed
            seen[self.global_step] = weights(self)
            return lambda batch: [script[self.global_step]] * len(batch)

        self.evaluator = start
        return seen


def weights(module: torch.nn.Module) -> Weights:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(left: Weights, right: Weights) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(
        **{"steps": STEPS, "batch_size": 2, "lr": 1e-2, "warmup": 2, "eval_every": 0, "dtype": "float32", **settings}
    )


def fit(module: Any, folder: Path, settings: TrainConfig, dev: Sequence[object] = ()) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return fitting.fit(module, [Lesson(ITEMS, settings.batch_size)], settings, folder, seed=5, dev=dev, progress=False)


def outcome(result: dict[str, Any]) -> tuple[int, float | None]:
    return result["steps"], result["dev_score"]
