"""Samplers of a sweep: which point is tried next. Each is made anew for each trial, from the seed and its position.

Points that do not depend on results are known before the search, and are tried in an order that shares work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from rag_lightning.core import seeds
from rag_lightning.sweep.axes import Axis, Point, stored
from rag_lightning.sweep.objectives import directions
from rag_lightning.sweep.space import Space

MOST_REPEATS = 8
"""Number of repeated suggestions in a row, after which an unseen point is drawn."""
STARTUP = 10
"""Number of suggestions of TPE that do not depend on results (Optuna's default)."""
GENERATIONS = 5
"""Smallest number of generations of NSGA-II."""


def suggest(space: Space, trial: optuna.Trial) -> Point:
    """The point that a trial suggests; a field whose condition is not met is no part of it."""
    point: Point = {}
    for axis in space.axes:
        if axis.is_active(point):
            point[axis.path] = axis.value_of(_suggest(trial, axis))
    return point


@lru_cache(maxsize=4)
def planned(space: Space) -> Sequence[Point]:
    """The points known before the search, those with shared models and rankings one after the other.

    All of them for grid and random, the first `STARTUP` suggestions for TPE, none for NSGA-II.
    """
    if space.config.sampler == "grid":
        return space.grid
    limit = {"random": None, "tpe": STARTUP}.get(space.config.sampler, 0)
    study, found = optuna.create_study(directions=directions(space.config)), dict[str, Point]()
    done: list[FrozenTrial] = []
    while len(found) < space.budget and (limit is None or len(done) < limit):
        sampler = _sampler(space, done)
        if sampler is None:
            break
        study.sampler = sampler
        trial = study.ask()
        point = suggest(space, trial)
        found.setdefault(space.digest_of(point), point)
        study.tell(trial, [0.0] * len(study.directions))
        done = study.get_trials(deepcopy=False)
    return space.ordered(list(found.values()))


def sampler_for(space: Space, done: Sequence[FrozenTrial]) -> optuna.samplers.BaseSampler | None:
    """A sampler of the next planned point; without one the configured sampler, or one that suggests an unseen point
    after many repeated suggestions.

    Args:
        space: The search space.
        done: The completed trials, in order.

    Returns:
        None if no unseen point is found: the search has ended.
    """
    seen = {space.digest_of(trial.params) for trial in done}
    point = next((point for point in planned(space) if space.digest_of(point) not in seen), None)
    return _sampler(space, done) if point is None else _FixedPoint(point)


def _sampler(space: Space, done: Sequence[FrozenTrial]) -> optuna.samplers.BaseSampler | None:
    if space.config.sampler == "grid":
        return None
    digests = [space.digest_of(trial.params) for trial in done]
    recent = range(max(0, len(digests) - MOST_REPEATS), len(digests))
    if len(recent) == MOST_REPEATS and all(digests[i] in digests[:i] for i in recent):
        point = space.unseen(digests, seeds.derive_seed(space.config.seed, f"unseen {len(done)}"))
        return None if point is None else _FixedPoint(point)
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
