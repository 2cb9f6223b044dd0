"""What RAG training starts from: positives, where the encoder goes, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.metrics.answers import has_answer
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import biencoder, corpus, examples, retriever_warmup, train
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, passages, questions, write_data, write_lines


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    base = experiment(tmp_path, tmp_path / "data", bert_folder)
    return replace(base, reader=replace(base.reader, steps=2, warmup=1))


def forget_gold(project: ExperimentConfig, splits: Sequence[str] = ("train", "dev", "test")) -> None:
    for split in splits:
        rows = [{name: row[name] for name in ("question", "answers")} for row in questions(split)]
        write_lines(Path(project.folder) / "data" / f"{split}.jsonl", rows)


def test_gold_passages_are_the_positives(tiny_sweep: SweepConfig) -> None:
    workspace = Workspace(tiny_sweep.experiment)
    store, asked = corpus.open_store(workspace), examples.read(workspace, "train")
    items = retriever_warmup.sought(workspace, store, asked)
    assert [item.query for item in items] == [example.query for example in asked]
    for item, example in zip(items, asked, strict=True):
        assert tuple(store[row].passage_id for row in item.rows) == example.gold_passage_ids


def test_without_gold_passages_those_that_bm25_finds_with_an_answer_are(project: ExperimentConfig) -> None:
    forget_gold(project)
    workspace = Workspace(project)
    store, asked = corpus.open_store(workspace), examples.read(workspace, "train")
    items = retriever_warmup.sought(workspace, store, asked)
    answers = {example.query: example.answers for example in asked}
    assert items
    for item in items:
        assert item.rows and all(has_answer(answers[item.query], store[row].text) for row in item.rows)


def test_labels_are_left_aside_when_bm25_is_asked(project: ExperimentConfig) -> None:
    changed = replace(project, retriever_warmup=replace(project.retriever_warmup, positives="bm25"))
    workspace = Workspace(changed)
    store, asked = corpus.open_store(workspace), examples.read(workspace, "train")
    by_bm25 = retriever_warmup.sought(workspace, store, asked)
    wrong = [replace(example, gold_passage_ids=(store[0].passage_id,)) for example in asked]
    assert any(example.gold_passage_ids for example in asked)
    assert by_bm25 and retriever_warmup.sought(workspace, store, wrong) == by_bm25
    assert retriever_warmup.STAGE.digest(workspace) != retriever_warmup.STAGE.digest(Workspace(project))


def test_questions_without_a_known_passage_are_counted(project: ExperimentConfig) -> None:
    rows: list[dict[str, Any]] = [{name: row[name] for name in ("question", "answers")} for row in questions("train")]
    rows[3]["answers"] = ["stands nowhere"]
    write_lines(Path(project.folder) / "data" / "train.jsonl", rows)
    said: list[str] = []
    workspace = Workspace(project, detail=said.append)
    info = retriever_warmup.build(workspace).info
    assert info["questions"] + info["left_out"] == len(rows) and info["left_out"] >= 1
    assert f"retriever warm-up: {info['left_out']} of {len(rows)} train questions have no known passage" in said


def test_nothing_to_learn_is_told(project: ExperimentConfig) -> None:
    forget_gold(project)
    write_lines(Path(project.folder) / "data" / "corpus.jsonl", [{**row, "text": "a few words"} for row in passages()])
    with pytest.raises(ConfigError, match=r"retriever_warmup\.steps=0"):
        retriever_warmup.build(Workspace(project))


def test_a_corpus_smaller_than_the_hard_negatives_is_no_fault(project: ExperimentConfig) -> None:
    config = replace(project, retriever_warmup=replace(project.retriever_warmup, k=10_000))
    assert retriever_warmup.build(Workspace(config)).info["steps"] == project.retriever_warmup.steps


def test_training_starts_from_the_warmed_up_encoder(project: ExperimentConfig) -> None:
    """A model trained for no step asks as the warm-up left its encoder; without a warm-up, as it was pretrained."""
    untrained = replace(project, train=replace(project.train, steps=0))
    workspace = Workspace(untrained)
    warmed = retriever_warmup.start(workspace)
    asked = ["what is the city"]
    built = TextEncoder(untrained.encoder, warmed.source, "query").encode_texts(asked)
    assert np.array_equal(train.load_query_encoder(workspace).encode_texts(asked), built)
    assert train.read_info(train.build(workspace))["score_scale"] == pytest.approx(warmed.score_scale)
    assert warmed.score_scale != untrained.encoder.score_scale
    plain = Workspace(replace(untrained, retriever_warmup=replace(untrained.retriever_warmup, steps=0)))
    start = biencoder.query_start(plain)
    assert retriever_warmup.start(plain).source == start.source and start.score_scale == untrained.encoder.score_scale
    pretrained = TextEncoder(untrained.encoder, start.source, "query").encode_texts(asked)
    assert np.array_equal(train.load_query_encoder(plain).encode_texts(asked), pretrained)
    assert not np.array_equal(built, pretrained)


def test_closed_book_needs_no_retriever(project: ExperimentConfig) -> None:
    said: list[str] = []
    train.build(Workspace(replace(project, formulation="closed_book"), said.append))
    assert not [line for line in said if line.startswith("retriever ")]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"lr": 0.0, "scale_lr": 0.0}, "train nothing"),
        ({"steps": -1}, "must be at least 0"),
        ({"scale_lr": 1e6}, r"lower retriever_warmup\.scale_lr"),
    ],
)
def test_settings_that_would_break_it_are_refused(
    project: ExperimentConfig, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        retriever_warmup.build(
            Workspace(replace(project, retriever_warmup=replace(project.retriever_warmup, **settings)))
        )


@pytest.mark.parametrize("scale", [0.0, -2.0, float("nan")])
def test_a_scale_without_a_logarithm_is_refused(project: ExperimentConfig, scale: float) -> None:
    with pytest.raises(ConfigError, match=r"encoder\.score_scale="):
        replace(project.encoder, score_scale=scale)
