"""The Optuna study of a sweep: which points are evaluated, by one process or by several.

Points are claimed one at a time, under a lock of the study, so that no point is evaluated twice and the budget is never
exceeded. With one process the study can be resumed, with the same suggestions as without an interruption. With several
only the order of the suggestions depends on who is faster.
"""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.background import repeated
from rag_lightning.core.errors import ConfigError, TrainingError
from rag_lightning.core.links import make_folder
from rag_lightning.core.redact import redact
from rag_lightning.runs import folders
from rag_lightning.runs.system import System
from rag_lightning.sweep import storage as storages
from rag_lightning.sweep.attributes import DIGEST, INTERRUPTED, REASON, REPEATED, SYSTEM, WORKER, is_failure
from rag_lightning.sweep.objectives import directions
from rag_lightning.sweep.sampling import sampler_for, suggest
from rag_lightning.sweep.space import Space
from rag_lightning.sweep.storage import (
    REFUSED,
    answering,
    claiming,
    explained,
    find_storage,
    is_server,
    open_storage,
    study_name,
)

FAILURES = (ConfigError, TrainingError, ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""Errors that fail one trial; all others would fail every trial, and end the sweep."""
PAUSE = 0.5
"""Seconds between two looks at the trials of other processes."""
LONGEST_REASON = 300
Found = tuple[Sequence[float], Mapping[str, float]]
"""Values of the objectives, and by how much each constraint is missed (0 or less: it is met)."""
Evaluate = Callable[[System], Found]


@dataclass(frozen=True)
class Progress:
    """The trials of a study by point, in the order of their numbers; a point is named by its run digest.

    Attributes:
        known: The trials that the sampler takes into account.
        values: Point -> objectives and constraints.
        running: Point -> the trial that evaluates it now.
        failures: Point without values -> its failed trials.
        retries: How often a point is tried again.
    """

    known: Sequence[FrozenTrial]
    values: dict[str, Found]
    running: dict[str, FrozenTrial]
    failures: dict[str, list[FrozenTrial]]
    retries: int

    @property
    def to_retry(self) -> list[FrozenTrial]:
        """The last failed trial of each point that is tried again."""
        tries = ((point, trials) for point, trials in self.failures.items() if point not in self.running)
        return [trials[-1] for _, trials in tries if len(trials) <= self.retries]

    @property
    def given_up(self) -> dict[str, FrozenTrial]:
        """Point -> its last failed trial, if it is not tried again."""
        return {point: trials[-1] for point, trials in self.failures.items() if len(trials) > self.retries}

    @property
    def spent(self) -> int:
        """Number of points that have used the budget: evaluated, running or given up."""
        return len({*self.values, *self.running, *self.given_up})


def open_study(space: Space) -> optuna.Study:
    """The study of a sweep, created if it does not exist.

    Raises:
        DataError: the storage is damaged, cannot be reached, or is no storage.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = space.config
    make_folder(folders.run_group(config.experiment.folder, config.name), folders.runs(config.experiment.folder))
    storage, name = open_storage(config), study_name(config, space.digest)
    with answering(config):
        return optuna.create_study(study_name=name, storage=storage, directions=directions(config), load_if_exists=True)


def stored_trials(config: SweepConfig, digest: str) -> tuple[list[str], Sequence[FrozenTrial] | None]:
    """Names of the studies in a sweep's storage, and the trials of its own, None without one; nothing is created.

    Raises:
        DataError: the storage, or a trial in it, cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, name = find_storage(config), study_name(config, digest)
    with explained(config):
        names = optuna.get_all_study_names(storage) if storage else []
        if storage is None or name not in names:
            return names, None
        return names, optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)


def read_progress(space: Space, study: optuna.Study) -> Progress:
    """The trials of the study as they are now."""
    return _progress(space, study.get_trials(deepcopy=False))


def _progress(space: Space, trials: Sequence[FrozenTrial]) -> Progress:
    known: list[FrozenTrial] = []
    values: dict[str, Found] = {}
    running: dict[str, FrozenTrial] = {}
    failures: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if trial.state == TrialState.COMPLETE:
            values.setdefault(space.digest_of(trial.params), (trial.values, trial.constraints))
        elif DIGEST not in trial.user_attrs or trial.user_attrs.get(REASON) == INTERRUPTED:
            continue
        elif trial.state == TrialState.RUNNING:
            running[trial.user_attrs[DIGEST]] = trial
        elif is_failure(trial):
            failures.setdefault(trial.user_attrs[DIGEST], []).append(trial)
        known.append(trial)
    failures = {point: trials for point, trials in failures.items() if point not in values}
    return Progress(known, values, running, failures, space.config.retries)


def worker_name(process: int | None = None) -> str:
    """The name of a process of this machine in the study, of this one without a process id."""
    return f"{socket.gethostname()}:{process or os.getpid()}"


def search(
    space: Space, study: optuna.Study, evaluate: Evaluate, after: Callable[[], None] = lambda: None, tag: str = ""
) -> int:
    """Evaluate points until the budget is used; returns the number of evaluations by this process.

    Args:
        space: Search space.
        study: Its study, which other processes may use too.
        evaluate: Objective values of a system; one of `FAILURES` fails the trial, and the search goes on.
        after: Called after each trial.
        tag: Added to the name of this process in the study.
    """
    evaluated = 0
    with answering(space.config):
        while True:
            claimed = claim(space, study, tag)
            if claimed is not None:
                evaluated += _evaluate(space, study, claimed, evaluate)
                after()
            elif read_progress(space, study).running:
                time.sleep(PAUSE)
            else:
                return evaluated


def claim(space: Space, study: optuna.Study, tag: str = "") -> optuna.Trial | None:
    """A trial whose point nobody else evaluates; None if the budget is used or in work, or no unseen point is found.

    A suggested point that was evaluated before is told to Optuna with its value, and costs nothing. Each suggestion of
    the only process depends on (seed, completed trials); a point whose trial failed is tried again first.
    """
    with claiming(space.config, study.study_name):
        trials = _close_orphans(space, study)
        while True:
            now = _progress(space, trials)
            again = now.to_retry
            if not again and now.spent >= space.budget:
                return None
            if again:
                study.enqueue_trial(again[0].params)
            else:
                sampler = sampler_for(space, now.known)
                if sampler is None:
                    return None
                study.sampler = sampler
            trial = _ask(study)
            point = space.digest_of(suggest(space, trial))
            if point in now.values:
                _tell(study, trial, now.values[point])
            else:
                _mark(space, study, trial, point, tag)
                if point not in now.running and point not in now.given_up:
                    return trial
                close(study, trial.number, REPEATED)
            trials = study.get_trials(deepcopy=False)


def _mark(space: Space, study: optuna.Study, trial: optuna.Trial, point: str, tag: str) -> None:
    """Note at a trial that this process has claimed a point."""
    trial.set_user_attr(SYSTEM, space.system_of(point).label)
    trial.set_user_attr(WORKER, worker_name() + tag)
    if is_server(space.config):
        study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    trial.set_user_attr(DIGEST, point)  # last: a trial without it was never claimed


def _ask(study: optuna.Study) -> optuna.Trial:
    """A new trial; `_beating` sends the heartbeats that Optuna misses outside of its own loop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Heartbeat of storage", UserWarning)
        return study.ask()


def _close_orphans(space: Space, study: optuna.Study) -> list[FrozenTrial]:
    """Fail the trials of lost machines, and those of processes that died while they claimed; returns all trials."""
    if is_server(space.config):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        if trial.state == TrialState.RUNNING and DIGEST not in trial.user_attrs:
            close(study, trial.number, INTERRUPTED)
    return trials


def running_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The open trials of a study, of all processes."""
    return study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def close(study: optuna.Study, number: int, reason: str) -> None:
    """Fail a trial with a reason, unless another process has finished it."""
    shown = redact(" ".join(reason.split()))[:LONGEST_REASON]
    trial_id = study.get_trials(deepcopy=False)[number]._trial_id
    try:
        study._storage.set_trial_user_attr(trial_id, REASON, shown)  # the trial may be another process's
    except UpdateFinishedTrialError:
        return
    study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def close_left(study: optuna.Study) -> None:
    """Close the trials that an interruption left open; only for the only process of a study."""
    for trial in running_trials(study):
        close(study, trial.number, INTERRUPTED)


def _evaluate(space: Space, study: optuna.Study, trial: optuna.Trial, evaluate: Evaluate) -> bool:
    """Evaluate a claimed trial; returns whether it has a value."""
    try:
        with _beating(space, study, trial):
            found = evaluate(space.system_of(trial.user_attrs[DIGEST]))
    except FAILURES as error:
        close(study, trial.number, f"{type(error).__name__}: {error}")
        return False
    _tell(study, trial, found)
    return True


def _tell(study: optuna.Study, trial: optuna.Trial, found: Found) -> None:
    """Finish a trial, unless the machine was asleep for so long that another one took its point."""
    values, excesses = found
    try:
        for name, excess in excesses.items():
            trial.set_constraint(name, excess)
    except UpdateFinishedTrialError:
        return
    study.tell(trial, list(values), skip_if_finished=True)


def _beating(space: Space, study: optuna.Study, trial: optuna.Trial) -> AbstractContextManager[None]:
    """Record on a server, while the context lasts, that the trial is alive."""
    if not is_server(space.config):
        return nullcontext()

    def beat() -> None:
        with suppress(*REFUSED):  # the next one may arrive; if none does, another machine takes the point
            study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]

    return repeated(beat, storages.HEARTBEAT, "heartbeat")


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """The completed trials, in order."""
    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
