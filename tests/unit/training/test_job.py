"""The commands of a job: what the first shares, what the others do, and how each learns of an end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, JobError
from rag_lightning.core.places import Place, Share
from rag_lightning.training import job as jobs
from rag_lightning.training.job import Job, check_started, work_together
from rag_lightning.training.processes import Group, free_port
from rag_lightning.training.work import Work, check_alike

ROOT = Path(__file__).parents[3]


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[Share]:
    """The shares of all commands, which start no processes."""
    found: list[Share] = []

    def start(work: Work, group: Group, watch: Callable[[], None]) -> list[str]:
        watch()
        if group.share.count and work.values.get("refused") == group.share.node:
            raise ConfigError(f"refused by machine {group.share.node}")
        if group.share.count:
            found.append(group.share)
        return [f"lost on {group.share.node}"] if work.alone else []

    monkeypatch.setattr(Work, "start", start)
    return found


@contextmanager
def job_of(count: int) -> Iterator[tuple[Job, list[Future[None]]]]:
    """The first command of a job, and the others, each in a thread."""
    port = free_port()
    with ThreadPoolExecutor(count) as pool:
        leading = pool.submit(Job, Place(0, count, 0, 0, 1, "127.0.0.1", port))
        others = [pool.submit(follow, Place(node, count, node, 0, 1, "127.0.0.1", port)) for node in range(1, count)]
        yield leading.result(), others


def follow(place: Place) -> None:
    Job(place).follow()


def work(folder: Path, **more: object) -> Work:
    given = {"devices": 2, "nodes": 2, **more}
    return Work("train", ExperimentConfig(folder=str(folder)), folder, given.pop("values", {}), **given)  # type: ignore[arg-type]


def test_shared_work_is_done_by_all_until_the_first_ends(shares: list[Share], tmp_path: Path) -> None:
    with job_of(2) as (job, others):
        assert job.lead(work(tmp_path)) == []
        assert sorted(shares, key=lambda share: share.first) == [Share(0, 2, 4, 0, 0, 2), Share(2, 2, 4, 1, 0, 2)]
        shares.clear()
        assert sorted(job.lead(work(tmp_path, alone=True))) == ["lost on 0", "lost on 1"]
        assert sorted(share.first for share in shares) == [0, 2]
        shares.clear()
        assert job.lead(work(tmp_path, nodes=1)) == [] and shares == [Share(0, 2, 2, 0, 0, 2)]
        job.end(0)
        assert others[0].result(30) is None


def test_an_error_of_another_machine_is_the_error_of_all(shares: list[Share], tmp_path: Path) -> None:
    with job_of(3) as (job, others):
        with pytest.raises(ConfigError, match="refused by machine 2"):
            job.lead(work(tmp_path, nodes=3, values={"refused": 2}))
        assert job.lead(work(tmp_path, nodes=3)) == [], "the others are still there"
        job.end(1)
        for other in others:
            with pytest.raises(JobError, match="the command on the first machine has failed"):
                other.result(30)


def test_a_folder_that_only_one_machine_has(
    shares: list[Share], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SEEN", 0)
    with job_of(2) as (job, others):
        with pytest.raises(JobError, match=r"does not see .*gone: the machines of a job share the experiment's folder"):
            job.lead(work(tmp_path / "gone"))
        job.end(1)
        with pytest.raises(JobError):
            others[0].result(30)


SILENT = """
import sys, os, signal
from rag_lightning.core.places import Place
from rag_lightning.training.job import Job
job = Job(Place(1, 2, 1, 0, 1, "127.0.0.1", int(sys.argv[1])))
print("there", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_machine_that_gives_no_sign_is_gone(
    shares: list[Share], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SILENT", 1)
    port = free_port()
    leading = Job(Place(0, 2, 0, 0, 1, "127.0.0.1", port))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SILENT, str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "there\n"
            with pytest.raises(JobError, match=r"the command on .* is gone: no sign of it for 1 s; run again to go on"):
                leading.lead(work(tmp_path))
            lost = leading.lead(work(tmp_path, alone=True))
            assert lost[0] == "lost on 0" and "is gone: no sign of it" in lost[1]
            shares.clear()
            assert leading.lead(work(tmp_path, alone=True)) == ["lost on 0"]
            assert shares == [Share(0, 2, 2, 0, 0, 2)], "what is left is numbered anew"
        finally:
            other.send_signal(signal.SIGKILL)


def test_a_first_command_that_is_gone_ends_the_others() -> None:
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    leading = SILENT.replace("Place(1, 2, 1", "Place(0, 2, 0").replace(
        "os.kill(", "job._store.wait(['hello/1']); os.kill("
    )
    command = [sys.executable, "-c", leading, str(port)]
    with ThreadPoolExecutor(1) as pool, subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as first:
        other = pool.submit(follow, Place(1, 2, 1, 0, 1, "127.0.0.1", port))
        assert os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT) is not None  # the other has met it
        first.send_signal(signal.SIGKILL)
        with pytest.raises(JobError, match=r"job of 2 commands at 127.0.0.1:\d+: the first command is gone"):
            other.result(150)


def test_a_port_that_another_job_uses_is_named() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(JobError, match="the port is in use; set another MASTER_PORT"),
    ):
        Job(Place(0, 2, 0, 0, 1, "127.0.0.1", taken.getsockname()[1]), "cpu")


@pytest.mark.parametrize("answers", [True, False])
def test_a_server_that_is_no_job_is_left_in_time(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    """One that is silent keeps torch waiting for ever; a port that is closed keeps it trying."""
    monkeypatch.setattr(jobs, "JOINED", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if answers:
            other.listen()
        port = other.getsockname()[1]
        with pytest.raises(JobError, match=f":{port}: .* does not answer .no answer in 1 s; check MASTER_ADDR, MASTER"):
            Job(Place(1, 2, 1, 0, 1, "127.0.0.1", port))


def test_machines_must_be_alike() -> None:
    one = {"host": "a", "version": "1", "torch": "2", "device": "cpu"}
    check_alike([one, one | {"host": "b"}])
    with pytest.raises(JobError, match=r"several devices .*: H100 on b, cpu on a; give the job devices of one kind"):
        check_alike([one, one | {"host": "b", "device": "H100"}])
    with pytest.raises(JobError, match=r"several versions of torch .*: 2 on a, 3 on b; install the same on"):
        check_alike([one, one | {"host": "b", "torch": "3"}])


def test_a_command_alone_has_one_machine(shares: list[Share], tmp_path: Path) -> None:
    check_started(4, 1, "")
    assert work_together(work(tmp_path, devices=3, nodes=1)) == [] and shares == [Share(0, 3, 3, together=3)]
    with pytest.raises(ConfigError, match="num_nodes=2: this command runs on 1 of them"):
        check_started(1, 2, "")
    with pytest.raises(ConfigError, match="num_nodes=2"):
        work_together(work(tmp_path))
