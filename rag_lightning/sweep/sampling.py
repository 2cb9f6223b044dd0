"""Samplers of a sweep: which point is tried next. Each is made anew for each trial, from the seed and its position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from rag_lightning.core import seeds
from rag_lightning.sweep.axes import Axis, Point, stored
from rag_lightning.sweep.space import Space

MOST_REPEATS = 8
"""Number of repeated suggestions in a row, after which an unseen point is drawn."""
GENERATIONS = 5
"""Smallest number of generations of NSGA-II."""


def suggest(space: Space, trial: optuna.Trial) -> Point:
    """The point that a trial suggests; a field whose condition is not met is no part of it."""
    point: Point = {}
    for axis in space.axes:
        if axis.is_active(point):
            point[axis.path] = axis.value_of(_suggest(trial, axis))
    return point


def sampler_for(space: Space, done: Sequence[FrozenTrial]) -> optuna.samplers.BaseSampler | None:
    """The configured sampler; one that suggests an unseen point for grid, and after many repeated suggestions.

    Args:
        space: The search space.
        done: The completed trials, in order.

    Returns:
        None if no unseen point is found: the search has ended.
    """
    digests = [space.digest_of(trial.params) for trial in done]
    if space.config.sampler == "grid":
        seen = set(digests)
        return _fixed(next((point for point in space.grid if space.digest_of(point) not in seen), None))
    recent = range(max(0, len(digests) - MOST_REPEATS), len(digests))
    if len(recent) == MOST_REPEATS and all(digests[i] in digests[:i] for i in recent):
        return _fixed(space.unseen(digests, seeds.derive_seed(space.config.seed, f"unseen {len(done)}")))
    return _optuna_sampler(space, len(done))


def _optuna_sampler(space: Space, position: int) -> optuna.samplers.BaseSampler:
    """The configured sampler of Optuna, seeded for the trial at a position."""
    seed = seeds.derive_seed(space.config.seed, f"trial {position}") % 2**32
    if space.config.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if space.config.sampler == "nsga2":
        return _NSGAII(population_size=space.config.trials // GENERATIONS, seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _suggest(trial: optuna.Trial, axis: Axis) -> Any:
    span = axis.span
    if span is None:
        return trial.suggest_categorical(axis.path, list(axis.choices))
    if span.whole:
        return trial.suggest_int(axis.path, int(span.low), int(span.high), step=int(span.step or 1), log=span.log)
    return trial.suggest_float(axis.path, span.low, span.high, step=span.step, log=span.log)


def _fixed(point: Mapping[str, Any] | None) -> optuna.samplers.BaseSampler | None:
    return None if point is None else _FixedPoint(point)


class _NSGAII(optuna.samplers.NSGAIISampler):
    """NSGA-II whose parents have one order. Optuna's order is another after an interruption, and so is its choice."""

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The parents of a generation in the order of their trials."""
        return sorted(super().get_parent_population(study, generation), key=lambda trial: trial.number)


class _FixedPoint(optuna.samplers.BaseSampler):
    """Suggests one given point. Optuna's GridSampler would skip a point whose trial was interrupted."""

    def __init__(self, point: Mapping[str, Any]) -> None:
        self.point = point

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Empty: the suggestion does not depend on other trials."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        """Empty: the suggestion does not depend on other trials."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """The value of the point."""
        return stored(self.point[param_name])
