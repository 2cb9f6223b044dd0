"""The Optuna study: which system is tried next. Resumable; the same after a kill as without one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import optuna
from optuna.trial import TrialState

from rag_lightning.core import seeds
from rag_lightning.core.config import SweepConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.sweep.system import System
from rag_lightning.sweep.trial import sweep_folder


def check(config: SweepConfig) -> list[System]:
    """Every point of the search space and the systems that always run.

    Raises:
        ConfigError, UnknownNameError: a value that cannot be used.
    """
    if config.trials < 1 or not (config.k and config.retriever and config.decoding):
        raise ConfigError("a sweep needs trials >= 1 and at least one k, retriever and decoding")
    if max(config.k) > config.experiment.retriever.k_max:
        limit = config.experiment.retriever.k_max
        raise ConfigError(f"k={max(config.k)} exceeds experiment.retriever.k_max={limit}; raise k_max")
    points = [System.make(d, r, k) for d, r, k in product(config.decoding, config.retriever, config.k)]
    return points + [System.parse(text) for text in config.always]


def open_study(config: SweepConfig) -> optuna.Study:
    """The sweep's study, made if there is none yet."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = sweep_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    storage = config.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    return optuna.create_study(study_name=config.name, storage=storage, direction="maximize", load_if_exists=True)


def search(config: SweepConfig, study: optuna.Study, evaluate: Callable[[System], float]) -> int:
    """Ask and tell until the budget of completed trials is used; returns how many were done now.

    Each suggestion depends on (seed, completed trials) only. A trial that an interruption left open is closed and its
    point is asked for again, because nothing completed since.
    """
    for left in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(left.number, state=TrialState.FAIL)
    if config.sampler == "grid":
        _enqueue(config, study)
    done = 0
    while (completed := len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))) < _budget(config):
        study.sampler = sampler(config, completed)
        trial = study.ask()
        point = System.make(
            trial.suggest_categorical("decoding", config.decoding),
            trial.suggest_categorical("retriever", config.retriever),
            trial.suggest_categorical("k", config.k),
        )
        study.tell(trial, evaluate(point))
        done += 1
    return done


def sampler(config: SweepConfig, completed: int) -> optuna.samplers.BaseSampler:
    """The configured sampler, seeded for one trial."""
    seed = seeds.derive_seed(config.seed, f"trial {completed}") % 2**32
    if config.sampler in ("random", "grid"):
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _enqueue(config: SweepConfig, study: optuna.Study) -> None:
    """Every point of the grid once; those an earlier run completed or left waiting are not added again."""
    known = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.WAITING])
    ]
    for decoding, retriever, k in product(config.decoding, config.retriever, config.k):
        point = {"decoding": decoding, "retriever": retriever, "k": k}
        if point not in known:
            study.enqueue_trial(point)


def _budget(config: SweepConfig) -> int:
    points = len(config.decoding) * len(config.retriever) * len(config.k)
    return min(config.trials, points) if config.sampler == "grid" else config.trials
