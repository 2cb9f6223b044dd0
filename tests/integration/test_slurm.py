"""The SLURM template under a SLURM of one node: told that its time is up, it ends the work and is queued again.

Slow: SLURM waits two minutes before it starts a job again.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag_lightning.training.processes import free_port

TEMPLATE = Path(__file__).parents[2] / "experiments" / "slurm" / "experiment.sbatch"
NEEDED = ("slurmctld", "slurmd", "sbatch", "scontrol")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(any(shutil.which(name) is None for name in NEEDED), reason="needs slurm-wlm"),
    pytest.mark.skipif(os.geteuid() != 0, reason="starts SLURM's daemons, which root alone may"),
]
CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={first_port}
SlurmdPort={second_port}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/linear
SchedulerType=sched/builtin
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""
WORK = """\
#!/usr/bin/env bash
# Eighteen steps of five seconds; every step done stays done.
echo "begin $@" >> log
trap 'echo ended >> log; exit 143' TERM
touch steps
while [ "$(wc -l < steps)" -lt 18 ]; do
    for _ in {1..50}; do sleep 0.1; done
    echo step >> steps
done
echo done >> log
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a cluster of one node, which is this machine."""
    folder = tmp_path / "slurm"
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    configuration = folder / "slurm.conf"
    ports = {"first_port": free_port(), "second_port": free_port()}
    configuration.write_text(CONFIGURATION.format(host=socket.gethostname(), folder=folder, **ports))
    environment = dict(os.environ) | {"SLURM_CONF": str(configuration)}
    daemons = [
        subprocess.Popen([name, "-D", "-f", str(configuration)], env=environment, stderr=subprocess.DEVNULL)
        for name in ("slurmctld", "slurmd")
    ]
    try:
        wait_for(lambda: "idle" in told(["sinfo", "-h", "-o", "%t"], environment), 60, "the node is not ready")
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def told(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False).stdout


def wait_for(happened: Callable[[], bool], seconds: float, problem: str) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, problem
        time.sleep(1)


def test_a_job_whose_time_is_up_goes_on_from_where_it_was(slurm: dict[str, str], tmp_path: Path) -> None:
    """The signal comes about a minute after each start; all steps take longer."""
    project = tmp_path / "project"
    commands = project / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").write_text(f'PATH="{commands}:$PATH"\n')
    (commands / "rag-lightning").write_text(WORK)
    (commands / "rag-lightning").chmod(0o755)
    limits = ["--time=3", "--signal=B:USR1@120", "--gres=none", "--mem=0", "--cpus-per-task=1"]
    done = subprocess.run(
        ["sbatch", "--parsable", *limits, str(TEMPLATE)],
        env=slurm | {"NAME": "nq_rag_token", "SCALE": "mini", "SEED": "4"},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    job, log = done.stdout.strip(), project / "log"
    wait_for(lambda: log.exists() and "done" in log.read_text(), 600, f"job {job} does not end")
    asked = 'begin matrix --scale mini --only ["nq_rag_token"] --seeds [4]'
    restarts = log.read_text().count("ended")
    assert log.read_text().splitlines() == [*[asked, "ended"] * restarts, asked, "done"] and restarts
    assert (project / "steps").read_text().splitlines() == ["step"] * 18
    wait_for(lambda: "COMPLETED" in told(["scontrol", "show", "job", job], slurm), 60, "it is not completed")
    assert f"Restarts={restarts} " in told(["scontrol", "show", "job", job], slurm)
