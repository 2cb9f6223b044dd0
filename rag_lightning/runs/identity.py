"""Identity of experiments by the digests of their stages, for run folders, sweeps, claims and the order of work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.stages import score
from rag_lightning.stages.workspace import Workspace

T = TypeVar("T")
SHARED = ("corpus", "examples", "vectors", "reader", "retriever_warmup", "model", "rankings")
"""Kinds of artifacts, the most shared first."""
MODEL = SHARED.index("model") + 1


def lineage(config: ExperimentConfig, split: str) -> dict[str, str]:
    """Kind -> digest of the scores of an experiment on a split, and of all artifacts that they are made from."""
    return score.stage(Workspace(config).on(split)).lineage()


def run_digest(config: ExperimentConfig, split: str) -> str:
    """8 hex digits that identify the scores of an experiment on a split."""
    return lineage(config, split)["scores"][:8]


def reuse_key(config: ExperimentConfig) -> tuple[str, ...]:
    """Digests of an experiment's artifacts; experiments with n equal leading digests share these n artifacts."""
    return shared_of(lineage(config, config.split))


def shared_of(found: Mapping[str, str]) -> tuple[str, ...]:
    """The reuse key of a lineage."""
    return tuple(found.get(kind, "") for kind in SHARED)


def by_reuse(jobs: Sequence[T], config_of: Callable[[T], ExperimentConfig]) -> list[T]:
    """The jobs reordered so that those with shared artifacts follow each other; otherwise the order is kept."""
    return by_keys(jobs, [reuse_key(config_of(job)) for job in jobs])


def by_keys(jobs: Sequence[T], keys: Sequence[tuple[str, ...]]) -> list[T]:
    """As `by_reuse`, with the reuse key of each job."""
    first: dict[tuple[str, ...], int] = {}
    for position, key in enumerate(keys):
        for length in range(1, len(key) + 1):
            first.setdefault(key[:length], position)
    order = [[first[key[:length]] for length in range(1, len(key) + 1)] for key in keys]
    return [jobs[i] for i in sorted(range(len(jobs)), key=lambda i: (order[i], i))]


def differing(old: Any, new: Any, where: str = "") -> list[str]:
    """Dotted names of the differences between two plain values.

    >>> differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4})
    ['a.c', 'd']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = list(dict.fromkeys([*old, *new]))
        found = [differing(old.get(n), new.get(n), f"{where}.{n}" if where else str(n)) for n in names]
        return [name for names in found for name in names]
    return [] if old == new else [where]
