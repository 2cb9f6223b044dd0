"""Outcomes, evidence and objectives; records meet their examples by id."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example, Passage, Prediction, Ranking
from rag_lightning.metrics.metric import METRICS, Metric
from rag_lightning.metrics.outcomes import (
    evidence_hits,
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
