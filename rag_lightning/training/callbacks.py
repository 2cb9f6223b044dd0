"""Callbacks: a resume point that is never half written, the history of what was logged, the meter, SIGTERM.

The bar of a training: optimiser steps with ETA, loss, dev score, pairs a second.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm
from pytorch_lightning.utilities.exceptions import SIGTERMException

from rag_lightning.core.console import bar_title, bar_width
from rag_lightning.core.files import replace_file, write_lines
from rag_lightning.core.hardware import return_free_memory
from rag_lightning.training.measures import Meter, gradient_norm
from rag_lightning.training.module import OptimisedModule
from rag_lightning.training.watch import ALARMS

RESUME = "resume.ckpt"
SHARE = 0.05
"""Largest share of a training's time that saving takes, unless the points would be too far apart."""
HISTORY = "history.jsonl"
TRIM_EVERY = 4
"""Batches between two returns of free memory."""


def has_stepped(trainer: pl.Trainer, batch_index: int) -> bool:
    """Whether this batch ended an optimiser step, rather than waiting for more batches."""
    return (batch_index + 1) % trainer.accumulate_grad_batches == 0


class ResumePoint(pl.Callback):
    """Saves the whole training state by rename: every `every` steps, by time, and on SIGTERM.

    By time: as often as saving takes at most a share of the training, but not before `soonest` seconds have passed
    since the last time, and whatever it takes after `latest`. So a kill costs a short training seconds, too.

    On SIGTERM Lightning ends a training of one process after the batch; one that ends no step is not saved. A step that
    is followed by an evaluation is not saved but the one after it: a run resumed in between would take the evaluation
    for done, without its score.
    """

    def __init__(self, folder: Path, every: int, soonest: float, latest: float) -> None:
        self.path, self.every, self.soonest, self.latest = folder / RESUME, every, soonest, latest
        self._due = False
        self._saved_at, self._cost = perf_counter(), 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock."""
        self._saved_at = perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after an optimiser step that is due by count or time, except the last."""
        if not has_stepped(trainer, batch_idx):
            return
        step = trainer.global_step
        self._due |= step % self.every == 0 or self._late(trainer)
        if self._due and step < (trainer.max_steps or 0) and not _evaluates(trainer, batch_idx):
            began = perf_counter()
            temporary = self.path.with_suffix(".tmp")
            trainer.save_checkpoint(temporary)  # every process takes part, the first writes
            if trainer.is_global_zero:
                replace_file(temporary, self.path)
            self._due, self._saved_at = False, perf_counter()
            self._cost = self._saved_at - began

    def _late(self, trainer: pl.Trainer) -> bool:
        """Whether the time has come, or the end: for the first process, so that all save together."""
        wait = min(max(self._cost / SHARE, self.soonest), self.latest)
        late = trainer.received_sigterm or perf_counter() - self._saved_at >= wait
        return bool(trainer.strategy.broadcast(late)) if trainer.world_size > 1 else late


def _evaluates(trainer: pl.Trainer, batch_index: int) -> bool:
    """Whether an evaluation follows this batch."""
    every = trainer.val_check_batch
    return trainer.enable_validation and every is not None and (batch_index + 1) % every == 0


