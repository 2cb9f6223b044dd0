"""Retrieval for queries without answers, as most BEIR sets have them, is scored by their judgements."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.stages import examples, score
from rag_lightning.stages.score_results import Request, score_request
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, questions, write_data, write_lines

RUN = """\
q40 Q0 p40 1 3 x
q40 Q0 p1 2 2 x
q41 Q0 p2 1 3 x
q41 Q0 p41 2 2 x
q42 Q0 p3 1 3 x
q42 Q0 p4 2 2 x
"""
JUDGED = "query-id\tcorpus-id\tscore\nq40\tp40\t1\nq41\tp41\t2\nq41\tp5\t0\nq42\tp42\t1\nq43\tp9\t0\n"
"""q43 has a judgement and no gold passage."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_data(tmp_path / "data")
    return Workspace(experiment(tmp_path / "project", tmp_path / "data", tmp_path / "no_bert"), lambda line: None)


def beir(folder: Path, answered: tuple[str, ...] = ()) -> Path:
    """Judgements of four queries; only the given ones have answers."""
    (folder / "qrels").mkdir()
    rows: list[dict[str, Any]] = []
    for row in questions("dev")[:4]:
        rows.append({"_id": row["id"], "text": row["question"]})
        if row["id"] in answered:
            rows[-1]["answers"] = row["answers"]
    write_lines(folder / "queries.jsonl", rows)
    (folder / "qrels" / "test.tsv").write_text(JUDGED)
    return folder / "qrels" / "test.tsv"


def summary(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artifact.path / score.SUMMARY).read_text())["metrics"]
    return found


def scored(workspace: Workspace, run: str, judged: Path, kind: str = "trec") -> Artifact:
    file = judged.parent.parent / "run"
    file.write_text(run)
    return score_request(workspace, Request(str(file), kind, str(judged)))


def test_queries_without_answers_are_scored_by_their_gold_passages(workspace: Workspace, tmp_path: Path) -> None:
    found = summary(scored(workspace, RUN, beir(tmp_path)))
    assert {name: (round(one["mean"], 1), one["n"]) for name, one in found.items()} == {
        "gold_recall@1": (33.3, 3),
        "gold_recall@2": (66.7, 3),
    }
    assert not (Path(workspace.config.folder) / "artifacts" / "corpus").exists(), "ids alone need no corpus"


def test_answers_count_where_there_are_any(workspace: Workspace, tmp_path: Path) -> None:
    found = summary(scored(workspace, RUN, beir(tmp_path, ("q41",))))
    assert found["gold_recall@2"]["n"] == 3 and found["answer_recall@2"]["n"] == 1
    assert found["answer_recall@2"]["mean"] == 100


def test_a_run_of_other_queries_is_refused_and_one_of_answered_queries_alone_is_scored(
    workspace: Workspace, tmp_path: Path
) -> None:
    judged = beir(tmp_path, ("q41",))
    with pytest.raises(DataError, match="1 missing: 'q42'"):
        scored(workspace, "".join(RUN.splitlines(keepends=True)[:4]), judged)
    alone = summary(scored(workspace, "".join(RUN.splitlines(keepends=True)[2:4]), judged))
    assert alone["gold_recall@2"]["n"] == alone["answer_recall@2"]["n"] == 1


def test_predictions_and_training_still_need_answers(workspace: Workspace, tmp_path: Path) -> None:
    judged = beir(tmp_path, ("q41",))
    made = scored(workspace, '{"id": "q41", "text": "rome"}\n', judged, "ours")
    assert summary(made)["em"]["n"] == 1
    task = replace(workspace.config.task, test=str(judged))
    notes = examples.build(workspace.with_config(task=task)).info
    assert notes["counts"]["test"] == 1
    assert notes["notes"]["test dropped: query without answers (answer or answers, in the row or its metadata)"] == 3
    write_lines(tmp_path / "queries.jsonl", [{"_id": "q40", "text": "who?"}])
    judged.write_text("query-id\tcorpus-id\tscore\nq40\tp40\t1\n")
    with pytest.raises((ConfigError, DataError), match="holds no questions: dropped: query without answers"):
        examples.build(Workspace(replace(workspace.config, task=task), lambda line: None))


def test_tevatron_rows_without_answers(workspace: Workspace, tmp_path: Path) -> None:
    rows = [
        {"query_id": f"q{i}", "query": "who?", "positive_passages": [{"docid": f"p{i}", "title": "", "text": "x"}]}
        for i in (40, 41, 42)
    ]
    file = write_lines(tmp_path / "dev.jsonl", rows)
    (tmp_path / "run").write_text(RUN)
    found = summary(score_request(workspace, Request(str(tmp_path / "run"), "trec", str(file))))
    assert found["gold_recall@1"]["mean"] == pytest.approx(100 / 3) and set(found) == {"gold_recall@1", "gold_recall@2"}
