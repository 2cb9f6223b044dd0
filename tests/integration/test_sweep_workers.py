"""Sweeps with several workers, killed and interrupted ones: no trial is lost, none is evaluated twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig
from rag_lightning.sweep import run as sweep
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

__all__ = ["postgres"]
DOWN = "http://ann:hunter2@127.0.0.1:9/?token=hunter2"
"""A tracking server that does not answer, with a password."""
KILLS = int(os.environ.get("RAG_KILLS", "5"))
"""Number of kill points of the sweep of one worker."""


def same_where_both(left: SweepConfig, right: SweepConfig) -> None:
    """Equal systems have equal predictions."""
    ours, theirs = predicted(left), predicted(right)
    shared = ours.keys() & theirs.keys()
    assert shared and {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_status_of_a_finished_sweep(tiny_sweep: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*sweeping.command(tiny_sweep)[3:], "--status"]) == 0
    shown = capsys.readouterr().err
    assert "sweep             tiny: finished" in shown
    assert "trials            4 done, 0 running, 0 failed, of 4" in shown
    assert "best              dev em 50.0: RAG-" in shown and "time left" not in shown
    assert "/reports/out/tiny/index.html" in shown


def test_status_of_a_sweep_that_never_began(tiny_copy: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*sweeping.command(tiny_copy)[3:], "--status"]) == 1
    assert "this sweep was never started" in capsys.readouterr().err


def test_no_password_reaches_a_file_or_the_console(tiny_copy: SweepConfig, capfd: pytest.CaptureFixture[str]) -> None:
    config = replace(
        tiny_copy, experiment=replace(tiny_copy.experiment, tracking_uri=DOWN), trials=1, always=(), trivial=False
    )
    sweep.run(config)
    folder = Path(config.experiment.folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert (folder / "runs" / "tiny" / "sweep.json") in files and len(files) > 20
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []
    shown = "".join(capfd.readouterr())
    assert "hunter2" not in shown and "http://ann:***@127.0.0.1:9" in shown


def living(group: int) -> list[str]:
    """The processes of a group; one that has ended and is only not collected yet is none."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.slow
def test_two_workers_evaluate_each_point_once(tiny_sweep: SweepConfig, tiny_copy: SweepConfig) -> None:
    config = replace(tiny_copy, trials=8, sampler="random")
    finish(config, "--workers", "2")
    assert len(evaluated_once(config)) == 8 and failures(config) == []
    workers = {trial.user_attrs["worker"] for trial in trials(config) if "worker" in trial.user_attrs}
    assert len(workers) == 2
    same_where_both(config, tiny_sweep)
    for number in range(1, 9):
        assert f"{number}/8" in log_of(config)


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_point_tried_again(tiny_copy: SweepConfig) -> None:
    config = replace(tiny_copy, trials=6, sampler="random")
    with started(config, "--workers", "2") as process:
        trial = at_work(config, process)
        os.kill(process_of(trial), signal.SIGKILL)
        assert process.wait(LIMIT) == 0, log_of(config)
    assert failures(config) == ["worker lost (SIGKILL)"] and len(evaluated_once(config)) == 6
    assert trial.user_attrs["digest"] in evaluated_once(config)
    assert "(SIGKILL)" in log_of(config)


@pytest.mark.slow
def test_a_ctrl_c_ends_all_workers_and_the_same_command_continues(tiny_copy: SweepConfig) -> None:
    config = replace(tiny_copy, trials=6, sampler="random")
    with started(config, "--workers", "2") as process:
        at_work(config, process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LIMIT) == 130, log_of(config)
        deadline = time.monotonic() + 20
        while alive := living(process.pid):
            assert time.monotonic() < deadline, alive
    assert log_of(config).splitlines()[-1] == "rag-lightning: interrupted; run the same command again to continue"
    assert "Traceback" not in log_of(config)
    assert set(failures(config)) == {"interrupted"}
    finish(config, "--workers", "2")
    assert len(evaluated_once(config)) == 6


