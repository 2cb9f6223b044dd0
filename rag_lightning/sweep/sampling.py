"""Samplers of a sweep: which point is tried next. Each is made anew for each trial, from the seed and its position."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core import seeds
from rag_lightning.sweep.space import Space, shown

MOST_REPEATS = 8
"""Number of repeated suggestions in a row, after which an unseen point is drawn."""


def suggest(space: Space, trial: optuna.Trial) -> dict[str, Any]:
    """The point that a trial suggests, with the values as Optuna stores them."""
    return {path: _suggest(trial, path, choices) for path, choices in space.config.space.items()}


def sampler_for(space: Space, done: Sequence[FrozenTrial]) -> optuna.samplers.BaseSampler:
    """The configured sampler; one that suggests an unseen point for grid, and after many repeated suggestions."""
    digests = [space.digest_of(trial.params) for trial in done]
    unseen = [point for digest, point in space.points.items() if digest not in digests]
    if space.config.sampler == "grid":
        return _FixedPoint(unseen[0])
    recent = range(max(0, len(digests) - MOST_REPEATS), len(digests))
    if len(recent) == MOST_REPEATS and all(digests[i] in digests[:i] for i in recent):
        seed = seeds.derive_seed(space.config.seed, f"unseen {len(done)}")
        return _FixedPoint(random.Random(seed).choice(unseen))
    return _optuna_sampler(space.config, len(done))


def _optuna_sampler(config: SweepConfig, position: int) -> optuna.samplers.BaseSampler:
    """The configured sampler (tpe or random), seeded for the trial at a position."""
    seed = seeds.derive_seed(config.seed, f"trial {position}") % 2**32
    if config.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _suggest(trial: optuna.Trial, path: str, choices: Sequence[Any]) -> Any:
    return trial.suggest_categorical(path, [shown(choice) for choice in choices])


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
        return shown(self.point[param_name])
