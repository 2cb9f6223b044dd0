"""Params, metrics, curves and tables as plain values that MLflow takes."""

import json
from pathlib import Path

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import leaves, to_dict
from rag_lightning.core.errors import ArtifactError
from rag_lightning.runs.record import read_run, read_summary
from rag_lightning.tracking import contents


def test_nested_values_get_dotted_names() -> None:
    assert contents.flatten({"a": {"b": {"c": 1}}, "k": [1, 2], "s": "x", "e": {}, "n": None}) == {
        "a.b.c": "1",
        "k": "[1, 2]",
        "s": "x",
        "e": "{}",
        "n": "null",
    }


@pytest.mark.parametrize(
    ("name", "sent"),
    [("answer_recall@5", "answer_recall_at_5"), ("tag=a b/em", "tag/a b/em"), ("what?(%)", "what____")],
)
def test_metric_names_are_those_mlflow_takes(name: str, sent: str) -> None:
    assert contents.metric_name(name) == sent


def test_params_are_the_system_what_the_sweep_varies_and_what_differs_from_the_defaults(run_folder: Path) -> None:
    params = contents.run_params(read_run(run_folder)["config"], ["decoding.num_beams", "k", "retriever"])
    assert params == {
        "formulation": "rag_token",
        "decoding": "greedy",
        "retriever": "flat",
        "k": "5",
        "scale": "mini",
        "seed": "3",
        "decoding.num_beams": "4",
        "train.lr": "0.5",
    }


def test_closed_book_has_no_passages_in_its_params() -> None:
    params = contents.run_params(to_dict(ExperimentConfig(formulation="closed_book")), [])
    assert "k" not in params and params["retriever"] == "none"


def test_no_run_has_more_columns_than_a_table_can_show(run_folder: Path) -> None:
    config = read_run(run_folder)["config"]
    assert len(contents.run_params(config, [leaf.path for leaf in leaves(ExperimentConfig)])) == contents.MOST_PARAMS
    many = {f"m{i}": {"mean": 1.0, "n": 1} for i in range(100)}
    assert len(contents.run_metrics(read_run(run_folder), {"metrics": many})) == contents.MOST_METRICS - 1


def test_metrics_are_means_and_costs_without_intervals_and_slices(run_folder: Path) -> None:
    assert contents.run_metrics(read_run(run_folder), read_summary(run_folder)) == {
        "em": 66.7,
        "answer_recall_at_5": 100.0,
        "questions": 3.0,
        "seconds_per_query": 0.25,
        "retrieve_seconds": 0.05,
        "pairs": 5.0,
        "beams": 1.0,
        "index_mb": 2.5,
    }


def test_recall_over_k_is_one_curve(run_folder: Path) -> None:
    curve = contents.recall_curve(read_summary(run_folder))
    assert curve == [("answer_recall", 80.0, 2), ("answer_recall", 100.0, 5)]


def test_intervals_and_slices_are_tables(run_folder: Path) -> None:
    tables = contents.estimate_tables(read_summary(run_folder))
    assert tables["metrics.json"]["metric"] == ["em", "answer_recall@2", "answer_recall@5"]
    assert tables["metrics.json"]["high"] == [100.0, 90.0, None], "JSON has no infinity"
    assert tables["slices.json"]["slice"] == ["family=definition"] and tables["slices.json"]["mean"] == [50.0]


def test_the_table_joins_questions_predictions_and_scores(tmp_path: Path, run_folder: Path) -> None:
    table = contents.prediction_table(contents.lineage(read_run(run_folder), tmp_path / "artifacts"), "dev")
    assert table is not None
    assert table["question"] == ["question 0", "question 1", "question 2"]
    assert table["answers"] == ["yes | yeah"] * 3
    assert table["raw"] == ["y ##es"] * 3
    assert table["mrr"] == [0.5] * 3


def test_the_curves_of_a_training_are_those_of_its_artifact(tmp_path: Path, run_folder: Path) -> None:
    folder = contents.lineage(read_run(run_folder), tmp_path / "artifacts")["model"]
    assert contents.training_curves(folder) == [
        ("loss", 2.5, 10),
        ("lr", 1e-4, 10),
        ("dev_score", 33.3, 20),
        ("answer_recall_at_5", 50.0, 20),
    ]
    assert contents.training_title(folder) == f"RAG-Token model {folder.name[:8]}"


def test_a_long_training_is_thinned_to_its_last_step(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(
        "".join(json.dumps({"step": i, "loss": 1.0}) + "\n" for i in range(1, 1702))
    )
    steps = [step for _, _, step in contents.training_curves(tmp_path)]
    assert steps[-1] == 1701 and 300 < len(steps) <= contents.MOST_POINTS


def test_an_artifact_that_was_deleted_is_left_out_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    record = {"digests": {"predictions": "0" * 16}}
    assert contents.lineage(record, tmp_path) == {} and contents.prediction_table({}, "dev") is None
    folder = tmp_path / "predictions" / ("0" * 16)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="is cut short or damaged"):
        contents.lineage(record, tmp_path)
