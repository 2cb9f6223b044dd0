"""The Python API of an experiment.

>>> from rag_lightning import Experiment                                # doctest: +SKIP
>>> experiment = Experiment.load("experiments/nq_rag_sequence.yaml")    # doctest: +SKIP
>>> experiment.train()                                                  # doctest: +SKIP
>>> print(experiment.score("dev"))                                      # doctest: +SKIP
>>> print(experiment.ask("what is the capital of bhutan"))              # doctest: +SKIP
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import load_experiment
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.records import Prediction, read_jsonl
from rag_lightning.runs.score import enter
from rag_lightning.runs.system import label_of
from rag_lightning.stages import ask, predict, score, train
from rag_lightning.stages.answer import Answer
from rag_lightning.stages.workspace import Workspace


class Experiment:
    """An experiment; each method builds the artifacts it needs and reuses those that exist."""

    def __init__(self, config: ExperimentConfig) -> None:
        self.workspace = Workspace(config)

    @classmethod
    def load(cls, path: Path | str, **changes: Any) -> Experiment:
        """Load a YAML file; keyword arguments replace top-level fields."""
        return cls(load_experiment(Path(path), changes))

    def train(self) -> Artifact:
        """Train the model; returns its artifact."""
        return train.build(self.workspace)

    def predict(self, split: str = "dev") -> list[Prediction]:
        """Predict a split."""
        return list(read_jsonl(predict.build(self.workspace, split).path / predict.PREDICTIONS, Prediction))

    def score(self, split: str = "dev") -> dict[str, Any]:
        """Score a split; returns the estimates of all metrics, also by slice. Test goes into the ledger."""
        made, config = score.build(self.workspace, split), self.workspace.config
        enter(config, made, label_of(config))
        text = (made.path / score.SUMMARY).read_text(encoding="utf-8")
        summary: dict[str, Any] = json.loads(text)
        return summary

    def ask(self, question: str) -> Answer:
        """Answer one question."""
        return ask.answer(self.workspace, question)
