"""The search space of a sweep: its points, checked before anything runs, and the systems they stand for.

A point is identified by the run digest of its system: points that differ in nothing that has an effect are one. The
digests are computed when they are needed, because a space may be large, or have no end.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.retrieval import check_retriever
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import digest
from rag_lightning.decoding.strategy import check_strategy
from rag_lightning.runs.identity import by_reuse, model_key, run_digest
from rag_lightning.runs.system import CLOSED_BOOK, System, make_system, trivial_decodings
from rag_lightning.stages import classes
from rag_lightning.sweep import objectives
from rag_lightning.sweep.axes import MOST_POINTS, Axis, Point, point_with, points_of, random_point, read_axes, stored

SPLIT = "dev"
"""The split of the search."""
MOST_CHECKED = 500
"""Largest number of points that are all checked before a search; of a larger space the anchors are."""
MOST_DRAWN = 200
"""Number of random points after which a space without end counts as exhausted."""
SMALLEST_NSGA2 = 10
"""Smallest number of trials for NSGA-II: its population is a fifth of them, and two at least."""


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        config: The sweep.
        axes: The searched fields, in order.
        always: The systems that are evaluated beside the search.
    """

    config: SweepConfig
    axes: tuple[Axis, ...]
    always: tuple[System, ...]
    _digests: dict[str, str] = field(default_factory=dict, repr=False)
    _systems: dict[str, System] = field(default_factory=dict, repr=False)

    @cached_property
    def points(self) -> Sequence[Point] | None:
        """All points in order; None if a range has no steps, or they are more than MOST_POINTS."""
        if any(axis.values is None for axis in self.axes):
            return None
        found = list(islice(points_of(self.axes), MOST_POINTS + 1))
        return found if len(found) <= MOST_POINTS else None

    @cached_property
    def anchors(self) -> Sequence[Point]:
        """Points that together have every choice and both ends of every range."""
        found = {
            _key(point): point
            for axis in self.axes
            for value in axis.ends
            for point in [point_with(self.axes, axis, value)]
        }
        return list(found.values())

    @property
    def checked(self) -> Sequence[Point]:
        """The points that are checked before the search: all of a small space, else the anchors."""
        return self.anchors if self.points is None or len(self.points) > MOST_CHECKED else self.points

    @cached_property
    def budget(self) -> int:
        """The number of distinct points that the search evaluates; the trials, if the points cannot be enumerated."""
        return self.config.trials if self.points is None else len(self._distinct(self.points))

    @cached_property
    def grid(self) -> Sequence[Point]:
        """The first distinct points, as many as the budget, ordered so that models and rankings are shared."""
        return by_reuse(self._distinct(self.points or ()), lambda point: self.system_of(point).config)

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The parts that must not change when a sweep is continued: systems, choices, objectives and constraints."""
        plain = to_dict(self.config)
        systems = sorted({self.digest_of(point) for point in self.checked})
        return {"systems": digest(systems), **{name: plain[name] for name in ("space", "objectives", "constraints")}}

    @cached_property
    def digest(self) -> str:
        """The digest of `spec`, which identifies the sweep."""
        return digest(self.spec)

    def point_of(self, found: Mapping[str, Any]) -> Point:
        """The point of a trial's values, as Optuna stores them, or of a point."""
        return {axis.path: axis.value_of(found[axis.path]) for axis in self.axes if axis.path in found}

    def digest_of(self, point: Mapping[str, Any]) -> str:
        """The run digest of a point, or of a trial's values as Optuna stores them."""
        own = self.point_of(point)
        key = _key(own)
        if key not in self._digests:
            system = make_system(self.config.experiment, own)
            self._digests[key] = run_digest(system.config, SPLIT)
            self._systems.setdefault(self._digests[key], system)
        return self._digests[key]

    def system_of(self, found: str | Mapping[str, Any]) -> System:
        """The system of a point, or of a run digest that `digest_of` has returned."""
        return self._systems[found if isinstance(found, str) else self.digest_of(found)]

    @property
    def systems(self) -> list[System]:
        """The systems of the anchors: together they have every choice and both ends of every range."""
        return [self.system_of(point) for point in self.anchors]

    def unseen(self, seen: Iterable[str], seed: int) -> Point | None:
        """A random point whose digest is not in `seen`; None if there is none, or none is found."""
        known, source = set(seen), random.Random(seed)
        drawn: Iterator[Point] | list[Point] = (random_point(self.axes, source) for _ in range(MOST_DRAWN))
        if self.points is not None:
            drawn = source.sample(self.points, len(self.points))
        return next((point for point in drawn if self.digest_of(point) not in known), None)

    @cached_property
    def shared_models(self) -> list[System]:
        """One system per formulation if the space does not change training, else none."""
        models: dict[tuple[str, ...], System] = {}
        systems = [*self.systems, *self.always]
        systems = [system for system in systems if not system.config.decoding.made().from_train]
        for system in systems:
            models.setdefault(model_key(system.config), system)
        return list(models.values()) if len(models) == len({s.config.formulation for s in systems}) else []

    def _distinct(self, points: Iterable[Point]) -> list[Point]:
        """The first points with different digests, at most as many as the trials."""
        found: dict[str, Point] = {}
        for point in points:
            found.setdefault(self.digest_of(point), point)
            if len(found) == self.config.trials:
                break
        return list(found.values())


def open_space(config: SweepConfig) -> Space:
    """Check a search space, with the systems of `always`.

    Raises:
        ConfigError, UnknownNameError: a value that cannot be used.
    """
    objectives.check(config)
    axes = read_axes(config.space)
    space = Space(config, axes, _baselines(config))
    if config.sampler == "grid" and space.points is None:
        problem = f"needs a space of at most {MOST_POINTS:,} points; give ranges a step, or choose another sampler"
        raise ConfigError(f"sampler=grid: {problem}")
    if config.sampler == "nsga2" and config.trials < SMALLEST_NSGA2:
        raise ConfigError(f"trials={config.trials}: sampler=nsga2 needs at least {SMALLEST_NSGA2}; choose another")
    for point in space.checked:
        _checked(config, point)
    return space


def _baselines(config: SweepConfig) -> tuple[System, ...]:
    """The systems of `always`, and those of the trivial baselines that are not among them."""
    always = [_checked(config, point) for point in config.always]
    trivial = [_checked(config, {"decoding": name}) for name in trivial_decodings()] if config.trivial else []
    labels = {system.label for system in always}
    return (*always, *(system for system in trivial if system.label not in labels))


def _checked(config: SweepConfig, point: Mapping[str, Any]) -> System:
    system = make_system(config.experiment, point)
    found = system.config
    objectives.check_system(config, system)
    check_strategy(found.formulation, found.decoding.strategy)
    classes.check(found)
    check_retriever(found.retriever, found.formulation)
    k, limit = found.decoding.k, found.retriever.k_max
    if found.formulation != CLOSED_BOOK and not 1 <= k <= limit:
        raise ConfigError(f"{system.label}: k={k} must be 1 to experiment.retriever.k_max={limit}")
    return system


def _key(point: Mapping[str, Any]) -> str:
    return json.dumps({path: stored(value) for path, value in point.items()}, sort_keys=True)