@pytest.mark.slow
def test_a_trial_beyond_its_time_limit_fails_and_the_sweep_goes_on(tiny_copy: SweepConfig) -> None:
    steps = {"train.steps": (600, 800)}  # trained by the trials, seconds each; the limit is looked at once a second
    config = replace(tiny_copy, space=steps, trials=2, sampler="random", trial_seconds=0.5, retries=0)
    with started(config) as process:
        assert process.wait(LIMIT) == 1
    assert set(failures(config)) == {"took longer than trial_seconds=0.5"}
    assert "all 2 trials failed" in log_of(config).splitlines()[-1]
    finish(replace(config, trial_seconds=LIMIT, retries=1))
    assert len(evaluated_once(config)) == 2


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_sweep_killed_anywhere_ends_as_one_that_was_not(tiny_sweep: SweepConfig, tiny_copy: SweepConfig) -> None:
    """Kill points are moments of the whole command, counted from its first trial."""
    rng, root = random.Random(17), Path(tiny_copy.experiment.folder)
    table = Path(tiny_sweep.experiment.folder) / "runs" / "tiny" / "selection.json"
    for kill in range(KILLS):
        config = replace(tiny_copy, experiment=replace(tiny_copy.experiment, folder=str(root.parent / f"kill{kill}")))
        shutil.copytree(root, config.experiment.folder)
        with started(config) as process:
            at_work(config, process)
            time.sleep(rng.uniform(0, 6))
            os.killpg(process.pid, signal.SIGKILL)
        finish(config)
        points = [(t.params, t.values) for t in trials(config) if t.values]
        assert points == [(t.params, t.values) for t in trials(tiny_sweep) if t.values]
        assert predicted(config) == predicted(tiny_sweep)
        assert predicted(config, "test") == predicted(tiny_sweep, "test")
        assert choice(Path(config.experiment.folder) / "runs" / "tiny" / "selection.json") == choice(table)


def choice(file: Path) -> list[tuple[object, ...]]:
    """The table of a selection, without times."""
    rows = json.loads(file.read_text(encoding="utf-8"))["candidates"]
    return [(row["run_id"], row["mean"], row["p"], row["chosen"]) for row in rows]


@pytest.mark.slow
def test_four_workers_on_postgresql_one_killed(postgres: str, tiny_copy: SweepConfig) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    config = replace(tiny_copy, trials=12, sampler="random", storage=postgres, always=(), trivial=False)
    with started(config, "--workers", "4") as process:
        trial = at_work(config, process)
        os.kill(process_of(trial), signal.SIGKILL)
        assert process.wait(LIMIT) == 0, log_of(config)
    assert failures(config) == ["worker lost (SIGKILL)"] and len(evaluated_once(config)) == 12
    password = postgres.partition("rag:")[2].partition("@")[0].encode()
    (Path(config.experiment.folder) / f"{config.name}.yaml").unlink()  # the test's own, with the URL
    files = [path for path in Path(config.experiment.folder).rglob("*") if path.is_file()]
    assert [path for path in files if password in path.read_bytes()] == []


@pytest.mark.slow
def test_two_machines_share_a_study_on_postgresql(postgres: str, tiny_copy: SweepConfig) -> None:
    """Each has a folder of its own; the first one ends the sweep, and evaluates what only the other has."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    first = replace(tiny_copy, trials=8, sampler="random", storage=postgres, always=(), trivial=False)
    root = Path(first.experiment.folder)
    second = replace(first, experiment=replace(first.experiment, folder=str(root.parent / "second")))
    shutil.copytree(root, second.experiment.folder)
    with started(first) as one, started(second) as other:
        assert one.wait(LIMIT) == 0 and other.wait(LIMIT) == 0, log_of(first) + log_of(second)
    assert len(evaluated_once(first)) == 8 and failures(first) == []
    ended = [config for config in (first, second) if "runs              " in log_of(config)]
    assert len(ended) >= 1 and len(predicted(ended[0])) == 8


@pytest.mark.slow
def test_four_ray_workers_one_killed(tiny_copy: SweepConfig) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    config = replace(
        tiny_copy, trials=8, sampler="random", always=(), trivial=False, engine="ray", workers=4, worker_cpus=0.1
    )
    with started(config, RAY_ADDRESS="") as process:
        trial = at_work(config, process)
        os.kill(process_of(trial), signal.SIGKILL)
        assert process.wait(LIMIT) == 0, log_of(config)
    (reason,) = failures(config)
    assert reason.startswith("worker lost (") and len(evaluated_once(config)) == 8


@pytest.mark.slow
def test_a_cluster_without_the_resources_is_told_before_anything_starts(tiny_copy: SweepConfig) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    config = replace(tiny_copy, engine="ray", workers=2, worker_gpus=64.0)
    with started(config, RAY_ADDRESS="") as process:
        assert process.wait(LIMIT) == 2
    last = log_of(config).splitlines()[-1]
    assert "2 workers of 1 CPU and 64 GPU each were asked for, but the cluster has room for 0" in last
    assert trials(config) == []
