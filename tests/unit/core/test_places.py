"""The place of a command in a job, from the environment of torchrun, srun, or by hand."""

from __future__ import annotations

import os
import re

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.trainer import place_of
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.places import Place, Share, find_place, first_host, forget_place, share_of

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_USE_AGENT_STORE": "True",
    "RANK": "5", "WORLD_SIZE": "8", "GROUP_RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "gpu01", "MASTER_PORT": "29500",
}  # fmt: skip
SRUN = {
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "3", "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_JOB_ID": "123456",
}  # fmt: skip
HAND = {"NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "4000"}


def test_places() -> None:
    assert find_place({}) is None
    assert find_place(TORCHRUN) == Place(5, 8, 1, 1, 4, "gpu01", 29500, attempt=1, hosted=True)
    assert find_place(TORCHRUN | {"WORLD_SIZE": "1"}) is None
    assert find_place(SRUN) == Place(3, 4, 1, 1, 2, "gpu07", 15000 + 3456)
    assert find_place(SRUN | {"MASTER_ADDR": "a", "MASTER_PORT": "7"}) == Place(3, 4, 1, 1, 2, "a", 7)
    assert find_place({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) is None, "a batch script is no step of srun"
    for address in ("fe80::1%eth0", "::1", "node-01.cluster_a"):
        found = find_place(HAND | {"MASTER_ADDR": address})
        assert found is not None and found.address == address
    assert find_place(HAND) == Place(1, 0, 1, 0, 1, "10.0.0.1", 4000)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (TORCHRUN | {"RANK": "x"}, "RANK='x': must be a number"),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "3"}, "srun starts 3 commands on 2 nodes; give --ntasks-per-node"),
        (SRUN | {"SLURM_STEP_NUM_NODES": "0"}, "srun starts 4 commands on 0 nodes; give --ntasks-per-node"),
        (SRUN | {"SLURM_STEP_NODELIST": ""}, "names no first machine; set MASTER_ADDR"),
        (SRUN | {"SLURM_PROCID": "4"}, "command 4 (from 0) is not one of 4; start the job by srun or torchrun"),
        (SRUN | {"SLURM_LOCALID": "2"}, "command 2 (from 0) of a machine is not one of 2"),
        (SRUN | {"SLURM_JOB_ID": "9" * 5000}, "must be a number"),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "0"}, "command 1 (from 0) of a machine is not one of 0"),
        (TORCHRUN | {"GROUP_RANK": "2"}, "machine 2 (from 0) is none of 8 commands, 4 on each"),
        ({name: value for name, value in TORCHRUN.items() if name != "MASTER_ADDR"}, "MASTER_ADDR is empty"),
        (HAND | {"MASTER_ADDR": " "}, "the environment contradicts itself: MASTER_ADDR is empty"),
        (HAND | {"MASTER_ADDR": "a\n\x1b[31mb"}, r"MASTER_ADDR='a\n\x1b[31mb' is no name or address alone"),
        (HAND | {"MASTER_ADDR": "10.0.0.1:4000"}, "MASTER_ADDR='10.0.0.1:4000' is no name"),
        (HAND | {"MASTER_ADDR": "[::1]"}, "MASTER_ADDR='[::1]' is no name"),
        (HAND | {"MASTER_ADDR": "tcp://a"}, "MASTER_ADDR='tcp://a' is no name"),
        (HAND | {"MASTER_PORT": "0"}, "MASTER_PORT=0 is no port from 1 to 65535"),
        (HAND | {"MASTER_PORT": "65536"}, "MASTER_PORT=65536 is no port"),
    ],
)
def test_places_that_are_none(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        find_place(environment)


@pytest.mark.parametrize(("listed", "host"), [("n1", "n1"), ("a[3-5],b", "a3"), ("x,y", "x"), ("c[1,9]-ib", "c1-ib")])
def test_first_hosts(listed: str, host: str) -> None:
    assert first_host(listed) == host


def test_shares() -> None:
    assert share_of(None, 4, 1, "") == Share(0, 4, 4, together=4)
    one_each = [Place(node, 2, node, 0, 1, "a", 1) for node in (0, 1)]
    assert [share_of(one, 2, 2, "") for one in one_each] == [Share(0, 2, 4, 0, 0, 2), Share(2, 2, 4, 1, 0, 2)]
    assert [share_of(one, 3, 1, "").count for one in one_each] == [3, 0], "the second machine waits"
    assert [share_of(one, 1, 1, "").count for one in one_each] == [1, 0]
    each_device = [Place(rank, 4, rank // 2, rank % 2, 2, "a", 1) for rank in range(4)]
    assert [share_of(one, 2, 2, "").first for one in each_device] == [0, 1, 2, 3]
    assert share_of(each_device[3], 2, 2, "") == Share(3, 1, 4, 1, 1, 2)
    assert [share_of(one, 2, 1, "").count for one in each_device] == [1, 1, 0, 0]
    ranks = {(one.first + i) for place in one_each for one in [share_of(place, 2, 2, "")] for i in range(one.count)}
    assert ranks == set(range(4))


def test_jobs_of_other_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.trainer\.num_nodes=2: this command runs on 1 of them; start the"):
        share_of(None, 2, 2, "train.trainer.")
    with pytest.raises(ConfigError, match=r"num_nodes=2: the job starts 4 commands on each machine; start 1 on each"):
        share_of(Place(0, 8, 0, 0, 4, "a", 1), 2, 2, "")


def test_only_what_is_spread_has_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}).items():
        monkeypatch.setenv(name, value)
    assert place_of(ExperimentConfig()) is None, "commands that srun starts side by side are each alone"
    assert place_of(ExperimentConfig(num_nodes=2)) == Place(1, 2, 1, 0, 1, "gpu07", 18456)
    trained = ExperimentConfig(train=TrainConfig(trainer={"devices": 2, "num_nodes": 2}))
    assert place_of(trained) is not None
    with pytest.raises(ConfigError, match="num_nodes=3: this command runs on 2 of them"):
        place_of(ExperimentConfig(num_nodes=3))
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    for name, value in HAND.items():
        monkeypatch.setenv(name, value)
    found = place_of(ExperimentConfig(num_nodes=2))
    assert found is not None and (found.rank, found.commands) == (1, 2)


def test_processes_do_not_take_the_place_of_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    forget_place()
    assert find_place() is None and not [name for name in os.environ if name.startswith("TORCHELASTIC")]
    assert "RANK" not in os.environ and "WORLD_SIZE" not in os.environ
