"""`retriever.kind: given` reads the passages that question files have, and says early what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.stages import given, predict, retrieve, train
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, passages, questions, write_data, write_lines

Rows = list[dict[str, Any]]


def with_ctxs(split: str) -> Rows:
    """Each question with its passage second in the file and first by score, and two others, one of them twice."""
    texts = passages()
    found: Rows = []
    for row in questions(split):
        gold = next(i for i, passage in enumerate(texts) if passage["id"] == row["gold_passage_id"])
        order = [(gold + 2) % len(texts), gold, (gold + 1) % len(texts), (gold + 2) % len(texts)]
        ctxs = [{**texts[at], "score": str(score)} for at, score in zip(order, (80.0, 81.5, 79.0, 1.0), strict=True)]
        found.append({**row, "ctxs": ctxs})
    return found


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    for split in ("train", "dev", "test"):
        write_lines(tmp_path / "data" / f"{split}.jsonl", with_ctxs(split))
    made = experiment(tmp_path, tmp_path / "data", bert_folder)
    made = replace(made, reader=replace(made.reader, steps=2, warmup=0), train=replace(made.train, steps=2))
    return replace(made, retriever=replace(made.retriever, kind="given"))


def changed(project: ExperimentConfig, split: str, change: Callable[[Rows], None]) -> Workspace:
    path = Path(project.folder) / "data" / f"{split}.jsonl"
    rows = with_ctxs(split)
    change(rows)
    write_lines(path, rows)
    return Workspace(project)


def test_given_passages_are_ranked_by_their_scores(project: ExperimentConfig) -> None:
    workspace = Workspace(project)
    rankings = retrieve.read(retrieve.build(workspace, "dev"))
    texts = passages()
    for ranking, row in zip(rankings, questions("dev"), strict=True):
        gold = next(i for i, passage in enumerate(texts) if passage["id"] == row["gold_passage_id"])
        assert ranking.rows == (gold, (gold + 2) % len(texts), (gold + 1) % len(texts))
        assert ranking.scores == (81.5, 80.0, 79.0), "as they are; a passage that is named twice counts once"
    info = given.build(workspace).info
    assert (info["questions"], info["repeated"], info["fewest"], info["most"]) == (64, 0, 3, 3)
    assert info["named_again"] == 64


def test_a_model_is_trained_and_predicts_with_given_passages(project: ExperimentConfig) -> None:
    workspace = Workspace(project)
    assert train.build(workspace).info["retriever"] == "given"
    asked = predict.asked_questions(workspace, "dev")
    assert {len(question.rows) for question in asked} == {3} and len(asked) == 12
    predictions = predict.build(workspace, "dev")
    assert predictions.info["questions"] == 12
    assert "vectors" not in workspace.store.find("model", train.build(workspace).digest).manifest["inputs"]  # type: ignore[union-attr]


def test_passages_without_scores_are_equally_probable_and_in_order(project: ExperimentConfig) -> None:
    def no_scores(rows: Rows) -> None:
        for row in rows:
            row["ctxs"] = [{k: v for k, v in one.items() if k != "score"} for one in row["ctxs"]]

    ranking = retrieve.read(retrieve.build(changed(project, "dev", no_scores), "dev"))[0]
    texts = [passage["id"] for passage in passages()]
    assert [texts[row] for row in ranking.rows] == [one["id"] for one in with_ctxs("dev")[0]["ctxs"][:3]]
    assert set(ranking.scores) == {0.0}


def rename(rows: Rows) -> None:
    rows[1]["ctxs"][0]["id"] = "another"


def shift(rows: Rows) -> None:
    for row, other in zip(rows, [*rows[1:], rows[0]], strict=True):
        row["ctxs"] = [{**one, "text": f"other words {other['id']}"} for one in row["ctxs"]]


def empty(rows: Rows) -> None:
    rows[2]["ctxs"] = []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rename, r"train\.jsonl, row 2, field 'ctxs\.id': no such passage in the corpus \(got 'another'\)"),
        (shift, r"train\.jsonl, field 'ctxs\.id': 40 of 40 first passages have another text in the corpus"),
        (empty, r"train\.jsonl, row 3, field 'ctxs': holds no passages"),
    ],
)
@pytest.mark.parametrize("trained_with", ["same", "dense"])
def test_a_fault_is_told_before_anything_is_trained(
    project: ExperimentConfig, change: Callable[[Rows], None], says: str, trained_with: str
) -> None:
    project = replace(project, retriever=replace(project.retriever, trained_with=trained_with))
    workspace = changed(project, "train", change)
    with pytest.raises(DataError, match=says):
        predict.build(workspace, "dev")
    assert not list((Path(project.folder) / "artifacts").glob("reader/*/manifest.json"))


def drop(rows: Rows) -> None:
    for row in rows:
        del row["ctxs"]


def test_files_without_passages_are_named_before_anything_is_built(project: ExperimentConfig) -> None:
    for split, trained_with in (("dev", "same"), ("train", "same"), ("test", "dense")):
        given_only = replace(project, retriever=replace(project.retriever, trained_with=trained_with))
        with pytest.raises(ConfigError, match=rf"retriever\.kind=given: .*{split}\.jsonl has no ctxs"):
            retrieve.build(changed(given_only, split, drop), "dev")
        changed(project, split, lambda rows: None)
    assert not (Path(project.folder) / "artifacts").exists()
    with pytest.raises(ConfigError, match="needs question files with ctxs"):
        given.build(Workspace(replace(project, task=replace(project.task, train=(), dev="", test=""))))


def test_training_questions_need_none_where_training_retrieves(project: ExperimentConfig) -> None:
    swapped = replace(project, retriever=replace(project.retriever, trained_with="dense"))
    workspace = changed(swapped, "train", drop)
    assert given.build(workspace).info["questions"] == 24, "dev and test alone"


def test_a_question_of_no_file_is_named(project: ExperimentConfig) -> None:
    retriever = given.open_given(Workspace(project))
    with pytest.raises(DataError, match=r"no passages are given for the question \(got 'what is new\?'\)"):
        retriever.retrieve(["what is new?"], 2)
    with pytest.raises(ConfigError):
        retriever.retrieve([], 1000)
    assert json.loads((Path(given.build(Workspace(project)).path) / "manifest.json").read_text())["kind"] == "given"
