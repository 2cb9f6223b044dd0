"""The Optuna study of a sweep. It can be resumed, with the same suggestions as without an interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import sqlite_url
from rag_lightning.runs import folders
from rag_lightning.runs.system import System
from rag_lightning.sweep.objectives import directions
from rag_lightning.sweep.sampling import sampler_for, suggest
from rag_lightning.sweep.space import Space

Found = tuple[Sequence[float], Mapping[str, float]]
"""Values of the objectives, and by how much each constraint is missed (0 or less: it is met)."""


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
        return optuna.create_study(study_name=name, storage=storage, directions=directions(config), load_if_exists=True)
    except (SQLAlchemyError, StorageInternalError, ImportError, KeyError, ValueError) as error:
        reason = f"no value for {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        place = "storage" if config.storage else own
        hint = "give another URL, or none for a file beside the runs" if config.storage else "remove it and run again"
        raise DataError(place, f"cannot be opened by Optuna: {reason}", hint=hint) from error


def search(space: Space, study: optuna.Study, evaluate: Callable[[System], Found]) -> int:
    """Evaluate suggested points until the budget of distinct points is used; returns the number of new evaluations.

    A point that was evaluated before is told to Optuna with its values, and costs nothing. Each suggestion depends on
    (seed, completed trials) only: a trial that an interruption left open is closed, and its point is asked for again.
    The search ends before the budget is used if no unseen point is found.
    """
    for left in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(left.number, state=TrialState.FAIL)
    found, evaluated = evaluated_values(space, study), 0
    while len(found) < space.budget:
        sampler = sampler_for(space, completed(study))
        if sampler is None:
            break
        study.sampler = sampler
        trial = study.ask()
        digest = space.digest_of(suggest(space, trial))
        if digest not in found:
            found[digest] = evaluate(space.system_of(digest))
            evaluated += 1
        values, excesses = found[digest]
        for name, excess in excesses.items():
            trial.set_constraint(name, excess)
        study.tell(trial, values)
    return evaluated


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """The completed trials, in order."""
    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def evaluated_values(space: Space, study: optuna.Study) -> dict[str, Found]:
    """Run digest -> values of each evaluated point, in the order of the first trials."""
    found: dict[str, Found] = {}
    for trial in completed(study):
        found.setdefault(space.digest_of(trial.params), (trial.values, trial.constraints))
    return found
