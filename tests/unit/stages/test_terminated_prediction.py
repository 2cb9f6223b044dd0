"""SIGTERM ends a prediction, which Lightning would go on with."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from rag_lightning.core.errors import Terminated
from rag_lightning.stages.predict import predict_all


def test_sigterm_ends_a_prediction_after_its_batch() -> None:
    class Asked:
        """Three batches of a question each; the process is told to end in the first."""

        made = 0

        def batches(self, asked: Sequence[str]) -> list[list[str]]:
            return [[question] for question in asked]

        def predict(self, batch: Sequence[str]) -> list[str]:
            self.made += 1
            os.kill(os.getpid(), signal.SIGTERM)
            return list(batch)

    predictor: Any = Asked()
    questions: Any = ["a", "b", "c"]
    with pytest.raises(Terminated):
        predict_all(predictor, questions)
    assert predictor.made == 1
