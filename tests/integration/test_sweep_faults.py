"""Sweeps on a disk that fills, with a stopped worker, with a machine that sleeps: nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig
from tests import sweeping
from tests.sweeping import (
    LIMIT,
    at_work,
    evaluated_once,
    failures,
    finish,
    log_of,
    postgres,
    predicted,
    process_of,
    started,
    trials,
)
from tests.tiny_project import moved

__all__ = ["postgres"]
HASTY = (
    "import sys; from rag_lightning.sweep import storage; storage.HEARTBEAT, storage.GRACE = 1, 20;"
    "from rag_lightning.cli import main; sys.exit(main(sys.argv[1:]))"
)
"""The command line with heartbeats and patience of seconds."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def leave(disk: Path, kilobytes: int) -> None:
    """Fill the disk up to some room."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - (kilobytes << 10)))


@pytest.mark.slow
def test_a_sweep_on_a_disk_that_fills_again_and_again_ends_as_any_other(
    tiny_sweep: SweepConfig, tiny_copy: SweepConfig, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.move(tiny_copy.experiment.folder, small_disk / "project")
    config = moved(tiny_copy, small_disk / "project")
    words = sweeping.command(config)[3:]
    codes = []
    for room in (0, 64, 128, 256, 512, 1024, 2048):
        leave(small_disk, room)
        codes.append(main(words))
        shown = capfd.readouterr().err
        last = shown.splitlines()[-1]
        full = "No space left on device" in last or "disk is full" in last
        assert "Traceback" not in shown and codes[-1] in (0, 1) and (full if codes[-1] else True), shown
    assert codes[0] == 1 and set(failures(config)) <= {"interrupted"}, "a full disk is no failure of a trial"
    leave(small_disk, 300)
    with started(replace(config, trials=8), "--workers", "2") as process:
        assert process.wait(LIMIT) == 1, log_of(config)
    assert "Traceback" not in log_of(config)
    (small_disk / "filler").unlink()
    finish(replace(config, trials=8), "--workers", "2")
    assert set(failures(config)) <= {"interrupted"} and len(evaluated_once(config)) == 8
    for file in small_disk.glob("project/runs/tiny/*/run.json"):
        if json.loads(file.read_text())["status"] != "finished":
            shutil.rmtree(file.parent)  # of a point that was free again, and not suggested again
    ours, theirs = predicted(config), predicted(tiny_sweep)
    assert len(ours) >= 8 and {name: ours[name] for name in ours if name in theirs} == theirs


@pytest.mark.slow
def test_a_worker_that_is_stopped_is_replaced_after_the_time_limit(tiny_copy: SweepConfig) -> None:
    config = replace(tiny_copy, trials=6, sampler="random", trial_seconds=45)
    with started(config, "--workers", "2") as process:
        trial = at_work(config, process)
        os.kill(process_of(trial), signal.SIGSTOP)
        assert process.wait(LIMIT) == 0, log_of(config)
    assert failures(config) == ["took longer than trial_seconds=45"] and len(evaluated_once(config)) == 6
    assert trial.user_attrs["digest"] in evaluated_once(config)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_machine_that_falls_asleep_loses_its_point_and_overwrites_nothing_when_it_wakes(
    postgres: str, tiny_copy: SweepConfig
) -> None:
    """Each machine has a folder of its own."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    config = replace(tiny_copy, trials=6, sampler="random", storage=postgres, always=())
    other = moved(config, Path(config.experiment.folder).parent / "other")
    shutil.copytree(config.experiment.folder, other.experiment.folder)
    with started(config, program=("-c", HASTY)) as asleep:
        trial = at_work(config, asleep)
        os.killpg(asleep.pid, signal.SIGSTOP)
        assert trials(config)[trial.number].state.name == "RUNNING", "too late to stop it"
        with started(other, program=("-c", HASTY)) as awake:
            assert awake.wait(LIMIT) == 0, log_of(other)
        before = trials(config)
        assert before[trial.number].state.name == "FAIL" and trial.user_attrs["digest"] in evaluated_once(config)
        os.killpg(asleep.pid, signal.SIGCONT)
        assert asleep.wait(LIMIT) == 0, log_of(config)
    assert [(t.number, t.state, t.values) for t in trials(config)] == [(t.number, t.state, t.values) for t in before]
    assert len(evaluated_once(config)) == 6 and predicted(config) == predicted(other)
