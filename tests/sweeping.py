"""Sweeps run by the command line in processes of their own, so that tests can kill them; and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.records import Prediction, read_jsonl
from rag_lightning.sweep.space import open_space
from rag_lightning.sweep.study import open_study

ROOT = Path(__file__).parents[1]
PROGRAM = ("-m", "rag_lightning")
LIMIT = 240
"""Seconds for any sweep of the tiny project."""


def command(config: SweepConfig, *more: str) -> list[str]:
    """The command line of a sweep, its configuration in a file of its folder."""
    file = Path(config.experiment.folder) / f"{config.name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(to_dict(config)))
    return [sys.executable, *PROGRAM, "sweep", "--config", str(file), *more]


@contextmanager
def started(
    config: SweepConfig, *more: str, program: Sequence[str] = PROGRAM, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A sweep in a process group of its own, whose output is in sweep.log; the group is killed at the end."""
    words = [sys.executable, *program, *command(config, *more)[3:]]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables
    with (Path(config.experiment.folder) / "sweep.log").open("a") as log:
        heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        process = subprocess.Popen(words, env=environment, stderr=log, stdout=log, text=True, start_new_session=True)
        signal.signal(signal.SIGINT, heard)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def log_of(config: SweepConfig) -> str:
    """What the sweeps of a folder have printed."""
    return (Path(config.experiment.folder) / "sweep.log").read_text(encoding="utf-8")


def finish(config: SweepConfig, *more: str, **variables: str) -> None:
    """Run a sweep to its end."""
    with started(config, *more, **variables) as process:
        assert process.wait(LIMIT) == 0, log_of(config)


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of a private PostgreSQL server."""
    script = str(ROOT / ".ci" / "postgres.sh")
    with tempfile.TemporaryDirectory(prefix="rag-postgres-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        place = f"{folder}/server"
        done = subprocess.run(
            ["bash", script, "start", place], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            pytest.skip(f"no PostgreSQL: {done.stderr.strip().splitlines()[-1]}")
        try:
            yield done.stdout.strip()
        finally:
            subprocess.run(["bash", script, "stop", place], capture_output=True, timeout=60, check=False)


@contextmanager
def study_of(config: SweepConfig) -> Iterator[optuna.Study]:
    """The study of a sweep, whose connections are closed at the end."""
    study = open_study(open_space(config))
    try:
        yield study
    finally:
        study._storage.remove_session()
        study._storage._backend.engine.dispose()  # type: ignore[attr-defined]


def trials(config: SweepConfig) -> list[FrozenTrial]:
    """All trials of the study as they are now."""
    with study_of(config) as study:
        return study.get_trials(deepcopy=False)


def at_work(config: SweepConfig, process: subprocess.Popen[str]) -> FrozenTrial:
    """A trial that a worker evaluates now; waits for one."""
    deadline = time.monotonic() + LIMIT
    with study_of(config) as study:
        while time.monotonic() < deadline and process.poll() is None:
            running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
            if found := [trial for trial in running if "digest" in trial.user_attrs]:
                return found[0]
            time.sleep(0.02)
    raise AssertionError(log_of(config))


def process_of(trial: FrozenTrial) -> int:
    """The process that evaluates a trial."""
    return int(trial.user_attrs["worker"].partition(":")[2].split()[0])


def evaluated_once(config: SweepConfig) -> list[str]:
    """The points that have a value, each from exactly one evaluation; no trial is left open."""
    found = trials(config)
    assert {trial.state for trial in found} <= {TrialState.COMPLETE, TrialState.FAIL}
    digests = [t.user_attrs["digest"] for t in found if t.state == TrialState.COMPLETE and "digest" in t.user_attrs]
    assert len(digests) == len(set(digests)), "a point was evaluated twice"
    return digests


def failures(config: SweepConfig) -> list[str]:
    """The reasons of failed trials, without those of suggestions that were another worker's."""
    reasons = [str(t.user_attrs.get("reason")) for t in trials(config) if t.state == TrialState.FAIL]
    return [reason for reason in reasons if not reason.startswith("repeats")]


def predicted(config: SweepConfig, split: str = "dev") -> Mapping[str, list[tuple[str, str]]]:
    """run_id -> predictions of the finished runs of a split."""
    folder = Path(config.experiment.folder)
    found = {}
    for file in sorted((folder / "runs" / config.name).glob(f"{split}-*/run.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        assert record["status"] == "finished", record
        made = folder / "artifacts" / "predictions" / record["digests"]["predictions"] / "predictions.jsonl"
        found[file.parent.name] = [(p.text, f"{p.log_prob:.4f}") for p in read_jsonl(made, Prediction)]
    return found


optuna.logging.set_verbosity(optuna.logging.WARNING)
