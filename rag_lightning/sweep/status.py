"""`sweep --status`: what a sweep has done and is doing, read from its study and folder, while it runs and after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.console import duration, say, time_left
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_sealed
from rag_lightning.core.registry import nearest
from rag_lightning.core.tables import Head, LiveTable
from rag_lightning.report.page import INDEX
from rag_lightning.report.reading import need
from rag_lightning.runs import folders
from rag_lightning.runs.record import is_finished, run_folders
from rag_lightning.sweep.attributes import DIGEST, SYSTEM, WORKER, duration_of, is_failure, reason_of
from rag_lightning.sweep.objectives import MEASURES
from rag_lightning.sweep.storage import is_held, is_server, missing_study, study_file, study_name
from rag_lightning.sweep.study import stored_trials


def show_status(config: SweepConfig) -> None:
    """Print name and state of a sweep, its trials, the best so far, the time left, and who works on what.

    Raises:
        DataError: the sweep was never started in this folder, or its study cannot be read.
    """
    folder = folders.run_group(config.experiment.folder, config.name)
    file = folder / "space.json"
    if not file.exists():
        known = sorted(one.parent.name for one in folders.runs(config.experiment.folder).glob("*/space.json"))
        hint = f"sweeps here: {', '.join(known)}" if known else "check `name` and `folder`"
        problem = f"does not exist: this sweep was never started{nearest(config.name, known)}"
        raise DataError(file, problem, hint=hint)
    stored = read_sealed(file)
    budget, trials = need(file, stored, "budget", int), _trials(config, need(file, stored, "digest", str))
    objectives = need(file, need(file, stored, "spec", dict), "objectives", list, "spec")  # not those of a changed file
    metric = next((str(name) for name in objectives if name not in MEASURES), "")
    done = list({trial.user_attrs[DIGEST]: trial for trial in trials if _is_evaluation(trial)}.values())
    running = [trial for trial in trials if trial.state == TrialState.RUNNING and DIGEST in trial.user_attrs]
    if not is_held(config) and not is_server(config):
        running = []  # left open by a process that is gone
    failed = _failed(trials)
    say(f"{'sweep':<17} {config.name}: {_state(config, folder, len(running))}")
    counts = f"{len(done)} done, {len(running)} running, {len(failed)} failed"
    say(f"{'trials':<17} {counts}, of {budget}")
    made = [one for one in run_folders(folder.parent, folder.name) if is_finished(one)]
    if made and not trials and not config.storage:
        problem = f"has no trial, though {len(made)} runs are finished; run the sweep again, which finds them"
        say(f"{'lost':<17} {study_file(config)}: {problem}")
    if done:
        position = objectives.index(metric) if metric in objectives else 0
        best = max(done, key=lambda trial: trial.values[position])
        say(f"{'best':<17} dev {metric} {best.values[position]:.1f}: {best.user_attrs[SYSTEM]}")
        left = time_left([duration_of(trial) for trial in done], max(0, budget - len(done)), max(1, len(running)))
        if left and running:
            say(f"{'time left':<17} {left}")
    if (page := folders.report(config.experiment.folder, config.name) / INDEX).exists():
        say(f"{'report':<17} {page}")
    for trial in failed:
        say(f"{'failed':<17} {trial.user_attrs[SYSTEM]}: {reason_of(trial)}")
    table = LiveTable((Head("running", align="<"), Head("since", 12), Head("worker", 28, "<")))
    for trial in running:
        table.add(str(trial.user_attrs[SYSTEM]), _since(trial), str(trial.user_attrs[WORKER]))


def _trials(config: SweepConfig, digest: str) -> Sequence[FrozenTrial]:
    """All trials of the study; none before the study exists. Nothing is created.

    Raises:
        DataError: no process runs the sweep, and `storage` has no study of it.
    """
    names, trials = stored_trials(config, digest)
    if trials is None and config.storage and not is_held(config):
        raise missing_study(config, study_name(config, digest), names)
    return trials or []


def _is_evaluation(trial: FrozenTrial) -> bool:
    """Whether a trial has evaluated its point; a repeated suggestion has not."""
    return trial.state == TrialState.COMPLETE and DIGEST in trial.user_attrs


def _failed(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The last failed trial of each point that neither has a value nor is being evaluated."""
    alive = {
        trial.user_attrs.get(DIGEST) for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.RUNNING)
    }
    return list(
        {
            trial.user_attrs[DIGEST]: trial
            for trial in trials
            if is_failure(trial) and trial.user_attrs[DIGEST] not in alive
        }.values()
    )


def _state(config: SweepConfig, folder: Path, running: int) -> str:
    """The state in words."""
    described: dict[str, Any] = read_sealed(folder / "sweep.json") if (folder / "sweep.json").exists() else {}
    if is_held(config) or (is_server(config) and running):
        return "running"
    if described.get("finished"):
        return "finished"
    if described.get("problem"):
        return f"failed: {described['problem']}"
    return "stopped; run the sweep again to continue"


def _since(trial: FrozenTrial) -> str:
    started = trial.datetime_start
    return "" if started is None else duration((datetime.now() - started).total_seconds())
