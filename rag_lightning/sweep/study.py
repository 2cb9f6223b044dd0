"""The Optuna study of a sweep. It can be resumed, with the same suggestions as without an interruption."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core import seeds
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import sqlite_url
from rag_lightning.runs import folders
from rag_lightning.runs.system import System
from rag_lightning.sweep.space import Space, shown

MOST_REPEATS = 8
"""Number of repeated suggestions in a row, after which an unseen point is drawn."""


def open_study(space: Space) -> optuna.Study:
    """The study of a sweep, created if it does not exist.

    Raises:
        DataError: the storage is damaged, cannot be reached, or is no storage.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = space.config
    folder = folders.run_group(config.experiment.folder, config.name)
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / "study.db"
    name = f"{config.name}-{space.digest[:8]}"  # a storage that is shared may hold the name with other choices
    try:
        storage = config.storage or sqlite_url(own)
        return optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    except (SQLAlchemyError, StorageInternalError, ImportError, KeyError, ValueError) as error:
        reason = f"no value for {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        place = "storage" if config.storage else own
        hint = "give another URL, or none for a file beside the runs" if config.storage else "remove it and run again"
        raise DataError(place, f"cannot be opened by Optuna: {reason}", hint=hint) from error


def search(space: Space, study: optuna.Study, evaluate: Callable[[System], float]) -> int:
    """Evaluate suggested points until the budget of distinct points is used; returns the number of new evaluations.

    A point that was evaluated before is told to Optuna with its value, and costs nothing. Each suggestion depends on
    (seed, completed trials) only: a trial that an interruption left open is closed, and its point is asked for again.
    """
    for left in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(left.number, state=TrialState.FAIL)
    values, evaluated = evaluated_values(space, study), 0
    while len(values) < space.budget:
        study.sampler = _sampler(space, completed(study))
        trial = study.ask()
        digest = space.digest_of({path: _suggest(trial, path, c) for path, c in space.config.space.items()})
        if digest not in values:
            values[digest] = evaluate(space.systems[digest])
            evaluated += 1
        study.tell(trial, values[digest])
    return evaluated


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """The completed trials, in order."""
    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def evaluated_values(space: Space, study: optuna.Study) -> dict[str, float]:
    """Run digest -> value of each evaluated point, in the order of the first trials."""
    values: dict[str, float] = {}
    for trial in completed(study):
        if trial.value is not None:
            values.setdefault(space.digest_of(trial.params), trial.value)
    return values


def optuna_sampler(config: SweepConfig, position: int) -> optuna.samplers.BaseSampler:
    """The configured sampler (tpe or random), seeded for the trial at a position."""
    seed = seeds.derive_seed(config.seed, f"trial {position}") % 2**32
    if config.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _sampler(space: Space, done: Sequence[FrozenTrial]) -> optuna.samplers.BaseSampler:
    """The configured sampler; one that suggests an unseen point for grid, and after many repeated suggestions."""
    digests = [space.digest_of(trial.params) for trial in done]
    unseen = [point for digest, point in space.points.items() if digest not in digests]
    if space.config.sampler == "grid":
        return _FixedPoint(unseen[0])
    recent = range(max(0, len(digests) - MOST_REPEATS), len(digests))
    if len(recent) == MOST_REPEATS and all(digests[i] in digests[:i] for i in recent):
        seed = seeds.derive_seed(space.config.seed, f"unseen {len(done)}")
        return _FixedPoint(random.Random(seed).choice(unseen))
    return optuna_sampler(space.config, len(done))


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
