"""A loss or gradient that is no number ends the training; its batch is kept for inspection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rag_lightning.core.errors import TrainingError
from rag_lightning.core.files import write_json

FAILED_BATCH = "failed_batch"
"""Begins the name of the file that holds the batch."""


class NotFinite(ArithmeticError):
    """What is not finite, at which optimiser step, and the batch: questions, targets, passages."""

    def __init__(self, what: str, step: int, batch: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(what)
        self.what, self.step, self.batch = what, step, batch


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of the gradients taken together; 0 without any."""
    norm: Tensor = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return norm


def is_finite(value: Tensor) -> bool:
    """Is every number of it finite?"""
    return bool(torch.isfinite(value).all())


def keep_batch(failure: NotFinite, folder: Path, rank: int) -> TrainingError:
    """Write the batch into the folder; the error to raise, which names the file.

    Args:
        failure: What happened.
        folder: Of the training; its resume point is left as it is.
        rank: Of the process.
    """
    path = folder / f"{FAILED_BATCH}{f'-rank{rank}' if rank else ''}.json"
    write_json(path, {"step": failure.step, "problem": failure.what, "batch": list(failure.batch)})
    return TrainingError(
        f"training stopped: {failure.what} at step {failure.step}; the batch is in {path}; no model was kept, the "
        "resume point before it stays; lower the learning rates, or look at the batch"
    )
