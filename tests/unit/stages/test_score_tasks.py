"""Scoring tasks whose answers are sentences, clues, patterns or labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.artifacts import Artifact
from rag_lightning.metrics import tokens
from rag_lightning.stages import score
from rag_lightning.stages.score_results import Request, score_request
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.results.record import Result, get_format
from rag_lightning.tasks.spec import TaskSpec, get_task
from tests.tiny_project import experiment, write_data, write_lines

SENTENCES = ("rouge_l_msmarco", "bleu1_msmarco", "distinct_trigrams")
CLUES = ("q_bleu1", "q_bleu1_uncased", "q_bleu1_2018", "bleu1", "bleu1_sentence", "distinct_trigrams")
LABELS = ("supports", "refutes", "not enough info")
GOLD = {f"{family}@{k}" for family in ("gold_recall", "gold_title", "success") for k in (1, 2)} | {"page_r_precision"}
ANSWERS = {f"{family}@{k}" for family in ("answer_recall", "answer_precision") for k in (1, 2)} | {"mrr"}


def task_of(*metrics: str, labels: tuple[str, ...] = ()) -> TaskSpec:
    return replace(get_task("nq"), metrics=metrics, labels=labels)


@pytest.mark.parametrize(
    ("task", "predicted", "names"),
    [
        (task_of(*SENTENCES), True, {*SENTENCES, *GOLD}),
        (task_of(*CLUES), False, GOLD),
        (task_of("label_accuracy", labels=LABELS), True, {"label_accuracy", "kilt_accuracy", *GOLD}),
        (task_of("em_regex", "em", "f1"), True, {"em_regex", "em", "f1", "kilt_em", "kilt_f1", *ANSWERS, *GOLD}),
    ],
)
def test_metrics_are_those_that_the_answers_allow(task: TaskSpec, predicted: bool, names: set[str]) -> None:
    found = score.metric_names(task, predicted, 2)
    assert set(found) == names and len(found) == len(names)
    assert found[: len(task.metrics)] == [name for name in task.metrics if predicted] or not predicted


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def workspace(tmp_path: Path, said: list[str]) -> Workspace:
    write_data(tmp_path / "data")
    return Workspace(experiment(tmp_path / "project", tmp_path / "data", tmp_path / "no_bert"), said.append)


def scored(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, folder: Path, task: TaskSpec, rows: list[tuple[str, str]]
) -> Artifact:
    """A file of predictions for a file of questions; rows are (prediction, answer)."""
    for module in ("score", "score_results"):
        monkeypatch.setattr(f"rag_lightning.stages.{module}.get_task", lambda name: task)
    asked = [{"id": f"q{i}", "question": f"question {i}", "answers": [answer]} for i, (_, answer) in enumerate(rows)]
    results = [Result(f"q{i}", f"question {i}", (answer,), text) for i, (text, answer) in enumerate(rows)]
    get_format("kilt").write(folder / "predictions.jsonl", results)
    questions = str(write_lines(folder / "asked.jsonl", asked))
    return score_request(workspace, Request(str(folder / "predictions.jsonl"), "kilt", questions))


def summary_of(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artifact.path / score.SUMMARY).read_text())
    return found


def test_clues_are_scored_with_what_they_were_made_with_and_a_mark(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [("this city is on the seine", "This city is on the Seine"), ("a red planet", "This planet is red")]
    artifact = scored(workspace, monkeypatch, tmp_path, task_of(*CLUES), rows)
    summary = summary_of(artifact)
    assert set(summary["metrics"]) == set(CLUES)
    assert summary["metrics"]["distinct_trigrams"]["low"] is None and summary["metrics"]["bleu1"]["low"] is not None
    marked = [note["metrics"] for note in summary["notes"] if note["degraded"]]
    assert marked == [["q_bleu1", "q_bleu1_2018"]]
    assert any("nrefs:1|case:mixed|eff:no|tok:13a" in note["text"] for note in summary["notes"])
    lines = score.lines(artifact)
    assert any(line.startswith("bleu1: sacrebleu nrefs:1|") for line in lines)
    assert any(line.startswith("bleu1_sentence: sacrebleu mean of sentences, nrefs:1|") for line in lines)
    assert any(line.startswith("distinct_trigrams") and "[" not in line and "n=2" in line for line in lines)
    assert "confusion" not in summary


def test_another_tokeniser_is_another_artifact(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [("Paris is on the Seine.", "Paris is on the Seine.")]
    first = scored(workspace, monkeypatch, tmp_path, task_of(*SENTENCES), rows)
    assert first.manifest["config"]["made_with"]["rouge_l_msmarco"].startswith("tokenised by ")
    assert summary_of(first)["metrics"]["rouge_l_msmarco"]["mean"] == pytest.approx(100)
    again = scored(workspace, monkeypatch, tmp_path, task_of(*SENTENCES), rows)
    monkeypatch.setattr(tokens, "version", lambda name: "0.0")
    other = scored(workspace, monkeypatch, tmp_path, task_of(*SENTENCES), rows)
    assert first.digest == again.digest != other.digest


def test_labels_come_with_their_confusion(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [("supports", "supports"), ("refutes", "supports"), ("perhaps", "not enough info")]
    artifact = scored(workspace, monkeypatch, tmp_path, task_of("label_accuracy", labels=LABELS), rows)
    summary = summary_of(artifact)
    assert summary["metrics"]["label_accuracy"]["mean"] == pytest.approx(100 / 3)
    assert summary["confusion"] == {
        "predicted": [*LABELS, "outside the set"],
        "true": {"supports": [1, 1, 0, 0], "refutes": [0, 0, 0, 0], "not enough info": [0, 0, 0, 1]},
    }


def test_a_predictionless_example_has_empty_statistics(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    task = task_of("rouge_l_msmarco", "bleu1_msmarco")
    for module in ("score", "score_results"):
        monkeypatch.setattr(f"rag_lightning.stages.{module}.get_task", lambda name: task)
    asked = [{"id": f"q{i}", "question": f"question {i}", "answers": ["a b c d"]} for i in range(2)]
    results = [Result(f"q{i}", f"question {i}", ("a b c d",), text, ()) for i, text in enumerate(("a b c d", None))]
    get_format("flashrag").write(tmp_path / "f", results)
    questions = str(write_lines(tmp_path / "asked.jsonl", asked))
    summary = summary_of(score_request(workspace, Request(str(tmp_path / "f"), "flashrag", questions)))
    assert summary["metrics"]["rouge_l_msmarco"]["mean"] == pytest.approx(50)
    assert summary["metrics"]["bleu1_msmarco"]["mean"] == pytest.approx(100 * 2.718281828 ** (1 - 8 / 4), rel=1e-6)
    assert any("1 examples without a prediction" in line for line in said)
