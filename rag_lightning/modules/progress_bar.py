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

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        shown = super().get_metrics(trainer, module)
        if isinstance(module, OptimisedModule):
            shown["pairs/s"] = f"{module.meter.pairs_per_second:.1f}"
        return shown
