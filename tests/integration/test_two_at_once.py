"""Two processes in one folder at once: the second is refused or waits, and neither loses anything."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.files import sqlite_url
from tests.sweeping import LIMIT, at_work, evaluated_once, failures, log_of, predicted, started, trials

pytestmark = pytest.mark.slow


def mlflow_runs(config: SweepConfig) -> list[str]:
    """The keys of all runs in MLflow."""
    client = MlflowClient(sqlite_url(Path(config.experiment.folder) / "mlflow.db"))
    found = [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]
    return [run.data.tags["mlflow.ragLightning.key"] for run in found if "mlflow.ragLightning.key" in run.data.tags]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_sweep_of_a_name_is_refused_and_the_first_ends_as_if_alone(
    tiny_sweep: SweepConfig, tiny_copy: SweepConfig, workers: str
) -> None:
    with started(tiny_copy, "--workers", workers) as first:
        at_work(tiny_copy, first)
        os.killpg(first.pid, signal.SIGSTOP)  # it lives, and does not end before the others have begun
        for other in (tiny_copy, replace(tiny_copy, space={"k": (1, 2)})):
            with started(other, "--workers", workers) as second:
                assert second.wait(LIMIT) == 1, log_of(tiny_copy)
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(LIMIT) == 0, log_of(tiny_copy)
    shown = log_of(tiny_copy)
    assert shown.count("runs/tiny.lock: is held: this sweep is running; wait for it, or give another name") == 2
    assert "Traceback" not in shown and failures(tiny_copy) == []
    assert len(evaluated_once(tiny_copy)) == 4 and len(trials(tiny_copy)) >= 4
    if workers == "1":
        assert predicted(tiny_copy) == predicted(tiny_sweep)
    keys = mlflow_runs(tiny_copy)
    assert len(keys) == len(set(keys)) > 4


def test_two_that_start_together_are_one(tiny_copy: SweepConfig) -> None:
    with started(tiny_copy) as one, started(tiny_copy) as other:
        codes = sorted(process.wait(LIMIT) for process in (one, other))
    assert codes in ([0, 1], [0, 0]), log_of(tiny_copy)  # one that begins after the end of the other finds all done
    assert log_of(tiny_copy).count("is held: this sweep is running") == codes.count(1)
    assert "Traceback" not in log_of(tiny_copy)
    assert len(evaluated_once(tiny_copy)) == 4 and failures(tiny_copy) == []
    ended = json.loads((Path(tiny_copy.experiment.folder) / "runs" / "tiny" / "sweep.json").read_text())
    assert ended["finished"] is True


def test_sweeps_of_two_names_share_what_they_build(tiny_copy: SweepConfig) -> None:
    other = replace(tiny_copy, name="other")
    with started(tiny_copy) as one, started(other) as two:
        assert (one.wait(LIMIT), two.wait(LIMIT)) == (0, 0), log_of(tiny_copy)
    assert predicted(tiny_copy) == predicted(other)
    keys = mlflow_runs(tiny_copy)
    assert len(keys) == len(set(keys))
