"""The MLflow mirrors of a project, and command `track`, which sends stored runs to MLflow."""

from __future__ import annotations

from pathlib import Path

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.runs import folders
from rag_lightning.runs.mlflow import Mirror, default_uri, mirror_all
from rag_lightning.core.console import say


class Mirrors:
    """The mirrors of one project, one per MLflow experiment, each created at its first use.

    Args:
        root: Project folder.
        tracking_uri: MLflow tracking URI; empty for an SQLite file in the project folder.
    """

    def __init__(self, root: str | Path, tracking_uri: str) -> None:
        self.root, self.uri = Path(root), default_uri(Path(root), tracking_uri)
        self._made: dict[str, Mirror] = {}

    def of(self, experiment: str) -> Mirror:
        """The mirror of an MLflow experiment; all runs of a task are in the experiment of its name."""
        if experiment not in self._made:
            self._made[experiment] = Mirror(self.uri, experiment, self.root, say)
        return self._made[experiment]


def run(config: ExperimentConfig) -> None:
    """Send all run folders to MLflow, except those that are already there."""
    mirror = Mirrors(config.folder, config.tracking_uri).of(config.task.name)
    stored = folders.runs(config.folder)
    say(f"{mirror_all(stored, mirror)} runs of {stored} are in MLflow")
