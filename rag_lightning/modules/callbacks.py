"""Callbacks of training: a resume point that is never half written, and the history of what was logged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

RESUME = "resume.ckpt"
HISTORY = "history.jsonl"


class ResumePoint(pl.Callback):
    """Saves the whole training state every `every` steps by rename; the newest replaces the one before.

    A step that is followed by an evaluation is not saved but the one after it: a run resumed in between would take
    the evaluation for done, and know nothing of its score.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.path, self.every = folder / RESUME, every
        self._due = False

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *args: Any) -> None:
        """Save after every `every`-th optimiser step, except the last."""
        step = trainer.global_step
        self._due |= step % self.every == 0
        if self._due and step < (trainer.max_steps or 0) and not _evaluates(trainer):
            temporary = self.path.with_suffix(".tmp")
            trainer.save_checkpoint(temporary)
            os.replace(temporary, self.path)
            self._due = False


def _evaluates(trainer: pl.Trainer) -> bool:
    """Whether an evaluation follows this step."""
    every = trainer.val_check_batch
    return trainer.enable_validation and every is not None and trainer.global_step % every == 0


class History(pl.Callback):
    """Keeps (step, loss, rate, dev score) as JSON lines; part of the resume point."""

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self.rows: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *args: Any) -> None:
        """Record the loss."""
        step = trainer.global_step
        if step % self.every == 0 and "loss" in trainer.callback_metrics:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.rows.append({"step": step, "loss": float(trainer.callback_metrics["loss"]), "lr": float(rate)})

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Record the dev score."""
        if "dev_score" in trainer.callback_metrics and not trainer.sanity_checking:
            self.rows.append({"step": trainer.global_step, "dev_score": float(trainer.callback_metrics["dev_score"])})

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return {"rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue a resumed history."""
        self.rows = list(state_dict["rows"])

    def write(self, folder: Path) -> None:
        """Write `history.jsonl`."""
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        (folder / HISTORY).write_text(text, encoding="utf-8")
