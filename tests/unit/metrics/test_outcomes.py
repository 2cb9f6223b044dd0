"""Outcomes, evidence and objectives; records meet their examples by id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ArtifactError, DataError
from rag_lightning.core.records import Example, Passage, Prediction, Ranking, write_jsonl
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.metrics.metric import METRICS, Metric
from rag_lightning.metrics.outcomes import (
    evidence_hits,
    from_artifacts,
    join_by_id,
    judged_evidence_hits,
    objectives,
    score_texts,
)

EXAMPLES = [Example(name, "q", ("a",)) for name in "abc"]
OF_A_CORPUS = SimpleNamespace(name="of_a_corpus")


@dataclass(frozen=True)
class Task:
    metrics: tuple[str, ...]
    extractive: bool


QA, CLAIMS = Task(("em", "f1", "mrr", "answer_recall@1"), True), Task(("label_accuracy",), False)


def prediction(name: str) -> Prediction:
    return Prediction(name, name.upper(), name, 0.0)


def test_records_are_joined_by_id_in_the_order_of_the_examples() -> None:
    joined = join_by_id([prediction(name) for name in "cab"], EXAMPLES)
    assert [(p.text, e.example_id) for p, e in joined] == [("A", "a"), ("B", "b"), ("C", "c")]


def test_missing_extra_and_double_ids_are_listed() -> None:
    with pytest.raises(DataError) as caught:
        join_by_id([prediction(name) for name in "axxz"], EXAMPLES, "p.jsonl")
    message = str(caught.value)
    assert "p.jsonl" in message
    assert "2 missing: 'b', 'c'" in message and "'x'" in message and "'z'" in message
    assert "1 there twice: 'x'" in message


def test_long_lists_are_cut_and_counted() -> None:
    with pytest.raises(DataError, match=r"30 missing: .* and 20 more"):
        join_by_id([], [Example(str(i), "q", ("a",)) for i in range(30)])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ((0, 2), "passages.jsonl: has no row 2, only 2 passages; the rankings that name it are of another corpus"),
        ((-1,), "passages.jsonl: has no row -1"),
        ((10**30,), "passages.jsonl: has no row 1000"),
        (("0",), "rankings.jsonl, row 2: is not a Ranking: a field has the wrong type"),
        ((0.5,), "rankings.jsonl, row 2: is not a Ranking: a field has the wrong type"),
    ],
)
def test_a_ranking_that_names_no_passage_is_told(tmp_path: Path, rows: tuple[object, ...], problem: str) -> None:
    """As in a folder of artifacts that somebody shares, under checksums that fit."""
    write_passages(tmp_path, [Passage("1", "", "a"), Passage("2", "", "b")])
    wrong = Ranking("b", rows, (1.0,) * len(rows))  # type: ignore[arg-type]
    write_jsonl(tmp_path / "rankings.jsonl", [Ranking("a", (1,), (1.0,)), wrong, Ranking("c", (), ())])
    rankings = Artifact("rankings", "0" * 16, tmp_path, {"info": {}})
    with pytest.raises((ArtifactError, DataError), match=problem):
        from_artifacts(QA, PassageStore(tmp_path), EXAMPLES, None, rankings, 5)


def test_objectives_are_metrics_of_one_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [metric.name for metric in objectives(QA)] == ["em", "f1"]
    assert [metric.name for metric in objectives(CLAIMS)] == ["label_accuracy"]
    monkeypatch.setitem(METRICS._targets, "of_a_corpus", "tests.unit.metrics.test_outcomes:OF_A_CORPUS")
    task = Task(("of_a_corpus", "f1", "mrr", "answer_recall@1"), True)
    assert [metric.name for metric in objectives(task)] == ["f1"], "the first with a value per example"


def test_an_undefined_value_of_an_objective_is_0() -> None:
    asked = [Example("a", "q", ("rome",)), Example("b", "q", ("paris",))]
    assert score_texts(objectives(QA)[0], ["Rome", "rome"], asked) == [1.0, 0.0]
    undefined = Metric("u", "%", "higher", lambda _: None)
    assert score_texts(undefined, ["x", "y"], asked) == [0.0, 0.0]


def test_evidence_is_gold_where_answers_are_labels() -> None:
    passages = [Passage("p0", "Rome", "supports"), Passage("p1", "Porto_Novo", ""), Passage("p2", "Paris", "")]
    example = Example("e", "q", ("supports",), gold_passage_ids=("p2",), gold_titles=("Porto Novo",))
    unjudged = Example("e", "q", ("supports",))
    ranked = [Ranking("e", (0, 1, 2), (3.0, 2.0, 1.0))]
    assert evidence_hits(CLAIMS, passages, [example], ranked) == [(False, True, True)]
    assert evidence_hits(QA, passages, [example], ranked) == [(True, False, False)]
    assert judged_evidence_hits(CLAIMS, passages, [unjudged], ranked) == [None]
    assert judged_evidence_hits(QA, passages, [unjudged], ranked) == [(True, False, False)]
