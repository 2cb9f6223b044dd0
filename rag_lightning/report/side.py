"""Finished runs by name; one side of a comparison: a scored run, or scores, and what is stored of its questions."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import MANIFEST, Artifact, folder_of, open_artifact
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.files import read_object
from rag_lightning.core.records import Example, Passage, Prediction, Ranking, Score, by_id, read_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.report.collect import Run, degraded_metrics, read_stored
from rag_lightning.runs import folders
from rag_lightning.runs.record import RUN


@dataclass(frozen=True)
class Side:
    """One of two systems that are compared: a run, or an artifact of scores that belongs to none.

    Args:
        artifact: Its scores.
        run: Its run, None for scores alone.
    """

    artifact: Artifact
    run: Run | None = None

    @property
    def name(self) -> str:
        """Name of the run's folder, or digest of the scores."""
        return self.run.run_id if self.run else self.artifact.digest

    @property
    def label(self) -> str:
        """The system's label in tables."""
        return self.run.label if self.run else f"scores {self.artifact.digest}"

    @property
    def data(self) -> str:
        """Data set, as far as it is known, and split."""
        return f"{self.run.dataset} {self.run.split}" if self.run else str(self._settings.get("split", ""))

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Id of a question -> its scores."""
        return by_id(read_jsonl(self.artifact.path / "scores.jsonl", Score))

    @cached_property
    def predictions(self) -> dict[str, Prediction]:
        """Id of a question -> its prediction; empty where they are no longer stored."""
        made = self._input("predictions")
        return by_id(read_jsonl(made.path / "predictions.jsonl", Prediction)) if made else {}

    @cached_property
    def examples(self) -> dict[str, Example]:
        """Id of a question -> the question; empty where they are no longer stored."""
        asked = self._input("examples")
        return by_id(read_jsonl(asked.path / f"{self._settings['split']}.jsonl", Example)) if asked else {}

    @cached_property
    def degraded(self) -> frozenset[str]:
        """Metrics whose values are worth less than they look."""
        path = self.artifact.path / "summary.json"
        return degraded_metrics(path, read_object(path, hint="score the run again"))

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics with a value per question, the task's own ones first."""
        there = {name for score in self.scores.values() for name in score.values}
        listed = self._settings.get("metrics") or sorted(there)
        return [name for name in listed if name in there]

    def passages(self, ids: Collection[str]) -> dict[str, list[Passage]]:
        """Id of a question -> the passages that were read, best first; empty where none were, or none are stored."""
        ranked, k = self._input("rankings"), int(self._settings.get("k", 0))
        corpus = ranked and _stored(self._root / "corpus" / str(ranked.manifest["inputs"].get("corpus")))
        if not ranked or not corpus or not k:
            return {}
        store = PassageStore(corpus.path)
        rankings = by_id(read_jsonl(ranked.path / "rankings.jsonl", Ranking))
        return {one: [store[row] for row in rankings[one].rows[:k]] for one in ids if one in rankings}

    @property
    def _root(self) -> Path:
        return self.artifact.path.parent.parent

    @property
    def _settings(self) -> Mapping[str, Any]:
        settings: Mapping[str, Any] = self.artifact.manifest.get("config", {})
        return settings

    def _input(self, kind: str) -> Artifact | None:
        """An artifact that the scores were made from, None if it is no longer stored."""
        return _stored(self._root / kind / str(self.artifact.manifest.get("inputs", {}).get(kind)))


def finished_run(root: str | Path, name: str) -> Run:
    """The finished run of a name, as `folders.find_run` reads it.

    Raises:
        UnknownNameError: no such run, or several; the message has the nearest names.
        ConfigError: it has not finished.
        DataError: its run.json or summary.json is damaged.
    """
    run = read_stored(folders.find_run(root, name) / RUN)
    if not run.finished:
        raise ConfigError(
            f"run {run.run_id} is marked {run.status}: only a finished run has outputs and scores; run it again"
        )
    return run


def find_side(root: str | Path, name: str) -> Side:
    """The system of a name: a run (folder, name or unique part of it), or scores (folder or digest).

    Raises:
        UnknownNameError: no such run, or several.
        ConfigError: a run that has not finished, or a folder that holds no scores.
        ArtifactError: the scores are gone or altered.
        DataError: a damaged run.
    """
    for folder in (Path(name), folders.artifacts(root) / "scores" / name):
        if name and os.path.isfile(folder / MANIFEST):  # False also for what is no path
            artifact = open_artifact(folder)
            if artifact.kind != "scores":
                raise ConfigError(f"{folder}: holds {artifact.kind}, not scores; give a folder of artifacts/scores")
            return Side(artifact)
    run = finished_run(root, name)
    scores = folder_of(folders.artifacts(root), "scores", run.record.get("digests", {}).get("scores"))
    if not scores.exists():
        raise ArtifactError(f"{scores}: the scores of run {run.run_id} are no longer stored; run it again")
    return Side(open_artifact(scores, "scores"), run)


def _stored(folder: Path) -> Artifact | None:
    return open_artifact(folder) if (folder / MANIFEST).is_file() else None
