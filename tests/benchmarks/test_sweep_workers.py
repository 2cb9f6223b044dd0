"""What a sweep costs beside the work of its trials, and what a second worker brings."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from optuna.trial import TrialState

from rag_lightning.config.commands import SweepConfig
from rag_lightning.sweep import run as sweep
from rag_lightning.sweep.space import open_space
from rag_lightning.sweep.study import open_study
from rag_lightning.tracking.track import Mirrors
from tests.sweeping import finish, trials

MOST_SECONDS = 0.1
"""Target: harness, Optuna and MLflow, per trial."""
LEAST_GAIN = 1.7
"""Target: trials per second of two workers of one thread against one worker of one thread."""
TRIALS, PAIRS = 36, 3
pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(3600)]


def test_a_trial_costs_little_beside_its_work(
    tiny_copy: SweepConfig, capsys: pytest.CaptureFixture[str], benchmark: Any
) -> None:
    """Every artifact exists, so that what remains is claiming, recording, telling, showing and mirroring."""
    config = replace(tiny_copy, trials=TRIALS, sampler="random", always=(), trivial=False)
    sweep.run(config)
    again = replace(config, name="again")
    space = open_space(again)
    sweep._open_folder(space, True)
    mirror = Mirrors(again.experiment.folder, "").of(again.experiment.task.name)
    mirror.parent(again.name)
    seconds: list[float] = []

    def search() -> None:
        started = perf_counter()
        sweep._search(space, open_study(space), mirror)
        mirror.wait()
        seconds.append((perf_counter() - started) / TRIALS)

    benchmark.pedantic(search, rounds=1)
    with capsys.disabled():
        print(f"\n{1000 * seconds[0]:.0f} ms a trial beside its work")
    assert seconds[0] <= MOST_SECONDS


def rate(config: SweepConfig) -> float:
    """Trials per second while all workers are at work: from the last one's first trial to the first one's last."""
    ends: dict[str, list[datetime]] = defaultdict(list)
    for trial in trials(config):
        if trial.state == TrialState.COMPLETE and "worker" in trial.user_attrs and trial.datetime_complete:
            ends[trial.user_attrs["worker"]].append(trial.datetime_complete)
    begin, end = max(min(times) for times in ends.values()), min(max(times) for times in ends.values())
    return sum(begin < time <= end for times in ends.values() for time in times) / (end - begin).total_seconds()


def test_two_workers_against_one(tiny_copy: SweepConfig, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    config = replace(tiny_copy, trials=TRIALS, sampler="random", always=(), trivial=False)
    root, rates = Path(config.experiment.folder), defaultdict[int, list[float]](list)

    def pair(number: int) -> None:
        for workers in (1, 2):
            folder = root.parent / f"{number}-{workers}"
            shutil.copytree(root, folder)
            own = replace(config, workers=workers, experiment=replace(config.experiment, folder=str(folder)))
            finish(own)
            rates[workers].append(rate(own))
            shutil.rmtree(folder)

    def pairs() -> None:
        for number in range(PAIRS):
            pair(number)

    benchmark.pedantic(pairs, rounds=1)
    gain = median(two / one for one, two in zip(rates[1], rates[2], strict=True))
    with capsys.disabled():
        print(f"\ntwo workers {gain:.2f} times one (trials per second: {dict(rates)})")
    assert gain >= LEAST_GAIN
