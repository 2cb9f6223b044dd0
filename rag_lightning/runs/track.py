"""Stage `track`: send stored runs to MLflow that are not there yet, such as those of a time when it was down."""

from __future__ import annotations

from pathlib import Path

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.stages.workspace import say
from rag_lightning.runs.mlflow import Mirror, default_uri, mirror_all


def run(config: ExperimentConfig) -> None:
    """Mirror every run folder below `folder`; what is there already is left alone."""
    root = Path(config.folder)
    mirror = Mirror(default_uri(root, config.tracking_uri), config.task.name, root, say)
    say(f"{mirror_all(root / 'runs', mirror)} runs of {root / 'runs'} are in MLflow")
