"""Output of a sweep on the console: rows of trials, other runs, and the chosen systems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rag_lightning.config.fields import to_dict
from rag_lightning.core.artifacts import read_manifest
from rag_lightning.core.console import Head, LiveTable, say, time_left
from rag_lightning.core.shipped import find_shipped
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.command import PAPER
from rag_lightning.report.paper import Where, compare, paper_system, read_paper
from rag_lightning.runs import folders
from rag_lightning.runs.evaluate import folder_of
from rag_lightning.runs.record import read_run, read_summary, run_folders
from rag_lightning.runs.system import System
from rag_lightning.sweep.objectives import quality
from rag_lightning.sweep.space import SPLIT, Space

SYSTEM, NUMBER = Head("system", align="<"), 8


class Trials:
    """The table of trials.

    Args:
        objective: First metric of the objectives.
        budget: Trials of the whole search.
        before: Values of the trials that were evaluated by an earlier command.
    """

    def __init__(self, objective: str, budget: int, before: Iterable[float]) -> None:
        self.values, self.budget, self.seconds = list(before), budget, list[float]()
        numbers = (Head(f"{SPLIT} {objective}", NUMBER), Head("seconds", NUMBER), Head("best", NUMBER))
        self.table = LiveTable((Head("trial", 7), SYSTEM, *numbers, Head("time left", 12)))
        if self.values:
            done = "all" if len(self.values) == budget else str(len(self.values))
            best = f"best {SPLIT} {objective} {max(self.values):.1f}"
            say(f"{'trials':<17} {done} of {budget} evaluated before, {best}")

    def add(self, label: str, value: float, seconds: float) -> None:
        """Print the row of a trial; a new best is marked."""
        is_best = not self.values or value > max(self.values)
        self.values.append(value)
        self.seconds.append(seconds)
        best = f"{'* ' if is_best else ''}{max(self.values):.1f}"
        self.table.add(
            f"{len(self.values)}/{self.budget}",
            label,
            f"{value:.1f}",
            f"{seconds:.1f}",
            best,
            time_left(self.seconds, self.budget - len(self.values)),
            style="bold" if is_best else "",
        )


def evaluated_table(objective: str) -> LiveTable:
    """The table of the other runs: baselines on dev and test, and the chosen systems on test."""
    texts = (Head("split", 7, "<"), SYSTEM, Head("role", NUMBER, "<"))
    return LiveTable((*texts, Head(objective, NUMBER), Head("seconds", NUMBER)))


def score(folder: Path, objective: str) -> Estimate:
    """The estimate of the objective in a finished run."""
    return Estimate(**read_summary(folder)["metrics"][objective])


def show_end(space: Space, chosen: Sequence[System], folder: Path, mlflow: str) -> None:
    """Print the end: chosen systems on test beside the paper's numbers, the work saved, and the folders."""
    config = space.config
    metric = quality(config)
    numbers = (Head(f"test {metric}", NUMBER), Head("95 % interval", 13), Head("paper", 7))
    table = LiveTable((Head("chosen", align="<"), *numbers))
    paper, task = read_paper(find_shipped(PAPER)), config.experiment.task
    for system in chosen:
        found, values = score(folder_of(system, config.name, "test"), metric), to_dict(system.config)
        where = Where(paper_system(values), task.dataset, config.experiment.scale, "test", metric)
        published = compare(paper, where, found).paper_value
        interval = "" if found.low is None or found.high is None else f"{found.low:.1f} to {found.high:.1f}"
        table.add(system.label, f"{found.mean:.1f}", interval, "" if published is None else f"{published:.1f}")
    generated, reused = _pairs(folder, folders.artifacts(config.experiment.folder))
    say("")
    if generated + reused:
        share = 100 * reused / (generated + reused)
        say(f"{'pairs':<17} {generated:,} generated, {reused:,} reused ({share:.0f} % saved)")
    say(f"{'runs':<17} {folder}")
    say(f"{'MLflow':<17} mlflow ui --backend-store-uri {mlflow}")


def _pairs(folder: Path, artifacts: Path) -> tuple[int, int]:
    """Numbers of question-passage pairs that the predictions of a sweep generated and reused."""
    runs = [run for run in run_folders(folder.parent) if run.parent == folder]
    digests = {read_run(run)["digests"].get("predictions") for run in runs}
    infos = [read_manifest(artifacts / "predictions" / digest)["info"] for digest in digests if digest]
    return sum(info["pairs_generated"] for info in infos), sum(info["pairs_reused"] for info in infos)
