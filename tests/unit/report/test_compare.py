"""Verdicts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.fields import to_dict
from rag_lightning.config.loading import experiment_of, merged
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.paper import (
    Compared,
    Paper,
    Where,
    compare,
    is_held_out,
    paper_dataset,
    paper_metric,
    paper_split,
    paper_system,
    read_paper,
)

NQ = Where("RAG-Token", "nq", "paper", "test", "em")


def em(mean: float, n: int = 3610) -> Estimate:
    return Estimate(mean, mean - 1.6, mean + 1.6, n, "%")


@pytest.mark.parametrize(
    ("mean", "verdict"), [(44.1, "reproduced"), (45.6, "reproduced"), (42.6, "reproduced"), (42.4, "different")]
)
def test_near_counts_as_reproduced(paper: Paper, mean: float, verdict: str) -> None:
    found = compare(paper, NQ, em(mean))
    assert (found.verdict, found.paper_value, found.tolerance) == (verdict, 44.1, 1.6)
    assert found.difference == pytest.approx(mean - 44.1)


@pytest.mark.parametrize(
    ("changes", "n", "why"),
    [
        ({"dataset": "mini-nq", "scale": "mini"}, 1000, "mini corpus"),
        ({"dataset": "nq-subset", "scale": "mini"}, 1000, "corpus holds the gold passages"),
        ({"dataset": "mine"}, 3610, "mine is not a data set of the paper"),
        ({"scale": "mini"}, 3610, "scale is mini, not paper"),
        ({}, 500, "500 of 3,610 examples"),
        ({"system": "BART"}, 3610, "the paper has no such number for BART"),
        ({"metric": "f1"}, 3610, "the paper has no such number for RAG-Token"),
        ({"dataset": "fever3", "metric": "label_accuracy"}, 20, "20 of 9,999 examples"),
        ({"dataset": "msmarco", "metric": "rouge_l_msmarco"}, 37, "37 of 12,467 examples"),
        ({"split": "dev", "held_out": True}, 8757, "dev is held out of train, not the published one"),
    ],
)
def test_what_cannot_be_compared_says_why(paper: Paper, changes: dict[str, Any], n: int, why: str) -> None:
    found = compare(paper, replace(NQ, **changes), em(44.1, n))
    assert str(found) == f"not comparable ({why})"


def test_no_number_is_compared_where_the_size_is_not_known(paper: Paper) -> None:
    """Whatever number of examples happens to lie near the paper's value."""
    for number in paper.numbers:
        if number.split in paper.sizes.get(number.dataset, {}) or number.source == "table7":
            continue
        where = Where(number.system, number.dataset, "paper", number.split, number.metric)
        assert compare(paper, where, em(number.value, 20)).verdict == "not comparable", number
    unknown = replace(paper, sizes={**paper.sizes, "nq": {}})
    assert str(compare(unknown, NQ, em(44.1))) == "not comparable (size not published)"


def test_the_published_dev_of_ms_marco_is_compared_with_the_papers_dev(paper: Paper) -> None:
    """Its test is hidden; the dev in its place, and no other number of examples, meets Table 6 and not Table 2."""
    where = Where("RAG-Token", "msmarco", "paper", "test", "rouge_l_msmarco")
    found = compare(paper, where, em(56.0, 12_467))
    assert (found.verdict, found.paper_value) == ("reproduced", 56.2)
    assert compare(paper, where, em(40.1, 12_467)).verdict == "different"


@pytest.mark.parametrize(
    ("task", "dev", "test"),
    [
        ({"name": "msmarco", "source": "hub:"}, True, False),
        ({"name": "fever3", "source": "hub:"}, False, False),
        ({"name": "nq", "train": ["t"]}, True, True),
        ({"name": "nq", "train": ["t"], "dev": "d", "test": "e"}, False, False),
        ({"name": "nq"}, False, False),
    ],
)
def test_a_split_that_is_held_out_of_train_is_known(task: dict[str, Any], dev: bool, test: bool) -> None:
    assert [is_held_out({"task": task}, split) for split in ("train", "dev", "test")] == [False, dev, test]


def test_mini_stands_beside_the_number_it_cannot_be_compared_with(paper: Paper) -> None:
    found = compare(paper, replace(NQ, dataset="mini-nq", scale="mini"), em(54.1, 1000))
    assert found.paper_value == 44.1 and found.difference is None


