"""Several processes train as one, on one machine or two. Slow: each imports torch and Lightning anew."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError, Terminated, TrainingError
from rag_lightning.core.places import Share
from rag_lightning.corpus.store import write_passages
from rag_lightning.index.index import build_index
from rag_lightning.training.callbacks import RESUME
from rag_lightning.training.processes import Group, free_port, group_of, launch, launch_each
from tests import distributed_work as work

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Lightning 2.6 with torch 2.13
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    # the module moves its own batches, the data module has nothing to move
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
]


@pytest.fixture
def corpus(world: Any, tmp_path: Path) -> Path:
    """Passages, vectors and their flat index as files."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_passages(folder, list(world.store))
    np.save(folder / "vectors.npy", world.vectors)
    build_index(IndexConfig(), world.vectors).save(folder)
    return folder


def on_machines(
    do: Callable[..., None], devices: int, nodes: int, arguments: tuple[Any, ...], folder: Path
) -> list[TrainingError]:
    """Run processes on one machine, or in as many groups as there are machines, each with a command of its own."""
    port = free_port()
    groups = [Group(Share(n * devices, devices, devices * nodes, n, 0, devices), port=port) for n in range(nodes)]
    if nodes == 1:
        launch(do, groups[0], arguments, folder)
        return []
    lost = []

    def start(group: Group) -> None:
        try:
            launch(do, group, arguments, folder)
        except TrainingError as error:
            lost.append(error)

    with ThreadPoolExecutor(nodes) as pool:
        list(pool.map(start, groups))
    return lost


@pytest.mark.parametrize(("devices", "nodes"), [(4, 1), (1, 2), (2, 2)])
def test_four_processes_and_two_machines_have_the_losses_of_one(
    corpus: Path, bert_folder: Path, tmp_path: Path, devices: int, nodes: int
) -> None:
    common: dict[str, Any] = {"steps": 3, "k": 2, "lr": 1e-2, "warmup": 0, "eval_every": 0, "dtype": "float32"}
    trainer = {"devices": devices, "num_nodes": nodes, "strategy": "ddp", "accelerator": "cpu"}
    together = TrainConfig(batch_size=4 // (devices * nodes), **common, trainer=trainer)
    for name in ("many", "one"):
        (tmp_path / name).mkdir()
    given = (together, bert_folder, corpus, tmp_path / "many")
    assert on_machines(work.train, devices, nodes, given, tmp_path / "many") == []
    work.train(0, TrainConfig(batch_size=4, **common), bert_folder, corpus, tmp_path / "one")
    one = torch.load(tmp_path / "one-rank0.pt")["losses"]
    for rank in range(devices * nodes):
        assert torch.load(tmp_path / f"many-rank{rank}.pt")["losses"] == pytest.approx(one, abs=1e-6), rank
    assert len(one) == 3


@pytest.mark.parametrize(("ahead", "spread"), [(False, "none"), (True, "none"), (False, "spread_all")])
def test_two_processes_equal_one_with_the_doubled_batch(
    corpus: Path, bert_folder: Path, tmp_path: Path, ahead: bool, spread: str
) -> None:
    common: dict[str, Any] = {"steps": 2, "k": 2, "lr": 1e-2, "warmup": 0, "eval_every": 1, "dtype": "float32"}
    common |= {"retrieve_ahead": ahead, "distractor_loss": spread}
    together = TrainConfig(batch_size=2, **common, trainer={"devices": 2, "strategy": "ddp", "accelerator": "cpu"})
    alone = TrainConfig(batch_size=4, **common)
    for name in ("two", "one"):
        (tmp_path / name).mkdir()
    launch(work.train, group_of(2), (together, bert_folder, corpus, tmp_path / "two"), tmp_path / "two")
    work.train(0, alone, bert_folder, corpus, tmp_path / "one")
    first, second, one = (torch.load(tmp_path / f"{n}.pt") for n in ("two-rank0", "two-rank1", "one-rank0"))
    assert first["losses"] == second["losses"] == pytest.approx(one["losses"], abs=1e-6)
    for mine, same, whole in zip(first["gradients"], second["gradients"], one["gradients"], strict=True):
        assert mine.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(mine[name], gradient, rtol=0, atol=1e-5, msg=name)
            torch.testing.assert_close(same[name], mine[name], rtol=0, atol=0)
    assert sorted(first["scored"] + second["scored"]) == sorted(one["scored"]) == sorted("1234" * 2)
    assert set(first["scored"]) == {"1", "2", "4"}
    assert first["result"]["dev_score"] == one["result"]["dev_score"] == 0.625
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["history.jsonl"]
    assert second["result"]["dev_score"] is None, "only the first process keeps anything"


@pytest.mark.parametrize(("ahead", "nodes", "dying"), [(False, 1, 1), (True, 1, 0), (False, 2, 0), (False, 2, 1)])
def test_two_processes_of_which_one_was_killed_go_on_exactly(
    corpus: Path, bert_folder: Path, tmp_path: Path, ahead: bool, nodes: int, dying: int
) -> None:
    config = TrainConfig(
        batch_size=2,
        steps=4,
        k=2,
        lr=1e-2,
        warmup=0,
        eval_every=0,
        dtype="float32",
        retrieve_ahead=ahead,
        trainer={"devices": 2 // nodes, "num_nodes": nodes, "strategy": "ddp", "accelerator": "cpu"},
    )

    def run(folder: Path, dies_after: int) -> None:
        folder.mkdir(exist_ok=True)
        given = (config, bert_folder, corpus, folder, dies_after, dying)
        for error in on_machines(work.train_until, 2 // nodes, nodes, given, folder):
            raise error

    run(tmp_path / "whole", 0)
    with pytest.raises(TrainingError, match="run again to go on from the resume point"):
        run(tmp_path / "killed", 3)
    assert (tmp_path / "killed" / RESUME).exists()
    run(tmp_path / "killed", 0)
    whole, resumed = (torch.load(tmp_path / name / "end.pt") for name in ("whole", "killed"))
    assert 0 < len(resumed["losses"]) < len(whole["losses"]) == 4
    assert resumed["losses"] == whole["losses"][-len(resumed["losses"]) :]
    torch.testing.assert_close(resumed["weights"], whole["weights"], rtol=0, atol=0)


def test_a_process_that_is_gone_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"process 2 of 2 .* SIGKILL.*run again to go on from the resume point"):
        launch(work.killed, group_of(2), (tmp_path,), tmp_path)


def test_sigterm_ends_all_processes(tmp_path: Path) -> None:
    def tell() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=tell, daemon=True).start()
    with pytest.raises(Terminated):
        launch(work.waiting, group_of(2), (tmp_path,), tmp_path)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_error_of_one_process_is_the_error_of_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"generator\.x=1 cannot be"):
        launch(work.refused, group_of(2), (tmp_path,), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_processes_that_share_nothing_outlive_one_another(tmp_path: Path) -> None:
    (lost,) = launch_each(work.killed_or_done, group_of(3), (tmp_path,), tmp_path)
    assert "process 2 is gone" in lost and "SIGKILL" in lost
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2"]
    with pytest.raises(ConfigError, match=r"generator\.x=1 cannot be"):
        launch_each(work.refused, group_of(2), (tmp_path,), tmp_path)