class History(pl.Callback):
    """Keeps a row of every step with values to log; part of the resume point.

    Every step: the norm of the gradient into the query encoder, before clipping, where it is trained. Every `every`
    steps: loss (a mean over the batches of the step) and rate. Every evaluation: dev_score and the monitored values.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self.rows: list[dict[str, float]] = []
        self._norm: float | None = None
        self._losses: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        """Measure the gradient before it is clipped."""
        watched = module.watched() if isinstance(module, OptimisedModule) else []
        self._norm = float(gradient_norm(watched)) if watched else None

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step."""
        self._losses.append(float(trainer.callback_metrics["loss"]))
        if not has_stepped(trainer, batch_idx):
            return
        step = trainer.global_step
        row: dict[str, float] = {}
        if step % self.every == 0:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            row = {"loss": sum(self._losses) / len(self._losses), "lr": float(rate)}
        if self._norm is not None:
            row["query_gradient_norm"] = self._norm
        if row:
            self.rows.append({"step": step, **row})
        self._losses = []

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Record the dev score and the monitored values."""
        if "dev_score" in trainer.callback_metrics and not trainer.sanity_checking:
            observed = module.observed if isinstance(module, OptimisedModule) else {}
            score = float(trainer.callback_metrics["dev_score"])
            self.rows.append({"step": trainer.global_step, "dev_score": score, **observed})

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return {"rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue a resumed history."""
        self.rows = list(state_dict["rows"])

    def summary(self) -> dict[str, Any]:
        """`evaluation`: the values monitored with the best weights; `alarms`: the steps at which each was raised.

        Empty where retrieval was not monitored.
        """
        seen = [row for row in self.rows if ALARMS.keys() & row.keys()]  # a resume point may know fewer alarms
        if not seen:
            return {}
        best = max(seen, key=lambda row: row["dev_score"])
        kept = {name: value for name, value in best.items() if name not in ("dev_score", *ALARMS)}
        raised = {name: [int(row["step"]) for row in seen if row.get(name)] for name in ALARMS}
        return {"evaluation": kept, "alarms": {name: steps for name, steps in raised.items() if steps}}

    def write(self, folder: Path) -> None:
        """Write `history.jsonl`."""
        write_lines(folder / HISTORY, map(json.dumps, self.rows))


class Terminable(pl.Callback):
    """Ends a prediction or evaluation after its batch on SIGTERM, which Lightning obeys between training steps only."""

    def on_predict_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Called after every batch."""
        if trainer.received_sigterm:
            raise SIGTERMException

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Called after every batch of an evaluation."""
        self.on_predict_batch_end(trainer)


class Metered(pl.Callback):
    """Times the steps for the module's meter, which becomes part of the resume point.

    Args:
        meter: Meter of the module.
    """

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._began = 0.0

    def on_train_batch_start(self, *args: Any) -> None:
        """Called before every batch."""
        self._began = perf_counter()

    def on_train_batch_end(self, *args: Any) -> None:
        """Called after every batch."""
        self.meter.step_seconds += perf_counter() - self._began

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return self.meter.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self.meter.load_state_dict(state_dict)


class Trimmed(pl.Callback):
    """Returns free memory to the system every few batches, so that a training does not grow."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Called after every batch."""
        if batch_idx % TRIM_EVERY == 0:
            return_free_memory()


class TransientBar(Tqdm):
    """A bar that is gone when the work is done, and keeps its title, which Lightning would change to "Epoch 0"."""

    def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
        """Keep the title."""


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with the number of batches, which it cannot know of endless data."""

    def init_train_tqdm(self) -> Tqdm:
        """The bar of a training."""
        return self._bar("training", 0)

    def init_validation_tqdm(self) -> Tqdm:
        """The bar of an evaluation on dev, below that of its training."""
        return self._bar("dev", 1)

    def init_predict_tqdm(self) -> Tqdm:
        """The bar of a prediction."""
        return self._bar("predicting", 0)

    def _bar(self, what: str, position: int) -> Tqdm:
        shown = {"ncols": bar_width(), "smoothing": 0, "bar_format": self.BAR_FORMAT, "file": sys.stderr}
        return TransientBar(desc=bar_title(what), position=position, disable=self.is_disabled, leave=False, **shown)

    @property
    def total_train_batches(self) -> int | float:
        """Batches until the last step."""
        trainer = self.trainer
        return trainer.max_steps * trainer.accumulate_grad_batches if trainer.max_steps > 0 else float("inf")

    def on_train_start(self, trainer: pl.Trainer, *args: Any) -> None:
        """Begin the bar; where a training is resumed no epoch begins, which would say how long it is."""
        super().on_train_start(trainer, *args)
        done = trainer.global_step * trainer.accumulate_grad_batches
        if done:
            bar = self.train_progress_bar
            bar.total, bar.initial, bar.n = int(self.total_train_batches), done, done
            bar.refresh()

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        """The values shown behind the bar."""
        shown = super().get_metrics(trainer, module)
        if isinstance(module, OptimisedModule):
            shown["pairs/s"] = f"{module.meter.pairs_per_second:.1f}"
        return shown
