"""The order in which experiments share the most: what one has built, the next finds in the process and on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.stages import score
from rag_lightning.stages.workspace import Workspace

T = TypeVar("T")
SHARED = ("corpus", "examples", "vectors", "reader", "retriever_warmup", "model", "rankings")
"""Stages, the most shared first."""


def reuse_key(config: ExperimentConfig) -> tuple[str, ...]:
    """Digests of what is built for an experiment; those that agree in the first n share the first n results."""
    lineage = score.stage(Workspace(config)).lineage()
    return tuple(lineage.get(kind, "") for kind in SHARED)


def by_reuse(jobs: Sequence[T], config_of: Callable[[T], ExperimentConfig]) -> list[T]:
    """Jobs that share come after each other; otherwise the order is kept."""
    keys = [reuse_key(config_of(job)) for job in jobs]
    first: dict[tuple[str, ...], int] = {}
    for position, key in enumerate(keys):
        for length in range(1, len(key) + 1):
            first.setdefault(key[:length], position)
    order = [[first[key[:length]] for length in range(1, len(key) + 1)] for key in keys]
    return [jobs[i] for i in sorted(range(len(jobs)), key=lambda i: (order[i], i))]
