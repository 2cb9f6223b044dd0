"""The tiny project with fields of some sections changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import Artifact
from rag_lightning.stages.workspace import Workspace


def of(project: ExperimentConfig, said: list[str] | None = None, **changes: Any) -> Workspace:
    """The project with fields of its retriever and generator changed."""
    retriever = {n: changes.pop(n) for n in ("kind", "trained_with", "train", "null_document") if n in changes}
    config = replace(project, retriever=replace(project.retriever, **retriever), **changes)
    heard = (said if said is not None else []).append
    return Workspace(config, heard, heard)


def inputs(artifact: Artifact) -> set[str]:
    """Names of what it was made from."""
    return set(artifact.manifest["inputs"])
