"""Bad files, damaged artifacts, a full disk: stages end in a typed error, and what was there stays whole."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.data import CorpusConfig, TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import open_artifact
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError, UnknownNameError
from rag_lightning.index.index import FaissIndex
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import corpus, embed, examples, index, predict, retrieve, score
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import run as sweep
from rag_lightning.tracking import track
from tests.tiny_project import experiment, passages, questions, write_data, write_lines


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    """A project of which nothing is built yet."""
    write_data(tmp_path / "data")
    return experiment(tmp_path, tmp_path / "data", bert_folder)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Callable[[], list[Path]]]:
    """Every published artifact, opened deep; at the end of a test those the test has asked for are still whole."""
    seen: set[Path] = set()

    def check() -> list[Path]:
        found = [m.parent for m in tmp_path.rglob("manifest.json") if m.parent.suffix != ".partial"]
        for folder in found:
            open_artifact(folder, deep=True)
        seen.update(found)
        return sorted(found)

    yield check
    assert seen <= set(check())


def with_corpus(project: ExperimentConfig, content: str | None, name: str = "bad.jsonl") -> Workspace:
    file = Path(project.folder) / "data" / name
    if content is not None:
        file.write_text(content, encoding="utf-8")
    return Workspace(replace(project, corpus=CorpusConfig(source=str(file))))


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


GOOD = {"id": "1", "title": "a", "text": "b"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.jsonl", None, r"missing\.jsonl: does not exist"),
        ("empty.tsv", "", r"empty\.tsv: is empty"),
        ("head.tsv", "number\ttext\ttitle\n1\tb\ta\n", r"head\.tsv, row 1"),
        ("short.tsv", "id\ttext\ttitle\n1\tb\ta\n2\tb\n", r"short\.tsv, row 3"),
        ("field.jsonl", lines(GOOD, {"id": "2", "title": "a"}), r"field\.jsonl, row 2, field 'text'"),
        ("twice.jsonl", lines(GOOD, {**GOOD, "id": "2"}, GOOD), r"twice\.jsonl, row 3, field 'id': occurs in row 1"),
        ("cut.jsonl", lines(GOOD) + '{"id": "2", "ti', r"cut\.jsonl, row 2: is not JSON"),
    ],
)
def test_a_bad_corpus_is_named_and_the_earlier_one_stays(
    project: ExperimentConfig, whole: Callable[[], list[Path]], name: str, content: str | None, says: str
) -> None:
    corpus.build(Workspace(project))
    before = whole()
    with pytest.raises(DataError, match=says):
        corpus.build(with_corpus(project, content, name))
    assert whole() == before and len(before) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", r"bad\.jsonl: is empty"),
        (lines({"answers": ["rome"]}), r"bad\.jsonl, row 1: is JSON lines with answers; expected FlashRAG \(question,"),
        (lines({"question": "what", "answers": []}), r"row 1, field 'answers': must hold at least one answer"),
        (lines({"question": "what", "answers": ["a"], "gold_passage_id": "p99"}), r"no such passage in the corpus"),
    ],
)
def test_bad_questions_are_named(
    project: ExperimentConfig, whole: Callable[[], list[Path]], content: str, says: str
) -> None:
    file = Path(project.folder) / "data" / "bad.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match=says):
        examples.build(Workspace(replace(project, task=replace(project.task, dev=str(file)))))
    assert [folder.parent.name for folder in whole()] in ([], ["corpus"])


def test_an_unknown_task_offers_the_nearest_and_a_corpus_alone_is_not_enough(project: ExperimentConfig) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nq'"):
        examples.build(Workspace(replace(project, task=replace(project.task, name="nqq"))))
    with pytest.raises(ConfigError, match=r"give task\.train"):
        examples.build(Workspace(replace(project, task=TaskConfig())))


def test_vectors_that_are_not_finite_are_not_published(
    project: ExperimentConfig, whole: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: TextEncoder, encoded: list[Any], real: Any = TextEncoder.encode_batch) -> Any:
        return np.full_like(real(self, encoded), np.nan)

    workspace = Workspace(project)
    with monkeypatch.context() as patch:
        patch.setattr(TextEncoder, "encode_batch", broken)
        with pytest.raises(DataError, match="vector is not finite"):
            embed.build(workspace)
    assert [folder.parent.name for folder in whole()] == ["corpus"]
    assert np.isfinite(embed.open_vectors(workspace)).all(), "the next run does not take up what was broken"


def test_vectors_of_another_kind_are_refused(project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(project)
    path = embed.build(workspace).path / "vectors.npy"
    for made, says in (
        (np.zeros((64, 32), dtype=np.float64), "of float64, not float32 with 2 axes"),
        (np.zeros(64, dtype=np.float32), r"\[64\] of float32, not float32 with 2 axes"),
    ):
        monkeypatch.setattr(np, "load", lambda file, made=made, **_: made)
        with pytest.raises(ArtifactError, match=f"{path.name}.*{says}"):
            index.build(workspace)


def flip(path: Path) -> None:
    """Change the last byte, keep the size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def only(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


@pytest.mark.parametrize(
    ("pattern", "damage", "says"),
    [
        ("vectors/*/vectors.npy", flip, r"vectors\.npy: was altered .*checksum.*remove the folder"),
        ("corpus/*/passages.jsonl", flip, r"passages\.jsonl: was altered"),
        ("index/*/index.faiss", flip, r"index\.faiss: was altered"),
        ("index/*/index.faiss", cut, r"index\.faiss: has \d+ bytes, the manifest says"),
        ("model/*/generator/model.safetensors", flip, r"model\.safetensors: was altered"),
        ("examples/*/manifest.json", cut, r"manifest\.json: is cut short or damaged"),
    ],
)
def test_a_damaged_artifact_is_found_before_it_is_used(
    tiny_copy: SweepConfig, pattern: str, damage: Callable[[Path], None], says: str
) -> None:
    config = tiny_copy.experiment
    root = Path(config.folder) / "artifacts"
    for path in root.glob(pattern):
        damage(path)
    if pattern.startswith("vectors"):
        shutil.rmtree(root / "index")  # what is made of the vectors has no use for them any more
    with pytest.raises(ArtifactError, match=says):
        predict.build(Workspace(config), "dev")
    assert not list(root.glob("predictions/*/manifest.json"))


def test_k_above_the_corpus_is_refused_before_anything_is_trained(project: ExperimentConfig) -> None:
    large = replace(project, retriever=replace(project.retriever, k_max=65))
    with pytest.raises(ConfigError, match=r"retriever\.k_max=65, but the corpus has 64 passages"):
        sweep.run(SweepConfig(name="large", experiment=large))
    wide = replace(project, train=replace(project.train, k=65))
    with pytest.raises(ConfigError, match=r"train\.k=65, but the corpus has 64 passages"):
        sweep.run(SweepConfig("wide", wide, {"k": (1,), "decoding": ("rag_token/greedy",)}, always=(), trivial=False))
    assert {path.name for path in (Path(project.folder) / "artifacts").iterdir()} == {"corpus", "examples"}


def test_k_above_what_is_retrieved_or_above_the_corpus_is_refused(tiny_copy: SweepConfig) -> None:
    config = tiny_copy.experiment
    with pytest.raises(ConfigError, match=r"decoding\.k=6 exceeds retriever\.k_max=5"):
        predict.build(Workspace(replace(config, decoding=replace(config.decoding, k=6))), "dev")
    with pytest.raises(ConfigError, match="the corpus has 64 passages"):
        retrieve.build(Workspace(replace(config, retriever=replace(config.retriever, k_max=65))), "dev")


def test_a_corpus_that_changes_gets_vectors_and_an_index_of_its_own(
    project: ExperimentConfig, whole: Callable[[], list[Path]]
) -> None:
    first = index.build(Workspace(project))
    before = whole()
    write_lines(Path(project.corpus.source), [*passages(), {"id": "new", "title": "new", "text": "a new one"}])
    second = index.build(Workspace(project))
    assert second.digest != first.digest and second.info["ntotal"] == first.info["ntotal"] + 1
    assert set(before) < set(whole()) and len(whole()) == 2 * len(before)
    write_lines(Path(project.corpus.source), passages())
    assert index.build(Workspace(project)) == first, "the earlier one is found again"


@pytest.mark.parametrize("stage", [retrieve, predict, score])
def test_a_disk_that_fills_while_writing_is_told_and_leaves_the_rest(
    tiny_copy: SweepConfig, whole: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch, stage: Any
) -> None:
    def full(path: Path, records: object) -> int:
        path.write_text('{"half": ')
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    workspace = Workspace(tiny_copy.experiment)
    before = whole()
    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_jsonl", full)
        with pytest.raises(ArtifactError, match=r"No space left on device.*earlier artifacts are untouched"):
            score.build(workspace, "dev")
    assert set(before) <= set(whole())
    assert score.build(workspace, "dev").info["examples"] == 12


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Error: 'ret == (size)' failed: write error in index.faiss: No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        sqlite3.OperationalError("database or disk is full"),
    ],
    ids=["faiss", "safetensors", "sqlite"],
)
def test_a_full_disk_is_told_whatever_a_library_calls_it(
    project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(self: FaissIndex, folder: Path) -> dict[str, Any]:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(FaissIndex, "save", full)
        with pytest.raises(
            ArtifactError, match=r"artifacts/index/\w+: cannot be written .*earlier artifacts are untouched"
        ):
            index.build(Workspace(project))
        error.args = ("a bug",)
        with pytest.raises(type(error), match="a bug"):
            index.build(Workspace(project))


def test_a_run_that_failed_is_recorded_and_done_again(
    tiny_copy: SweepConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(path: Path, records: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    class Quiet:
        def __init__(self, *_: object) -> None: ...
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

    monkeypatch.setattr(track, "Mirror", Quiet)
    space = {"decoding": ("rag_token/greedy",), "retriever": ("flat",), "k": (1,)}
    config = replace(tiny_copy, trials=1, space=space, always=(), trivial=False)
    with monkeypatch.context() as patch:
        patch.setattr(predict, "write_jsonl", full)
        with pytest.raises(ArtifactError, match="No space left"):
            sweep.run(config)
    run = only(Path(config.experiment.folder), "runs/tiny/dev-*/run.json")
    failed = json.loads(run.read_text())
    assert failed["status"] == "failed" and "No space left" in failed["problem"]
    assert not (run.parent / "summary.json").exists(), "no score is made up"
    sweep.run(config)
    assert json.loads(run.read_text())["status"] == "finished"


def test_a_warm_up_with_nothing_to_read_is_told(project: ExperimentConfig) -> None:
    """A passage of a few words gives no cloze question, and these questions name no passage."""
    data = Path(project.folder) / "data"
    write_lines(data / "corpus.jsonl", [{**row, "text": "a few words"} for row in passages()])
    for split in ("train", "dev", "test"):
        rows = [{name: row[name] for name in ("question", "answers")} for row in questions(split)]
        write_lines(data / f"{split}.jsonl", rows)
    from rag_lightning.stages import reader

    with pytest.raises(ConfigError, match="the reader has no training data"):
        reader.build(Workspace(project))
