"""Strategy classify: the labels of a task, ranked by p(c|x) = sum_z p(z|x) p(c|x,z) (class_scores.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rag_lightning.core.records import Prediction
from rag_lightning.decoding.strategy import Batch, Strategy


@dataclass(frozen=True)
class Classify(Strategy):
    """Classification: ranks all labels of the task by probability."""

    title: ClassVar[str] = "classify"
    formulations: ClassVar[tuple[str, ...]] = ("rag_token", "rag_sequence", "closed_book")
    labels: ClassVar[bool] = True

    @property
    def stored(self) -> str:
        """log p(c|x,z) of a pair depends on no value of a strategy."""
        return "classify"

    def predict(self, batch: Batch) -> list[Prediction]:
        """Every label of each question."""
        from rag_lightning.decoding import class_scores

        found = class_scores.class_log_probs(batch.encodings, batch.pairs, batch.store)
        pools = [class_scores.decode(batch.encodings, m, p) for m, p in zip(found, batch.priors, strict=True)]
        return batch.predictions(pools)
