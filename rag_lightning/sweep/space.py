"""The search space of a sweep: all combinations of the choices, checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.retrieval import check_retriever
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import digest
from rag_lightning.core.registry import check_name
from rag_lightning.decoding.strategy import check_strategy
from rag_lightning.metrics.outcomes import objectives
from rag_lightning.runs.identity import model_key, run_digest
from rag_lightning.runs.system import CLOSED_BOOK, Point, System, make_system
from rag_lightning.stages import classes
from rag_lightning.tasks.spec import get_task

SPLIT = "dev"
"""The split of the search."""


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        config: The sweep.
        digests: Any point, as JSON -> its run digest.
        points: Run digest -> the first point with it; points that differ in nothing that has an effect are one.
        systems: Run digest -> its system.
        always: The systems that are evaluated beside the search.
    """

    config: SweepConfig
    digests: Mapping[str, str]
    points: Mapping[str, dict[str, Any]]
    systems: Mapping[str, System]
    always: tuple[System, ...]

    @property
    def budget(self) -> int:
        """The number of distinct points that the search evaluates."""
        return min(self.config.trials, len(self.points))

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The parts that must not change when a sweep is continued: systems, choices and objective."""
        plain = to_dict(self.config)
        return {"systems": digest(sorted(self.systems)), "space": plain["space"], "objective": self.config.objective}

    @cached_property
    def digest(self) -> str:
        """The digest of `spec`, which identifies the sweep."""
        return digest(self.spec)

    def digest_of(self, point: Point) -> str:
        """The run digest of any point of the space."""
        return self.digests[_key(point)]

    @cached_property
    def shared_models(self) -> list[System]:
        """One system per formulation if the space does not change training, else none."""
        first = next(iter(self.points.values()))
        beside = [first | {path: choice} for path, choices in self.config.space.items() for choice in choices]
        systems = [*(self.systems[self.digest_of(point)] for point in beside), *self.always]
        models: dict[tuple[str, ...], System] = {}
        for system in systems:
            models.setdefault(model_key(system.config), system)
        return list(models.values()) if len(models) == len({s.config.formulation for s in systems}) else []


def open_space(config: SweepConfig) -> Space:
    """Check and expand a search space, with the systems of `always`.

    Raises:
        ConfigError, UnknownNameError: a value that cannot be used.
    """
    if not config.space or not all(config.space.values()):
        raise ConfigError("a sweep needs a space with at least one choice of each field")
    for path, choices in config.space.items():
        if len(set(map(shown, choices))) < len(choices):
            raise ConfigError(f"space.{path} names a choice twice: {', '.join(map(str, map(shown, choices)))}")
    _check_objective(config, config.experiment)
    digests: dict[str, str] = {}
    points: dict[str, dict[str, Any]] = {}
    systems: dict[str, System] = {}
    for point in _product(config):
        system = _checked(config, point)
        key = digests[_key(point)] = run_digest(system.config, SPLIT)
        points.setdefault(key, point)
        systems.setdefault(key, system)
    return Space(config, digests, points, systems, tuple(_checked(config, point) for point in config.always))


def shown(choice: Any) -> Any:
    """A choice as Optuna stores it, with lists and mappings as JSON."""
    return choice if isinstance(choice, str | int | float | bool | None) else json.dumps(choice, sort_keys=True)


def _product(config: SweepConfig) -> Iterator[dict[str, Any]]:
    for values in product(*config.space.values()):
        yield dict(zip(config.space, values, strict=True))


def _checked(config: SweepConfig, point: Point) -> System:
    system = make_system(config.experiment, point)
    found = system.config
    _check_objective(config, found)
    check_strategy(found.formulation, found.decoding.strategy)
    classes.check(found)
    check_retriever(found.retriever, found.formulation)
    k, limit = found.decoding.k, found.retriever.k_max
    if found.formulation != CLOSED_BOOK and not 1 <= k <= limit:
        raise ConfigError(f"{system.label}: k={k} must be 1 to experiment.retriever.k_max={limit}")
    return system


def _check_objective(config: SweepConfig, experiment: ExperimentConfig) -> None:
    task = get_task(experiment.task.name)
    check_name(f"objective of {task.name}", config.objective, [metric.name for metric in objectives(task)])


def _key(point: Point) -> str:
    return json.dumps({path: shown(value) for path, value in point.items()}, sort_keys=True)
