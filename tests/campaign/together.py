"""Two processes at once: on one sweep, on the same artifacts, on one MLflow store; one that cleans up meanwhile."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import sleep

from tests.campaign.children import Child, Ended, command
from tests.campaign.kills import compare, mirrored
from tests.campaign.project import NAME, Project, half_done
from tests.campaign.tally import Tally, explain


def run_together(clean: Project, place: Path, tally: Tally, count: int, seed: int) -> None:
    """Run pairs of commands at once, so many times each."""
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        how = f"--seed {seed}, pair {number}"
        for title, pair in _pairs(clean, place).items():
            root = place / "together"
            half_done(clean.root, root)
            ended = _both(pair, place, rng)
            problem = next((found for one in ended if (found := explain(one))), "")
            problem = problem or ("both refused: " + ended[1].last if all(one.code for one in ended) else "")
            if not problem and title == "the same sweep":
                problem = next(iter(compare(clean.root, root, NAME)), "")
            if not problem and title == "two tracks":
                twice = [name for name, many in mirrored(root / "mlflow.db").items() if many > 1]
                problem = f"a run is in MLflow more than once: {twice[0][:60]}" if twice else ""
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


def _both(pair: Sequence[list[str]], place: Path, rng: random.Random) -> list[Ended]:
    first = Child(command(pair[0]), place / "log-first")
    sleep(rng.choice((0.0, 0.2, 1.0, 4.0)))
    second = Child(command(pair[1]), place / "log-second")
    return [second.wait(), first.wait()]
