"""A whole sweep: build, train, search on dev, select, evaluate on test once, report."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.console import LiveTable, say, within
from rag_lightning.core.errors import ConfigError, DataError, TrainingError
from rag_lightning.core.files import write_json
from rag_lightning.core.redact import redact, redacted
from rag_lightning.metrics.outcomes import objectives
from rag_lightning.report.reading import need, read
from rag_lightning.runs import evaluate, folders
from rag_lightning.runs.mlflow import Mirror
from rag_lightning.runs.record import RUN, is_finished
from rag_lightning.runs.system import System
from rag_lightning.runs.together import predict_together
from rag_lightning.runs.track import Mirrors
from rag_lightning.stages import corpus, examples, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import notes, selection, shown
from rag_lightning.sweep.attributes import DIGEST, SYSTEM, WORKER, reason_of
from rag_lightning.sweep.space import SPLIT, Space, open_space
from rag_lightning.sweep.storage import is_server, joined, leading
from rag_lightning.sweep.study import Progress, close_left, open_study, read_progress, search
from rag_lightning.sweep.trial import evaluate_trial
from rag_lightning.sweep.workers import search_in_processes
from rag_lightning.tasks.spec import get_task

MINILM_NOTE = (
    "pretrained retrieval is all-MiniLM-L6-v2, which its authors trained on public question-answer data that includes "
    "NQ and SQuAD training questions"
)


def run(config: SweepConfig) -> None:
    """Run or continue a sweep.

    Raises:
        ConfigError, UnknownNameError: an invalid search space.
        AssetError: a model or data set that cannot be fetched.
        TrainingError: a training that cannot continue; the sweep is marked as failed.
        DataError: another process runs this sweep, or a file of it is damaged.
    """
    space = open_space(config)
    with joined(config) as alone, _engine(config):
        _run_joined(space, alone)


def _engine(config: SweepConfig) -> AbstractContextManager[None]:
    """The connection to a Ray cluster for the engine ray, which is checked before anything is built."""
    if config.engine != "ray":
        return nullcontext()
    from rag_lightning.sweep.on_ray import connected  # an extra

    return connected(config)


def _run_joined(space: Space, alone: bool) -> None:
    config = space.config
    count, beside = len(space.points), len(space.always)
    say(f"{'sweep':<17} {config.name}: {space.budget} trials of {count} points, {beside} baselines")
    workspace = Workspace(config.experiment)
    examples.build(workspace)
    _check_corpus(workspace)
    folder = _open_folder(space, alone)
    try:
        for system in space.shared_models:  # the others are trained when their first trial runs
            train.build(Workspace(system.config))
        _run(space, folder, alone)
    except TrainingError as error:
        _describe(space, folder, problem=str(error))
        raise


def _run(space: Space, folder: Path, alone: bool) -> None:
    config = space.config
    mirrors = Mirrors(config.experiment.folder, config.experiment.tracking_uri)
    mirror, table = mirrors.of(config.experiment.task.name), shown.evaluated_table(config.objective)
    mirror.parent(config.name, redacted(to_dict(config)))
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
            _describe(space, folder, chosen=chosen, failed=failed)
    mirror.finish_parent(config.name)
    shown.show_end(space, chosen, folder, mirrors.uri)
    shown.show_failed(failed)


def _check_corpus(workspace: Workspace) -> None:
    """Check, before anything is trained, that the corpus has as many passages as k_max and train.k need."""
    count = len(corpus.open_store(workspace))
    wanted = {"retriever.k_max": workspace.config.retriever.k_max, "train.k": workspace.config.train.k}
    for name, k in wanted.items():
        if not 1 <= k <= count:
            raise ConfigError(f"experiment.{name}={k}, but the corpus has {count} passages; choose 1 to {count}")


def _search(space: Space, study: optuna.Study, mirror: Mirror) -> list[System]:
    """Run the search; returns the systems evaluated on dev, in the order of their first trial."""
    config, before = space.config, read_progress(space, study)
    trials = shown.Trials(space, before)
    own = socket.gethostname()

    def show() -> None:
        for trial in trials.update(read_progress(space, study)):
            folder = evaluate.folder_of(space.systems[trial.user_attrs[DIGEST]], config.name, SPLIT)
            if trial.user_attrs[WORKER].startswith(f"{own}:") and (folder / RUN).exists():
                mirror.child(folder)

    if config.sampler == "grid":
        unseen = [system for digest, system in space.systems.items() if digest not in before.values]
        predict_together(unseen[: space.budget], SPLIT)
    if config.engine == "ray":
        from rag_lightning.sweep.on_ray import search_on_ray  # an extra

        search_on_ray(space, study, show)
    elif config.workers > 1 or config.trial_seconds:
        search_in_processes(space, study, show)
    else:
        search(space, study, partial(evaluate_trial, config), show)
        show()
    return _tried(space, read_progress(space, study))


def _tried(space: Space, progress: Progress) -> list[System]:
    """The evaluated systems; one whose run is in the folder of another machine is evaluated here, for the comparison.

    Raises:
        TrainingError: no trial has a value.
    """
    if not progress.values:
        failed = list(progress.given_up.values())
        raise TrainingError(
            f"all {len(failed)} trials failed, the last one because: {reason_of(failed[-1])}; "
            "run again with more `retries` to try them again"
        )
    tried = [space.systems[digest] for digest in progress.values]
    for system in tried:
        evaluate_trial(space.config, system)
    return tried


def _evaluate(
    config: SweepConfig, mirror: Mirror, table: LiveTable, systems: Sequence[System], split: str, role: str
) -> None:
    """Run systems outside of the search; prints a row for each new run."""
    predict_together(systems, split)
    for system in systems:
        started, folder = perf_counter(), evaluate.folder_of(system, config.name, split)
        before = folder.exists() and is_finished(folder)
        mirror.child(evaluate.run(system, config.name, split, role))
        if not before:
            value, seconds = shown.score(folder, config.objective).mean, perf_counter() - started
            table.add(split, system.label, role, f"{value:.1f}", f"{seconds:.1f}")


def _open_folder(space: Space, alone: bool) -> Path:
    """The sweep's folder; a folder with another experiment or search space is renamed, and restored when needed.

    Raises:
        DataError: another process runs the sweep with another experiment or search space.
    """
    config = space.config
    folder = folders.run_group(config.experiment.folder, config.name)
    stored = folder / "space.json"
    if stored.exists():
        earlier = need(stored, read(stored), "digest", str)
        if earlier != space.digest and not alone:
            hint = "give the same values, or another name"
            raise DataError(stored, "is of another experiment or search space, whose sweep is running", hint=hint)
        if earlier != space.digest:
            aside = folder.with_name(f"{folder.name}.{earlier[:8]}")
            folder.rename(aside)
            say(f"sweep {config.name}: its experiment or search space has changed; the earlier runs are in {aside}")
    begun = folder.with_name(f"{folder.name}.{space.digest[:8]}")
    if begun.exists() and not folder.exists():
        begun.rename(folder)
        say(f"sweep {config.name}: an earlier folder with these settings is continued")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(stored, {"digest": space.digest, "budget": space.budget, "spec": space.spec})
    _describe(space, folder)
    return folder


def _touched_before(config: SweepConfig, chosen: Sequence[System]) -> list[str]:
    """A note if an earlier search with fewer trials has already run its choice on test."""
    labels = selection.superseded(config, chosen)
    if not labels:
        return []
    return [f"test was run more than once: a search with fewer trials had chosen {', '.join(labels)}"]


def _describe(
    space: Space,
    folder: Path,
    *,
    chosen: Sequence[System] = (),
    failed: Sequence[FrozenTrial] = (),
    problem: str = "",
) -> None:
    """Write sweep.json, with status finished if systems are chosen, or failed if there is a problem."""
    config, base = space.config, space.config.experiment
    models = _models(space, chosen)
    value: dict[str, Any] = {
        "name": config.name,
        "dataset": base.task.dataset,
        "scale": base.scale,
        "objective": config.objective,
        "spec": redacted(to_dict(config)),
        "retrieval": notes.rows(space, models) if chosen else [],
        "warnings": [*_notes(config, models), *_touched_before(config, chosen)] if chosen else [],
        "failed": [{"label": trial.user_attrs[SYSTEM], "reason": reason_of(trial)} for trial in failed],
        "finished": bool(chosen),
    }
    if problem:
        value |= {"status": "failed", "problem": redact(problem)}
    write_json(folder / "sweep.json", value)


def _models(space: Space, chosen: Sequence[System]) -> dict[str, System]:
    """Formulation -> a system with its trained model: chosen systems, then systems with shared models."""
    searched = list(space.systems.values())
    found: dict[str, System] = {}
    for system in [*chosen, *space.shared_models]:
        found.setdefault(system.config.formulation, system)
    order = dict.fromkeys(system.config.formulation for system in searched)
    return {formulation: found[formulation] for formulation in order if formulation in found}


def _notes(config: SweepConfig, models: dict[str, System]) -> list[str]:
    """Notes for the readers of the tables."""
    lines = [MINILM_NOTE] if config.experiment.encoder.model == "mini" else []
    task = get_task(config.experiment.task.name)
    if task.metrics[0] == "em":
        lines.append(notes.note(Workspace(config.experiment)))
    objective = objectives(task)[0].name
    for formulation, system in models.items():
        info = train.read_info(train.build(Workspace(system.config)))
        lines.append(
            f"{formulation}: score_scale {info['score_scale']:.2f} after training, dev {objective} of its checkpoint "
            f"{100 * (info['dev_score'] or 0):.1f} (first questions of dev, k={system.config.train.k})"
        )
        lines += [f"{formulation}: {line}" for line in train.alarms(info)]
    return lines
