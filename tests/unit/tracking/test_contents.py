"""Parameters, metrics and predictions as plain values that MLflow takes."""

from pathlib import Path

import pytest
from rag_lightning.runs.contents import (
    PARAM_LIMIT,
    child_metrics,
    cut,
    flatten,
    history,
    lineage,
    metric_name,
    prediction_table,
)

from rag_lightning.core.errors import ArtifactError
from rag_lightning.runs.record import read_run, read_summary


def test_nested_values_get_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "k": [1, 2], "s": "x", "e": {}, "n": None}) == {
        "a.b.c": "1",
        "k": "[1, 2]",
        "s": "x",
        "e": "{}",
        "n": "null",
    }


def test_a_value_over_the_limit_is_cut_and_says_so() -> None:
    kept, names = cut({"long": "x" * (PARAM_LIMIT + 1), "edge": "y" * PARAM_LIMIT})
    assert names == ["long"]
    assert len(kept["long"]) == PARAM_LIMIT and "truncated" in kept["long"]
    assert kept["edge"] == "y" * PARAM_LIMIT


@pytest.mark.parametrize(
    ("name", "sent"),
    [("answer_recall@5", "answer_recall_at_5"), ("tag=a b/em", "tag/a b/em"), ("what?(%)", "what____")],
)
def test_metric_names_are_those_mlflow_takes(name: str, sent: str) -> None:
    assert metric_name(name) == sent


def test_estimates_are_sent_with_their_interval_and_only_if_finite(run_folder: Path) -> None:
    metrics = child_metrics(read_run(run_folder), read_summary(run_folder))
    assert metrics == {
        "em": 66.7,
        "em_low": 20.0,
        "em_high": 100.0,
        "em_n": 3.0,
        "answer_recall_at_5": 100.0,
        "answer_recall_at_5_n": 3.0,
        "slice/family/definition/em": 50.0,
        "slice/family/definition/em_low": 0.0,
        "slice/family/definition/em_high": 100.0,
        "slice/family/definition/em_n": 2.0,
        "seconds/seconds_per_query": 0.25,
    }


def test_the_table_joins_questions_predictions_and_scores(tmp_path: Path, run_folder: Path) -> None:
    table = prediction_table(lineage(read_run(run_folder), tmp_path / "artifacts"), "dev")
    assert table is not None
    assert table["question"] == ["question 0", "question 1", "question 2"]
    assert table["answers"] == ["yes | yeah"] * 3
    assert table["raw"] == ["y ##es"] * 3
    assert table["mrr"] == [0.5] * 3


def test_the_history_is_that_of_the_model_predictions_were_made_with(tmp_path: Path, run_folder: Path) -> None:
    rows = list(history(lineage(read_run(run_folder), tmp_path / "artifacts")))
    assert rows == [
        ("train/loss", 2.5, 10),
        ("train/lr", 1e-4, 10),
        ("train/dev_score", 33.3, 20),
        ("train/answer_recall_at_5", 0.5, 20),
    ]


def test_a_run_without_predictions_has_no_table(tmp_path: Path) -> None:
    assert prediction_table(lineage({"digests": {}}, tmp_path), "dev") is None


def test_an_artifact_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no manifest"):
        lineage({"digests": {"predictions": "0" * 16}}, tmp_path)