def test_a_missing_run_says_why(paper: Paper) -> None:
    assert compare(paper, NQ, None, "it failed") == Compared("not run", "it failed", 44.1)
    assert str(compare(paper, NQ, None)) == "not run (no such run in this sweep)"


def config(formulation: str, strategy: str = "greedy", **sections: Any) -> dict[str, Any]:
    """What a run's name in the paper depends on."""
    retriever = {"kind": "dense", "trained_with": "same"} | sections.pop("retriever", {})
    found = {"formulation": formulation, "decoding": {"strategy": strategy}, "retriever": retriever, **sections}
    return merged(to_dict(experiment_of({}, "here")), found)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (config("rag_token"), "RAG-Token"),
        (config("rag_sequence", retriever={"kind": "bm25", "trained_with": "dense"}), "RAG-Sequence, BM25 swapped in"),
        (config("rag_sequence", retriever={"kind": "bm25"}), "RAG-Sequence-BM25"),
        (config("rag_sequence", retriever={"train": False}), "RAG-Sequence-Frozen"),
        (config("rag_sequence", retriever={"trained_with": "bm25"}), "RAG-Sequence, dense retrieval swapped in"),
        (config("rag_sequence", retriever={"kind": "oracle"}), "RAG-Sequence, the oracle"),
        (
            config("rag_sequence", retriever={"kind": "random", "trained_with": "dense"}),
            "RAG-Sequence, random retrieval swapped in",
        ),
        (config("rag_sequence", retriever={"null_document": "bias"}), "RAG-Sequence with a null document"),
        (config("rag_sequence", train={"retriever_lr": 0}), "RAG-Sequence-Frozen"),
        (config("rag_token", train={"retriever_lr": 1e-5}), "RAG-Token"),
        (config("rag_sequence", "first_entity"), "no reader"),
        (config("closed_book", retriever={"kind": "none"}), "BART"),
        (config("rag_token", train={"distractor_loss": "none"}), "RAG-Token without a distractor loss"),
        (
            config("rag_token", scale="paper", train={"distractor_loss": "none"}, retriever_warmup={"steps": 9}),
            "RAG-Token",
        ),
        (config("rag_token", scale="paper", retriever_warmup={"steps": 9}), "RAG-Token with a distractor loss"),
        (config("rag_sequence", retriever_warmup={"steps": 9}), "RAG-Sequence, retriever warmed up"),
    ],
)
def test_systems_have_the_paper_s_names(found: dict[str, Any], name: str) -> None:
    assert paper_system(found) == name


def test_data_sets_have_the_paper_s_names() -> None:
    assert [paper_dataset(name) for name in ("mini-nq", "nq-subset", "nq")] == ["nq"] * 3


def test_splits_and_metrics_have_the_paper_s_names(paper: Paper) -> None:
    assert paper_split("mini-triviaqa", "test") == "test-open"
    assert [paper_split(name, split) for name, split in (("triviaqa", "dev"), ("nq", "test"))] == ["dev", "test"]
    assert [paper_metric(name) for name in ("em_regex", "em", "label_accuracy")] == ["em", "em", "label_accuracy"]


PAPER = Path(__file__).parents[3] / "reports" / "paper.yaml"


@pytest.mark.parametrize(
    ("dataset", "metric", "value", "table"),
    [
        ("mini-triviaqa", "em", 56.8, "table1"),
        ("mini-webquestions", "em", 45.2, "table1"),
        ("mini-curatedtrec", "em_regex", 52.2, "table1"),
        ("mini-jeopardy", "bleu1", 14.7, "table2"),
        ("mini-fever3", "label_accuracy", 72.5, "table2"),
        ("mini-fever2", "label_accuracy", 89.5, "table2"),
    ],
)
def test_every_task_stands_beside_its_column(dataset: str, metric: str, value: float, table: str) -> None:
    paper = read_paper(PAPER)
    found = compare(paper, Where("RAG-Sequence", dataset, "mini", "test", metric), em(50.0, 600))
    assert (found.verdict, found.paper_value, found.difference) == ("not comparable", value, None)
    assert paper.table_of(paper_dataset(dataset)) == table
