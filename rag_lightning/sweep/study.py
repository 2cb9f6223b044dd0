"""The Optuna study: which system is tried next. Resumable; the same after a kill as without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import optuna
from optuna.trial import TrialState

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.retrieval import check_retriever
from rag_lightning.core import seeds
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import digest
from rag_lightning.core.registry import check_name
from rag_lightning.metrics.outcomes import objectives
from rag_lightning.runs.evaluate import sweep_folder
from rag_lightning.runs.system import System, run_digest
from rag_lightning.stages import classes
from rag_lightning.tasks.spec import get_task

NOT_IN_SPACE = ("trials", "seed", "sampler", "storage", "alpha", "always", "name")


def check(config: SweepConfig) -> list[System]:
    """Every point of the search space and the systems that always run.

    Raises:
        ConfigError, UnknownNameError: a value that cannot be used.
    """
    if config.trials < 1 or not (config.k and config.retriever and config.decoding):
        raise ConfigError("a sweep needs trials >= 1 and at least one k, retriever and decoding")
    task = get_task(config.experiment.task.name)
    check_name(f"objective of {task.name}", config.objective, [metric.name for metric in objectives(task)])
    points = [System.make(d, r, k) for d, r, k in product(config.decoding, config.retriever, config.k)]
    systems = points + [System.parse(text) for text in config.always]
    for system in systems:
        configured = system.configure(config.experiment)
        classes.check(configured)
        check_retriever(configured.retriever, configured.formulation)
    largest, limit = max(system.k for system in systems), config.experiment.retriever.k_max
    if largest > limit:
        raise ConfigError(f"k={largest} exceeds experiment.retriever.k_max={limit}; raise k_max")
    return systems


def space(config: SweepConfig) -> dict[str, Any]:
    """What must not change while a sweep goes on: its experiment, choices and objective."""
    spec = {name: value for name, value in to_dict(config).items() if name not in NOT_IN_SPACE}
    first = config.k[0], config.retriever[0], config.decoding[0]
    systems = [System.make(decoding, first[1], first[0]) for decoding in config.decoding]
    systems += [System.make(first[2], retriever, first[0]) for retriever in config.retriever]
    return spec | {"experiment": [run_digest(system.configure(config.experiment), "dev") for system in systems]}


def open_study(config: SweepConfig) -> optuna.Study:
    """The sweep's study, made if there is none yet."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = sweep_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    storage = config.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    name = f"{config.name}-{digest(space(config))[:8]}"  # a storage that is shared may know the name with other choices
    return optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)


def search(config: SweepConfig, study: optuna.Study, evaluate: Callable[[System], float]) -> int:
    """Ask and tell until the budget of completed trials is used; returns how many were done now.

    Each suggestion depends on (seed, completed trials) only. A trial that an interruption left open is closed and its
    point is asked for again, because nothing completed since.
    """
    for left in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(left.number, state=TrialState.FAIL)
    done = 0
    while (completed := len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))) < _budget(config):
        study.sampler = _next(config, study) if config.sampler == "grid" else sampler(config, completed)
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
    """The configured sampler (tpe or random), seeded for one trial."""
    seed = seeds.derive_seed(config.seed, f"trial {completed}") % 2**32
    if config.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


class _Point(optuna.samplers.BaseSampler):
    """Suggests one point. Optuna's GridSampler takes a point that an interruption left for done."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Nothing depends on other trials."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        """Nothing depends on other trials."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """The point's value."""
        return self.values[param_name]


def _next(config: SweepConfig, study: optuna.Study) -> _Point:
    """The first point of the grid that no trial has completed."""
    done = [trial.params for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])]
    names = ("decoding", "retriever", "k")
    grid = (dict(zip(names, p, strict=True)) for p in product(config.decoding, config.retriever, config.k))
    return _Point(next(point for point in grid if point not in done))


def _budget(config: SweepConfig) -> int:
    points = len(set(product(config.decoding, config.retriever, config.k)))
    return min(config.trials, points) if config.sampler == "grid" else config.trials
