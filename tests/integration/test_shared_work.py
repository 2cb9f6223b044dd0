"""Embedding and prediction by two and four processes, byte for byte those of one. Slow: each process imports torch."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, JobError
from rag_lightning.retrieval.embed import SHARDS
from rag_lightning.stages import embed, embed_parts, predict, together, vectors
from rag_lightning.stages.workspace import Workspace
from rag_lightning.training import work
from tests.tiny_project import barely_trained

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SHARD = 10
ONCE = "dies-once"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> ExperimentConfig:
    """A trained project with the embeddings and predictions of one process, in small shards and batches."""
    config = barely_trained(tmp_path_factory.mktemp("whole"), bert_folder)
    config = replace(config, split="test", formulation="rag_sequence")
    config = replace(config, decoding=replace(config.decoding, strategy="thorough", options={}, pairs_per_batch=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "SHARD_SIZE", SHARD)
        predict.build(Workspace(config), "test")
    return config


@pytest.fixture
def copied(whole: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentConfig:
    """The project without embeddings, predictions and stored pairs."""
    monkeypatch.setattr(vectors, "SHARD_SIZE", SHARD)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shutil.copytree(whole.folder, tmp_path / "copy", symlinks=True)
    for kind in ("vectors", "predictions", "pairs"):
        shutil.rmtree(tmp_path / "copy" / "artifacts" / kind)
    return replace(whole, folder=str(tmp_path / "copy"))


def file_of(config: ExperimentConfig, kind: str, name: str) -> bytes:
    (file,) = (Path(config.folder) / "artifacts" / kind).glob(f"*/{name}")
    return file.read_bytes()


@pytest.mark.parametrize("count", [2, 4])
def test_the_bytes_are_those_of_one_process(whole: ExperimentConfig, copied: ExperimentConfig, count: int) -> None:
    many = replace(copied, devices=count)
    made = embed.build(Workspace(many))
    assert file_of(many, "vectors", "vectors.npy") == file_of(whole, "vectors", "vectors.npy")
    assert made.info["passages"] == 64 and made.info["reused"] == 0
    found = predict.build(Workspace(many), "test")
    assert file_of(many, "predictions", "predictions.jsonl") == file_of(whole, "predictions", "predictions.jsonl")
    alone = predict.build(Workspace(whole), "test")
    for name in ("questions", "pairs_generated", "pairs_reused", "encoded"):
        assert found.info[name] == alone.info[name] and found.info[name] is not None
    assert {file.name for file in found.path.iterdir()} == {file.name for file in alone.path.iterdir()}


def embed_and_die(rank: int, config: ExperimentConfig, folder: Path, values: Mapping[str, Any]) -> None:
    """The second process dies as by the kernel after its first shard, once."""
    if rank == 1 and not (folder.parent / ONCE).exists():
        (folder.parent / ONCE).touch()
        embed_parts.embed_share(0, config, folder, {**values, "numbers": together.share(rank, values)[:1], "world": 1})
        os.kill(os.getpid(), signal.SIGKILL)
    embed_parts.embed_share(rank, config, folder, values)


def embed_nothing(rank: int, config: ExperimentConfig, folder: Path, values: Mapping[str, Any]) -> None:
    """All processes die as by the kernel."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_shards_of_a_process_that_dies_are_made_by_the_others(
    whole: ExperimentConfig, copied: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(work.WORKS, "embed", f"{__name__}:embed_and_die")
    said: list[str] = []
    embed.build(Workspace(replace(copied, devices=2), said.append))
    assert file_of(copied, "vectors", "vectors.npy") == file_of(whole, "vectors", "vectors.npy")
    assert [line for line in said if "process 2 is gone" in line and "made by those that are left" in line]


def test_work_that_all_processes_die_of_is_one_line_and_keeps_what_is_made(
    copied: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(work.WORKS, "embed", f"{__name__}:embed_nothing")
    with pytest.raises(JobError, match=r"none of the processes has made a part of it: process . is gone: .*SIGKILL"):
        embed.build(Workspace(replace(copied, devices=2)))
    (partial,) = (Path(copied.folder) / "artifacts" / "vectors").glob("*.partial")
    assert (partial / SHARDS / "plan.json").exists()


def test_machines_that_are_not_there_are_refused_before_anything_is_built(copied: ExperimentConfig) -> None:
    for build in (embed.build, lambda place: predict.build(place, "test")):
        with pytest.raises(ConfigError, match=r"devices=1, num_nodes=2: this command runs on 1 of them; start the"):
            build(Workspace(replace(copied, num_nodes=2)))
    assert not (Path(copied.folder) / "artifacts" / "vectors").exists()


def test_devices_of_several_kinds_are_refused(copied: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "device_names", lambda kind: ["A100", "H100"])
    with pytest.raises(JobError, match=r"several devices would mix .*: A100 on .*, H100 on .*; give the job"):
        embed.build(Workspace(replace(copied, devices=2)))
