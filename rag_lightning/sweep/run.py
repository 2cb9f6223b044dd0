"""A whole sweep: build, train, search on dev, select, evaluate on test once, report."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from time import perf_counter

import optuna

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.console import say, within
from rag_lightning.core.errors import DataError, TrainingError
from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.core.links import check_unlinked, make_folder, remove_leftovers
from rag_lightning.core.redact import redact
from rag_lightning.core.tables import LiveTable
from rag_lightning.report.reading import need
from rag_lightning.runs import evaluate, folders
from rag_lightning.runs.monitor import sampled
from rag_lightning.runs.record import RUN, is_finished
from rag_lightning.runs.system import System
from rag_lightning.runs.together import predict_together
from rag_lightning.serving.extras import log_extras
from rag_lightning.stages import beforehand, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import importances, selection, shown
from rag_lightning.sweep.attributes import WORKER, reason_of
from rag_lightning.sweep.description import describe, is_done
from rag_lightning.sweep.objectives import quality
from rag_lightning.sweep.sampling import planned
from rag_lightning.sweep.space import SPLIT, Space, open_space
from rag_lightning.sweep.storage import answering, is_server, joined, leading, open_storage, study_url
from rag_lightning.sweep.study import (
    FAILURES,
    Progress,
    close_left,
    completed,
    open_study,
    read_progress,
    search,
    stored_trials,
)
from rag_lightning.sweep.trial import evaluate_trial
from rag_lightning.sweep.workers import Processes, check_room, search_with
from rag_lightning.tracking.places import check_apart
from rag_lightning.tracking.store import default_uri
from rag_lightning.tracking.track import Mirrors, Sender


def run(config: SweepConfig) -> None:
    """Run or continue a sweep.

    Raises:
        ConfigError, UnknownNameError: an invalid search space, more workers than this machine has room for, or one
            database for Optuna and MLflow.
        AssetError: a model or data set that cannot be fetched.
        TrainingError: a training that cannot continue; the sweep is marked as failed.
        DataError: another process runs this sweep, or a file of it is damaged.
    """
    space = open_space(config)
    check_room(config)
    # checked before anything is built
    check_apart(default_uri(Path(config.experiment.folder), config.experiment.tracking_uri), study_url(config))
    with joined(config) as alone, _engine(config), answering(config):
        if config.storage:
            open_storage(config)  # one that does not answer is told before anything is built
        stored_trials(config, space.digest)  # as one that is locked or damaged
        _run_joined(space, alone)


def _engine(config: SweepConfig) -> AbstractContextManager[None]:
    """The connection to a Ray cluster for the engine ray, which is checked before anything is built."""
    if config.engine != "ray":
        return nullcontext()
    from rag_lightning.sweep.on_ray import connected  # an extra

    return connected(config)


def _run_joined(space: Space, alone: bool) -> None:
    config = space.config
    count = f" of {len(space.points):,} points" if space.points is not None else ""
    say(f"{'sweep':<17} {config.name}: {space.budget} trials{count}, {len(space.always)} baselines")
    for system in space.systems:  # an index that does not fit fails its own trials
        beforehand.check_training(Workspace(system.config), (SPLIT, "test"))
    for system in space.always:
        beforehand.check(Workspace(system.config))
    folder = _open_folder(space, alone)
    if not is_server(config):  # whose other machines have processes that are not seen here
        for killed in (folder, folders.report(config.experiment.folder, config.name)):
            remove_leftovers(killed)
    try:
        with sampled(folder):
            for system in space.shared_models:  # the others are trained when their first trial runs
                train.build(Workspace(system.config))
            _run(space, folder, alone)
    except TrainingError as error:
        describe(space, folder, problem=str(error))
        raise


def _run(space: Space, folder: Path, alone: bool) -> None:
    config = space.config
    mirrors = Mirrors(config.experiment.folder, config.experiment.tracking_uri, log_extras)
    mirror, table = mirrors.of(config.experiment.task.name), shown.evaluated_table(quality(config))
    mirror.parent(config.name)
    study = open_study(space)
    if alone and not is_server(config):
        close_left(study)
    with leading(config, study.study_name) as leads:
        tried = _search(space, study, mirror)
        if not leads:
            say(f"{'sweep':<17} all trials have ended; another process of this sweep tests the chosen systems")
            return
        _evaluate(config, mirror, table, space.always, "dev", "baseline")
        chosen = selection.select(config, tried)
        _evaluate(config, mirror, table, space.always, "test", "baseline")
        _evaluate(config, mirror, table, chosen, "test", "final")
        failed = list(read_progress(space, study).given_up.values())
        with within("retrieval by itself"):
            describe(space, folder, chosen=chosen, failed=failed, finished=True)
    mirror.finish(config.name)
    shown.show_end(space, chosen, folder, mirrors.uri)
    shown.show_failed(failed)


def _search(space: Space, study: optuna.Study, mirror: Sender) -> list[System]:
    """Run the search; returns the systems evaluated on dev, in the order of their first trial."""
    config, before = space.config, read_progress(space, study)
    trials = shown.Trials(space, before)
    own = socket.gethostname()

    def show() -> None:
        for trial in trials.update(read_progress(space, study)):
            folder = evaluate.folder_of(space.system_of(trial.params), config.name, SPLIT)
            if trial.user_attrs[WORKER].startswith(f"{own}:") and (folder / RUN).exists():
                mirror.child(folder)

    if config.sampler == "grid" or _is_alone(config):
        _predict_planned(space, before)
    if config.engine == "ray":
        from rag_lightning.sweep.on_ray import Tasks  # an extra

        search_with(Tasks(config), space, study, show)
    elif not _is_alone(config):
        search_with(Processes(config), space, study, show)
    else:
        search(space, study, partial(evaluate_trial, config), show)
        show()
    tried = _tried(space, read_progress(space, study))
    importances.write(space, completed(study), folders.run_group(config.experiment.folder, config.name))
    return tried


def _is_alone(config: SweepConfig) -> bool:
    """Whether this process evaluates all trials."""
    return config.engine != "ray" and config.workers == 1 and not config.trial_seconds


def _predict_planned(space: Space, before: Progress) -> None:
    """Predict the planned points together, as far as their trials can share a pass; each trial finds its own."""
    unseen = [point for point in planned(space) if space.digest_of(point) not in before.values]
    systems = [space.system_of(point) for point in unseen[: space.budget - len(before.values)]]
    try:
        predict_together(systems, SPLIT)
    except FAILURES as error:
        say(f"not predicted together, each trial predicts for itself: {redact(str(error))}")


def _tried(space: Space, progress: Progress) -> list[System]:
    """The evaluated systems; one whose run is on another machine, or whose scores were removed, is evaluated here.

    Raises:
        TrainingError: no trial has a value.
    """
    if not progress.values:
        failed = list(progress.given_up.values())
        raise TrainingError(
            f"all {len(failed)} trials failed, the last one because: {reason_of(failed[-1])}; "
            "run again with more `retries` to try them again"
        )
    tried = [space.system_of(digest) for digest in progress.values]
    for system in tried:
        evaluate_trial(space.config, system)
        evaluate.restore(system, space.config.name, SPLIT)
    return tried


def _evaluate(
    config: SweepConfig, mirror: Sender, table: LiveTable, systems: Sequence[System], split: str, role: str
) -> None:
    """Run systems outside of the search; prints a row for each new run."""
    predict_together(systems, split)
    for system in systems:
        started, folder = perf_counter(), evaluate.folder_of(system, config.name, split)
        before = folder.exists() and is_finished(folder)
        mirror.child(evaluate.run(system, config.name, split, role))
        if not before:
            value, seconds = shown.score(folder, quality(config)).mean, perf_counter() - started
            table.add(split, system.label, role, f"{value:.1f}", f"{seconds:.1f}")


def _open_folder(space: Space, alone: bool) -> Path:
    """The sweep's folder; a folder with another experiment or search space is renamed, and restored when needed.

    Raises:
        DataError: another process runs the sweep with another experiment or search space, or the folder is a link.
    """
    config = space.config
    folder = folders.run_group(config.experiment.folder, config.name)
    check_unlinked(folder, folder.parent)
    stored = folder / "space.json"
    if stored.exists():
        earlier = need(stored, read_sealed(stored), "digest", str)
        if earlier != space.digest and not alone:
            hint = "give the same values, or another name"
            raise DataError(stored, "is of another experiment or search space, whose sweep is running", hint=hint)
        if earlier != space.digest:
            aside = folder.with_name(f"{folder.name}.{earlier[:8]}")
            if aside.exists():
                raise DataError(aside, f"is where {folder} would be put aside", hint="rename one of the two folders")
            folder.rename(aside)
            say(f"sweep {config.name}: its experiment or search space has changed; the earlier runs are in {aside}")
    begun = folder.with_name(f"{folder.name}.{space.digest[:8]}")
    if begun.exists() and not folder.exists():
        begun.rename(folder)
        say(f"sweep {config.name}: an earlier folder with these settings is continued")
    make_folder(folder, folder.parent)
    write_sealed(stored, {"digest": space.digest, "budget": space.budget, "spec": space.spec})
    if not is_done(space, folder):
        describe(space, folder)
    return folder
