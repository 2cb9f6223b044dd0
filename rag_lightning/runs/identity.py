"""What makes two experiments the same: the digests of their stages. Run folders, sweeps, claims and the order of work
ask here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.stages import score
from rag_lightning.stages.workspace import Workspace

T = TypeVar("T")
SHARED = ("corpus", "examples", "vectors", "reader", "retriever_warmup", "model", "rankings")
"""Stages, the most shared first."""
MODEL = SHARED.index("model") + 1


def run_digest(config: ExperimentConfig, split: str) -> str:
    """8 hex digits, the same for two experiments exactly where their scores on the split are the same."""
    return score.stage(Workspace(config).on(split)).digest[:8]


def reuse_key(config: ExperimentConfig) -> tuple[str, ...]:
    """Digests of what is built for an experiment; those that agree in the first n share the first n results."""
    lineage = score.stage(Workspace(config)).lineage()
    return tuple(lineage.get(kind, "") for kind in SHARED)


def model_key(config: ExperimentConfig) -> tuple[str, ...]:
    """Equal for two experiments that share one trained model."""
    return reuse_key(config)[:MODEL]


def by_reuse(jobs: Sequence[T], config_of: Callable[[T], ExperimentConfig]) -> list[T]:
    """Jobs that share come after each other; otherwise the order is kept."""
    keys = [reuse_key(config_of(job)) for job in jobs]
    first: dict[tuple[str, ...], int] = {}
    for position, key in enumerate(keys):
        for length in range(1, len(key) + 1):
            first.setdefault(key[:length], position)
    order = [[first[key[:length]] for length in range(1, len(key) + 1)] for key in keys]
    return [jobs[i] for i in sorted(range(len(jobs)), key=lambda i: (order[i], i))]


def differing(old: Any, new: Any, where: str = "") -> list[str]:
    """Dotted names of what differs between two plain values.

    >>> differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4})
    ['a.c', 'd']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = list(dict.fromkeys([*old, *new]))
        found = [differing(old.get(n), new.get(n), f"{where}.{n}" if where else str(n)) for n in names]
        return [name for names in found for name in names]
    return [] if old == new else [where]
