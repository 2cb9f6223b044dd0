"""The Python API of an experiment.

>>> from rag_lightning import Experiment                                # doctest: +SKIP
>>> experiment = Experiment.load("experiments/nq_rag_sequence.yaml")    # doctest: +SKIP
>>> experiment.train()                                                  # doctest: +SKIP
>>> print(experiment.score("dev"))                                      # doctest: +SKIP
>>> print(experiment.ask("what is the capital of bhutan"))              # doctest: +SKIP
>>> experiment.swap({"corpus.source": "newer.tsv"})                     # doctest: +SKIP
>>> experiment.update(removed=["p7"])                                   # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import load_experiment
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.records import Passage, Prediction, read_jsonl
from rag_lightning.runs.score import enter
from rag_lightning.runs.system import Point, configure, label_of
from rag_lightning.stages import ask, predict, score, train
from rag_lightning.stages.answer import Answer
from rag_lightning.stages.ask import OpenSystem
from rag_lightning.stages.memory import check_swap, open_swapped
from rag_lightning.stages.updates import update_memory
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

    @cached_property
    def system(self) -> OpenSystem:
        """The system, built if it does not exist and opened at its first use."""
        return ask.open_system(self.workspace)

    def ask(self, question: str) -> Answer:
        """Answer one question with the memory in use.

        Raises:
            ConfigError: an empty question, or one that is too long for the generator.
        """
        ask.example_of(question)  # before anything is built
        return self.system.answer(question)

    def swap(self, point: Point, name: str = "") -> tuple[str, ...]:
        """Build and use another memory, corpus and index, under the loaded model.

        Questions that are being answered finish with the memory that they began with.

        Args:
            point: Fields of sections corpus, index and bm25 -> values: {"corpus.source": "newer.tsv"}; the others are
                those of the experiment.
            name: Name of the version, for `rollback`; a version of this name is replaced. Empty for the names
                of corpus and index, with a number where another memory has them.

        Returns:
            Names of the versions that are kept; the last is in use.

        Raises:
            ConfigError: closed book, another field, or decoding.k is larger than the corpus.
            DataError: the corpus cannot be read.
        """
        check_swap(self.workspace.config, point)
        config = configure(self.workspace.config, point)
        self.system.swap(open_swapped(self.workspace, config, self.system.encoder, name), bool(name))
        return self.system.versions

    def update(
        self, passages: Sequence[Passage] = (), removed: Collection[str] = (), name: str = ""
    ) -> tuple[str, ...]:
        """Add, replace and remove passages of the memory in use, which is swapped for the updated one.

        Answers are those of a memory that is built anew of the changed corpus, for an exact index and for BM25. The
        update is kept in memory only: a corpus that is to last is a file for `swap`.

        Args:
            passages: Passages to add at the end of the corpus; one whose id the corpus holds replaces it.
            removed: Ids of passages to remove.
            name: Name of the version; empty for that of the memory in use, whose place it takes.

        Returns:
            As `swap`.

        Raises:
            ConfigError: closed book, an id that is given twice or cannot be removed, a passage without text, or
                decoding.k is larger than the corpus.
        """
        check_swap(self.workspace.config, {})
        self.system.swap(update_memory(self.workspace, self.system.memory, passages, removed, name))
        return self.system.versions

    def rollback(self, name: str = "") -> tuple[str, ...]:
        """Use an earlier version of the memory again: a named one, or the one before; returns as `swap`.

        Raises:
            UnknownNameError: no version of this name is kept.
            ConfigError: closed book, or there is no earlier version.
        """
        self.system.rollback(name)
        return self.system.versions
