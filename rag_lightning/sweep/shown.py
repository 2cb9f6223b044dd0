"""Output of a sweep on the console: rows of trials, other runs, and the chosen systems."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from rag_lightning.config.fields import to_dict
from rag_lightning.core.artifacts import read_manifest
from rag_lightning.core.console import say, time_left
from rag_lightning.core.shipped import find_shipped
from rag_lightning.core.tables import Head, LiveTable
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.command import PAPER
from rag_lightning.report.paper import Where, compare, is_held_out, paper_system, read_paper
from rag_lightning.runs import folders
from rag_lightning.runs.evaluate import folder_of
from rag_lightning.runs.record import read_run, read_summary, run_folders
from rag_lightning.runs.system import System
from rag_lightning.sweep import selection
from rag_lightning.sweep.attributes import DIGEST, SYSTEM, duration_of, is_failure, reason_of
from rag_lightning.sweep.objectives import quality
from rag_lightning.sweep.space import SPLIT, Space
from rag_lightning.sweep.study import Progress

NAMES, NUMBER = Head("system", align="<"), 8


class Trials:
    """The table of trials; the study is the source, so that the trials of all workers and machines have a row.

    Args:
        space: Search space.
        progress: The study as it was before this command.
    """

    def __init__(self, space: Space, progress: Progress) -> None:
        config = space.config
        self.budget, self.workers, self.retries = space.budget, config.workers, config.retries
        self.metric = quality(config)
        self.position = config.objectives.index(self.metric)
        self.best = [values[self.position] for values, _ in progress.values.values()]
        self.seconds: list[float] = []
        self._rows = {trial.number for trial in progress.known if trial.state.is_finished()}
        self._points = {*progress.values}
        numbers = (Head(f"{SPLIT} {self.metric}", NUMBER), Head("seconds", NUMBER), Head("best", NUMBER))
        self.table = LiveTable((Head("trial", 7), NAMES, *numbers, Head("time left", 12)))
        if self.best:
            done = "all" if len(self.best) == self.budget else str(len(self.best))
            best = f"best {SPLIT} {self.metric} {max(self.best):.1f}"
            say(f"{'trials':<17} {done} of {self.budget} evaluated before, {best}")

    def update(self, progress: Progress) -> list[FrozenTrial]:
        """Print a row for each trial that has finished since the last call; returns these trials."""
        new = [trial for trial in progress.known if trial.state.is_finished() and trial.number not in self._rows]
        new = [trial for trial in new if trial.state == TrialState.COMPLETE or is_failure(trial)]
        shown = [trial for trial in new if trial.user_attrs.get(DIGEST) not in self._points | {None}]
        for trial in sorted(shown, key=lambda trial: str(trial.datetime_complete)):
            self._rows.add(trial.number)
            self._add(trial)
        return shown

    def _add(self, trial: FrozenTrial) -> None:
        """Print the row of a trial; a new best is marked."""
        label, seconds = str(trial.user_attrs[SYSTEM]), duration_of(trial)
        if trial.state != TrialState.COMPLETE:
            self.table.add("failed", f"{label}: {reason_of(trial)}", "", f"{seconds:.1f}", "", "", style="red")
            return
        value = trial.values[self.position]
        is_best = not self.best or value > max(self.best)
        self.best.append(value)
        self.seconds.append(seconds)
        self._points.add(trial.user_attrs[DIGEST])
        self.table.add(
            f"{len(self.best)}/{self.budget}",
            label,
            f"{value:.1f}",
            f"{seconds:.1f}",
            f"{'* ' if is_best else ''}{max(self.best):.1f}",
            time_left(self.seconds, self.budget - len(self.best), self.workers),
            style="bold" if is_best else "",
        )


def show_failed(failed: Sequence[FrozenTrial]) -> None:
    """Print the systems without a score and their reasons."""
    for trial in failed:
        say(f"{'failed':<17} {trial.user_attrs[SYSTEM]}: {reason_of(trial)}")


def evaluated_table(objective: str) -> LiveTable:
    """The table of the other runs: baselines on dev and test, and the chosen systems on test."""
    texts = (Head("split", 7, "<"), NAMES, Head("role", NUMBER, "<"))
    return LiveTable((*texts, Head(objective, NUMBER), Head("seconds", NUMBER)))


def score(folder: Path, objective: str) -> Estimate:
    """The estimate of the objective in a finished run."""
    return Estimate(**read_summary(folder)["metrics"][objective])


def show_end(space: Space, chosen: Sequence[System], folder: Path, mlflow: str) -> None:
    """Print the end: chosen systems on test beside the paper's numbers, the work saved, and the folders."""
    config, metric = space.config, quality(space.config)
    numbers = (Head(f"test {metric}", NUMBER), Head("95 % interval", 13), Head("paper", 7))
    table = LiveTable((Head("chosen", align="<"), *numbers))
    paper, task = read_paper(find_shipped(PAPER)), config.experiment.task
    for system in chosen:
        found, values = score(folder_of(system, config.name, "test"), metric), to_dict(system.config)
        held_out = is_held_out(values, "test")
        where = Where(paper_system(values), task.dataset, config.experiment.scale, "test", metric, held_out)
        published = compare(paper, where, found).paper_value
        interval = "" if found.low is None or found.high is None else f"{found.low:.1f} to {found.high:.1f}"
        table.add(system.label, f"{found.mean:.1f}", interval, "" if published is None else f"{published:.1f}")
    for line in selection.problems(config):
        say(f"{'not chosen':<17} {line}")
    generated, reused = _pairs(folder, folders.artifacts(config.experiment.folder))
    say("")
    if generated + reused:
        share = 100 * reused / (generated + reused)
        say(f"{'pairs':<17} {generated:,} generated, {reused:,} reused ({share:.0f} % saved)")
    say(f"{'runs':<17} {folder}")
    say(f"{'MLflow':<17} mlflow ui --backend-store-uri {shlex.quote(mlflow)}")


def _pairs(folder: Path, artifacts: Path) -> tuple[int, int]:
    """Numbers of question-passage pairs that the predictions of a sweep generated and reused."""
    runs = run_folders(folder.parent, folder.name)
    digests = {read_run(run)["digests"].get("predictions") for run in runs}
    found = [artifacts / "predictions" / digest for digest in digests if digest]
    infos = [read_manifest(path)["info"] for path in found if path.exists()]  # a user may have removed some
    return sum(info["pairs_generated"] for info in infos), sum(info["pairs_reused"] for info in infos)
