"""Both encoders trained before embedding: what they learn from, where they go, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import biencoder, corpus, embed, retrieve, retriever_warmup
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, passages, questions, write_data, write_lines


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    config = experiment(tmp_path, tmp_path / "data", bert_folder)
    trained = replace(config.biencoder, steps=3, batch_size=4, warmup=1, dtype="float32")
    return replace(config, biencoder=trained, retriever_warmup=replace(config.retriever_warmup, steps=0))


def test_vectors_are_those_of_the_trained_passage_encoder(project: ExperimentConfig) -> None:
    workspace = Workspace(project)
    built = biencoder.build(workspace)
    assert built.info["questions"] > 0 and built.info["left_out"] == 0
    start = biencoder.passage_start(workspace)
    encoder = TextEncoder(project.encoder, start.source, "passage").eval()
    store = corpus.open_store(workspace)
    expected = encoder.encode_texts([store[row] for row in range(len(store))])
    assert np.allclose(embed.open_vectors(workspace), expected, atol=1e-6)
    before = embed.open_vectors(biencoder.with_pretrained(workspace))
    assert not np.allclose(before, expected, atol=1e-4)


def test_pretrained_asks_with_the_pretrained_encoders_and_training_with_the_trained(project: ExperimentConfig) -> None:
    workspace = Workspace(project)
    pretrained = retrieve.build(workspace, "dev", "pretrained")
    alone = retrieve.build(biencoder.with_pretrained(workspace), "dev", "pretrained")
    assert pretrained.digest == alone.digest
    warmed = retrieve.build(workspace, "dev", "warmed_up")
    assert warmed.digest != pretrained.digest
    start = retriever_warmup.start(workspace)
    assert start.source == biencoder.query_start(workspace).source
    assert warmed.info["score_scale"] == start.score_scale != project.encoder.score_scale


def test_the_warm_up_of_the_query_encoder_goes_on_from_there(project: ExperimentConfig) -> None:
    both = replace(project, retriever_warmup=replace(project.retriever_warmup, steps=2))
    asked = ["what is the city"]
    after = TextEncoder(both.encoder, retriever_warmup.start(Workspace(both)).source, "query").encode_texts(asked)
    before = TextEncoder(both.encoder, biencoder.query_start(Workspace(both)).source, "query").encode_texts(asked)
    only = replace(both, biencoder=replace(both.biencoder, steps=0))
    without = TextEncoder(both.encoder, retriever_warmup.start(Workspace(only)).source, "query").encode_texts(asked)
    assert not np.array_equal(after, before) and not np.array_equal(after, without)


def test_a_hard_negative_holds_no_answer_and_is_no_gold_passage(project: ExperimentConfig) -> None:
    store = corpus.open_store(Workspace(project))
    example = Example("q", "who", ("paris",), gold_passage_ids=("p1", "p2"))
    hits = [(0, True), (1, False), (2, False), (3, False), (4, False)]
    found = biencoder.known_passages(store, example, hits, hits, k=1)
    assert found is not None
    assert found.positive.passage_id == "p1"
    assert found.right == {"p0", "p1", "p2"}
    assert [passage.passage_id for passage in found.negatives] == ["p3"]
    bare = replace(example, gold_passage_ids=())
    mined = biencoder.known_passages(
        store, bare, [(0, False), (1, True)], [(0, False), (5, True), (2, False), (3, False)], k=2
    )
    assert mined is not None and mined.positive.passage_id == "p1"
    assert mined.right == {"p1", "p5"}
    assert [passage.passage_id for passage in mined.negatives] == ["p0", "p2"]
    assert biencoder.known_passages(store, bare, [(0, False)], [(1, True)], k=1) is None


def test_dense_negatives_are_what_the_pretrained_encoders_find(project: ExperimentConfig) -> None:
    said: list[str] = []
    dense = replace(project, biencoder=replace(project.biencoder, negatives="dense"))
    built = biencoder.build(Workspace(dense, said.append))
    assert built.digest != biencoder.build(Workspace(project)).digest
    assert any(line.startswith("vectors ") for line in said)


def test_dprs_own_files_take_the_place_of_the_task(project: ExperimentConfig, tmp_path: Path) -> None:
    texts = {row["id"]: Passage(row["id"], row["title"], row["text"]) for row in passages()}
    rows = []
    for number, row in enumerate(questions("train")):
        gold = texts[str(row["gold_passage_id"])]
        positive = [] if number == 0 else [{"title": gold.title, "text": gold.text, "passage_id": gold.passage_id}]
        rows.append({"question": row["question"], "answers": row["answers"], "positive_ctxs": positive})
    path = tmp_path / "biencoder-train.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    said: list[str] = []
    config = replace(project, biencoder=replace(project.biencoder, files=(str(path),)))
    info = biencoder.build(Workspace(config, said.append, said.append)).info
    assert (info["questions"], info["left_out"]) == (len(rows) - 1, 1)
    assert f"biencoder: 1 of {len(rows)} train questions have no known passage" in said


def test_files_without_a_positive_passage_are_told_as_such(project: ExperimentConfig, tmp_path: Path) -> None:
    path = tmp_path / "biencoder-train.json"
    path.write_text(json.dumps([{"question": "q", "answers": ["a"], "positive_ctxs": []}]), encoding="utf-8")
    config = replace(project, biencoder=replace(project.biencoder, files=(str(path),)))
    with pytest.raises(ConfigError, match=r"no row of biencoder\.files has a positive passage"):
        biencoder.build(Workspace(config))


def test_nothing_to_learn_is_told(project: ExperimentConfig) -> None:
    data = Path(project.folder) / "data"
    for split in ("train", "dev", "test"):
        rows = [{name: row[name] for name in ("question", "answers")} for row in questions(split)]
        write_lines(data / f"{split}.jsonl", rows)
    write_lines(data / "corpus.jsonl", [{**row, "text": "a few words"} for row in passages()])
    with pytest.raises(ConfigError, match=r"biencoder\.steps=0"):
        biencoder.build(Workspace(project))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"lr": 0.0}, "trains nothing"),
        ({"steps": -1}, "must be at least 0"),
        ({"scale_lr": 1e6}, r"lower biencoder\.scale_lr"),
    ],
)
def test_settings_that_would_break_it_are_refused(
    project: ExperimentConfig, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        biencoder.build(Workspace(replace(project, biencoder=replace(project.biencoder, **settings))))
