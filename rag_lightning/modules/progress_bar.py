"""The bar of a training: optimiser steps with ETA, loss, dev score, pairs a second."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar

from rag_lightning.modules.training import OptimisedModule


class ProgressBar(TQDMProgressBar):
    """Lightning's, which does not know how long endless data is trained on."""

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
            bar.set_description(f"Epoch {trainer.current_epoch}")

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        shown = super().get_metrics(trainer, module)
        if isinstance(module, OptimisedModule):
            shown["pairs/s"] = f"{module.meter.pairs_per_second:.1f}"
        return shown
