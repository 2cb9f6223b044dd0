"""Retrieval by vectors of another project's encoders, of queries and passages: none of ours is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import file_sha256
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import ask, embed, predict, retrieve, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import run as sweep
from rag_lightning.tracking import track
from tests.foreign_vectors import IDS, Vectors, in_order, quiet
from tests.run_folders import NoMirror
from tests.tiny_project import SPLITS, questions

ABSENT = "nobody/has-this-encoder"
TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 32)))[0]
"""Keeps inner products; what it turns is the vector of no encoder of ours."""


@pytest.fixture
def asked(tiny: ExperimentConfig) -> Vectors:
    """[64, 32] a vector of every question, turned."""
    encoder = TextEncoder(tiny.encoder, tiny.encoder.model, "query").eval()
    return (encoder.encode_texts([str(row["question"]) for split in SPLITS for row in questions(split)]) @ TURN).astype(
        np.float32
    )


@pytest.fixture
def given(tiny: ExperimentConfig, ours: Vectors, asked: Vectors, tmp_path: Path) -> ExperimentConfig:
    """The project with files in the place of encoders; passages in another order."""
    order = np.random.default_rng(1).permutation(64)
    np.savez(tmp_path / "passages.npz", ids=np.array(IDS)[order], vectors=(ours @ TURN).astype(np.float32)[order])
    np.save(tmp_path / "train.npy", asked[:40])
    in_order([f"q{i}" for i in SPLITS["train"]], tmp_path / "train.txt")
    np.save(tmp_path / "others.npy", asked[40:])
    in_order([f"q{i}" for i in range(40, 64)], tmp_path / "others.txt")
    passages = str(tmp_path / "passages.npz")
    encoder = replace(tiny.encoder, model=ABSENT, passage_vectors=passages, score_scale=0.5)
    options = {
        "query_vectors": (str(tmp_path / "train.npy"), str(tmp_path / "others.npy")),
        "query_ids": (str(tmp_path / "train.txt"), str(tmp_path / "others.txt")),
    }
    retriever = replace(tiny.retriever, kind="vectors", train=False, options=options)
    few = replace(tiny.reader, steps=3)
    return replace(tiny, encoder=encoder, retriever=retriever, reader=few, train=replace(tiny.train, steps=2))


def made(config: ExperimentConfig) -> set[str]:
    return {folder.name for folder in (Path(config.folder) / "artifacts").iterdir() if any(folder.iterdir())}


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_rankings_are_those_of_the_encoder_that_made_the_vectors(
    given: ExperimentConfig, tiny: ExperimentConfig, tmp_path: Path, kind: str
) -> None:
    elsewhere = replace(tiny, folder=str(tmp_path / "dense"))
    wanted = retrieve.read(retrieve.build(quiet(elsewhere), "dev", "pretrained"))
    work = quiet(given, kind, **({"ef_search": 64} if kind == "hnsw" else {}))
    found = retrieve.build(work, "dev")
    rankings = retrieve.read(found)
    assert [r.rows for r in rankings] == [r.rows for r in wanted]
    np.testing.assert_allclose([r.scores for r in rankings], [r.scores for r in wanted], rtol=1e-4)
    assert made(given) == {"corpus", "examples", "vectors", "index", "rankings"}, "nothing is trained for it"
    assert found.info["score_scale"] == 0.5 and "queries_cut" not in found.info
    assert [one["file"] for one in found.info["files"]] == ["train.npy", "others.npy", "train.txt", "others.txt"]
    assert found.info["files"][1]["sha256"] == file_sha256(tmp_path / "others.npy")
    source = embed.build(work).info["imported"]
    assert source["file"] == "passages.npz" and source["layout"] == "npz"


def test_digests_are_those_of_the_content(given: ExperimentConfig, tmp_path: Path, asked: Vectors) -> None:
    first = retrieve.stage().digest(quiet(given).on("dev"))
    moved = {
        "query_vectors": tuple(f"{name[:-4]}-moved.npy" for name in given.retriever.query_vectors),
        "query_ids": given.retriever.query_ids,
    }
    for old, new in zip(given.retriever.query_vectors, moved["query_vectors"], strict=True):
        Path(new).write_bytes(Path(old).read_bytes())
    there = replace(given, retriever=replace(given.retriever, options=moved))
    assert retrieve.stage().digest(quiet(there).on("dev")) == first
    np.save(moved["query_vectors"][1], -asked[40:])
    assert retrieve.stage().digest(quiet(there).on("dev")) != first
    lengths = replace(given, encoder=replace(given.encoder, max_query_length=3, max_passage_length=3, pooling="cls"))
    assert retrieve.stage().digest(quiet(lengths).on("dev")) == first, "no encoder is used"


def test_a_sweep_with_given_vectors(given: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "Mirror", NoMirror)
    space = {"decoding": ("rag_token/greedy",), "retriever": ("vectors", "bm25"), "k": (2,)}
    sweep.run(SweepConfig("given", given, space, trials=2, always=(), trivial=False))
    runs = [json.loads(path.read_text()) for path in Path(given.folder).glob("runs/given/*/run.json")]
    assert {run["status"] for run in runs} == {"finished"} and {run["role"] for run in runs} == {"trial", "final"}
    assert {run["config"]["retriever"]["kind"] for run in runs} >= {"vectors"}
    model = train.build(Workspace(given))
    assert model.info["retriever"] == "vectors" and not (model.path / "query_encoder").exists()
    assert model.info["score_scale"] == pytest.approx(0.5)
    with pytest.raises(ConfigError, match=r"retriever\.query_vectors has no vector of 1 of 1 questions, .*'ask': 'who"):
        ask.answer(Workspace(given), "who is there")


def options(config: ExperimentConfig, **values: Any) -> ExperimentConfig:
    return replace(config, retriever=replace(config.retriever, options={**config.retriever.options, **values}))


def rewritten(name: str, change: Callable[[Any], Any]) -> Callable[[ExperimentConfig, Path], ExperimentConfig]:
    def write(config: ExperimentConfig, folder: Path) -> ExperimentConfig:
        path = folder / name
        if path.suffix == ".npy":
            np.save(path, change(np.load(path)))
        else:
            in_order(change(path.read_text().split()), path)
        return config

    return write


def same_id(config: ExperimentConfig, folder: Path) -> ExperimentConfig:
    rows = questions("dev")
    rows[0]["id"] = "q7"
    (folder / "data" / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return config


FAULTS: dict[str, tuple[Callable[[ExperimentConfig, Path], ExperimentConfig], str]] = {
    "trained": (
        lambda config, folder: replace(config, retriever=replace(config.retriever, train=True)),
        r"^retriever\.kind=vectors: query vectors that are given have no encoder to train; set retriever\.train=false$",
    ),
    "no files": (lambda config, folder: options(config, query_vectors=()), r"set retriever\.query_vectors to their"),
    "no ids": (
        lambda config, folder: options(config, query_ids=()),
        r"train\.npy: holds vectors without ids; give the",
    ),
    "ids of one": (
        lambda config, folder: options(config, query_ids=config.retriever.query_ids[:1]),
        r"retriever\.query_ids names 1 files for 2 of retriever\.query_vectors; give one for each, or none",
    ),
    "count": (rewritten("others.txt", lambda ids: ids[:-1]), r"others\.txt, field 'id': has 23 ids for 24 vectors"),
    "twice": (
        rewritten("others.txt", lambda ids: [*ids[:-1], "q3"]),
        r"others\.txt, row 24, field 'id': is there twice",
    ),
    "missing": (
        rewritten("others.txt", lambda ids: ["x", *ids[1:]]),
        r"retriever\.query_vectors has no vector of 1 of 52 questions, the first is 'q40': 'what is the capital",
    ),
    "two widths": (
        rewritten("others.npy", lambda v: v[:, :8]),
        r"others\.npy, field 'shape': holds vectors of width 8",
    ),
    "not finite": (rewritten("others.npy", lambda v: v * np.inf), r"others\.npy, row 1: vector is not finite"),
    "width": (
        lambda config, folder: rewritten("others.npy", lambda v: v[:, :8])(
            rewritten("train.npy", lambda v: v[:, :8])(config, folder), folder
        ),
        r"train\.npy, field 'shape': holds vectors of width 8; the passages' are 32 wide; give those of the same",
    ),
    "one id": (
        same_id,
        r"id 'q7' is that of two questions, 'what is the capital of b7h' and 'what is the capital of b40a'",
    ),
    "no file": (lambda config, folder: options(config, query_vectors=("none.npy",) * 2), r"none\.npy: does not exist"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_vectors_that_do_not_fit_end_it_before_training(given: ExperimentConfig, tmp_path: Path, fault: str) -> None:
    change, says = FAULTS[fault]
    config = change(given, tmp_path)
    with pytest.raises((ConfigError, DataError), match=says):
        predict.build(quiet(config), "dev")
    folder = Path(config.folder) / "artifacts"
    assert not folder.exists() or made(config) <= {"corpus", "examples", "vectors"}


def test_a_split_needs_only_its_own_vectors_to_be_ranked(
    given: ExperimentConfig, asked: Vectors, tmp_path: Path
) -> None:
    np.savez(tmp_path / "dev.npz", id=np.array([f"q{i}" for i in SPLITS["dev"]]), vectors=asked[40:52])
    alone = options(given, query_vectors=(str(tmp_path / "dev.npz"),), query_ids=())
    assert retrieve.build(quiet(alone), "dev").info["questions"] == 12
    with pytest.raises(ConfigError, match=r"has no vector of 12 of 12 questions, the first is 'q52'"):
        retrieve.build(quiet(alone), "test")
    with pytest.raises(ConfigError, match=r"has no vector of 40 of 52 questions, the first is 'q0'"):
        train.build(quiet(alone))
    lexical = replace(alone.retriever, trained_with="bm25", train=True)
    swapped = replace(alone, retriever=lexical, bm25=replace(alone.bm25, score_scale=1.0))
    assert predict.build(quiet(swapped), "dev").info["questions"] == 12, "a model that BM25 trained reads them"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"passage_vectors": "short.npy"}, r"short\.npy, field 'shape': holds 63 vectors; the corpus has 64 passages"),
        ({"passage_ids": "wrong.txt"}, r"wrong\.txt, row 1, field 'id': is no passage of the corpus, which has 64"),
        ({"passage_vectors": "endless.npy"}, r"endless\.npy, row 1: vector is not finite"),
        ({"passage_vectors": "raw.bin"}, r"raw\.bin: does not say how wide its vectors are; write it as \.npy"),
        ({"passage_vectors": "old.pkl"}, r"old\.pkl: is a pickle; a pickle can run code"),
        ({"passage_vectors": "", "passage_ids": "wrong.txt"}, r"encoder\.passage_ids needs the vectors that it names"),
    ],
)
def test_passage_vectors_that_do_not_fit(
    given: ExperimentConfig, ours: Vectors, tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    np.save(tmp_path / "short.npy", ours[:-1])
    np.save(tmp_path / "endless.npy", ours * np.inf)
    in_order(["x", *IDS[1:]], tmp_path / "wrong.txt")
    (tmp_path / "raw.bin").write_bytes(ours.tobytes())
    (tmp_path / "old.pkl").write_bytes(b"\x80\x04" + b"x" * 20)
    files = {name: file and str(tmp_path / file) for name, file in changes.items()}
    with pytest.raises((ConfigError, DataError), match=says):
        retrieve.build(quiet(replace(given, encoder=replace(given.encoder, **files))), "dev")  # type: ignore[arg-type]
    assert not list(Path(given.folder).rglob("*.tmp")), "nothing of what is refused stays"
    config = replace(given, biencoder=replace(given.biencoder, steps=2), index=IndexConfig("flat"))
    with pytest.raises(ConfigError, match=r"are of an encoder that is not trained here; set biencoder\.steps=0"):
        embed.build(quiet(config))
