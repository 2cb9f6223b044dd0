"""Two processes at once: on one sweep, on the same artifacts, on one MLflow store; one that cleans up meanwhile."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import sleep

from tests.campaign.children import Child, Ended, command, run
from tests.campaign.kills import compare, mirrored
from tests.campaign.project import NAME, Project, copy, half_done, take
from tests.campaign.tally import Tally, explain


def run_together(clean: Project, place: Path, tally: Tally, count: int, seed: int) -> None:
    """Run pairs of commands at once, so many times each."""
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        how = f"--seed {seed}, pair {number}"
        for title, pair in _pairs(clean, place).items():
            root = place / "together"
            (take if title == "two tracks" else half_done)(clean.root, root)
            ended = _both(pair, place, rng)
            problem = next((found for one in ended if (found := explain(one))), "")
            problem = problem or ("both refused: " + ended[1].last if all(one.code for one in ended) else "")
            if not problem and title == "the same sweep":
                problem = next(iter(compare(clean.root, root, NAME)), "")
            if not problem and title == "two tracks":
                sent = mirrored(root / "mlflow.db")
                twice = [name for name, many in sent.items() if many > 1]
                problem = f"a run is in MLflow more than once: {twice[0][:60]}" if twice else ""
                problem = problem or ("" if len(sent) >= len(clean.records()) else f"{len(sent)} runs are in MLflow")
            tally.add(f"two at once: {title}", problem, how)
            shutil.rmtree(root, ignore_errors=True)


def _pairs(clean: Project, place: Path) -> dict[str, tuple[list[str], list[str]]]:
    project = Project(place / "together", clean.given)
    sweep, experiment = project.sweep(), ["--config", str(clean.experiment), "--folder", str(project.root)]
    other = project.sweep("--name", "other")
    folder = ["--folder", str(project.root)]
    return {
        "the same sweep": (sweep, sweep),
        "two sweeps": (sweep, other),
        "the same artifacts": (["score", *experiment], ["score", *experiment]),
        "two tracks": (["track", *folder, "--all"], ["track", *folder, "--all"]),
        "sweep and track": (sweep, ["track", *folder]),
        "sweep and report": (sweep, project.report()),
        "sweep and gc": (sweep, ["artifacts", "gc", "--confirm", "yes", *folder]),
    }


def run_locked(clean: Project, place: Path, tally: Tally) -> None:
    """Run commands while another process holds a database; what they have done is there afterwards."""
    project = Project(place / "together", clean.given)
    commands = (project.sweep("--status"), project.sweep(), ["track", "--folder", str(project.root), "--all"])
    for name in (f"runs/{NAME}/study.db", "mlflow.db"):
        for words in commands:
            copy(clean.root, project.root)
            if not (project.root / name).exists():
                continue
            holder = Child(partial(_hold, project.root / name), place / "log-first")
            sleep(1)
            ended = run(words, place / "log-second", 200)
            holder.send(signal.SIGKILL)
            holder.wait()
            again = run(words, place / "log-second")
            problem = explain(ended) or (f"does not go on afterwards: {again.last}" if again.code else "")
            tally.add(f"locked {Path(name).name}: {words[0]}", problem, f"`{' '.join(words)}` while {name} is locked")
    shutil.rmtree(project.root, ignore_errors=True)


def _hold(path: Path) -> int:
    """Hold a database for itself, for good."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    sleep(3600)
    return 0


def _both(pair: Sequence[list[str]], place: Path, rng: random.Random) -> list[Ended]:
    first = Child(command(pair[0]), place / "log-first")
    sleep(rng.choice((0.0, 0.2, 1.0, 4.0)))
    second = Child(command(pair[1]), place / "log-second")
    return [second.wait(), first.wait()]
