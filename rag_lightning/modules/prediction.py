"""Prediction through Lightning's Trainer, so that devices and progress come from there."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from rag_lightning.core.records import Prediction
from rag_lightning.modules.predictor import Predictor, Question


class PredictionModule(pl.LightningModule):
    """Wraps a Predictor; a batch is a list of questions.

    Attributes:
        predictions: What this process has predicted; Lightning cannot carry frozen records itself.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self._predictor = predictor
        self.predictions: list[Prediction] = []

    def transfer_batch_to_device(self, batch: list[Question], device: Any, index: int) -> list[Question]:
        """Batches are text; tensors are made in the step."""
        return batch

    def predict_step(self, batch: list[Question], *args: Any) -> int:
        """Predict a batch; returns how many questions, because Lightning warns of a step that returns nothing."""
        made = self._predictor.predict(batch)
        self.predictions += made
        return len(made)
