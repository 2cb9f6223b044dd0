"""The mirror sends a run once, survives a store that is down, and catches up later."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient
from rag_lightning.runs.mlflow import Mirror, default_uri, mirror_all

from rag_lightning.core.files import write_json
from rag_lightning.runs.record import RunResult, finish_run, start_run


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all tests of this file: making it takes seconds."""
    return default_uri(tmp_path_factory.mktemp("store"))


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def mirror(uri: str, tmp_path: Path, warnings: list[str]) -> Iterator[Mirror]:
    """An experiment of its own for every test."""
    yield Mirror(uri, tmp_path.name, tmp_path, warnings.append)
    assert warnings == []


def runs_of(mirror: Mirror) -> list[object]:
    client = MlflowClient(mirror.uri)
    experiment = client.get_experiment_by_name(mirror.experiment)
    return list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)) if experiment else []


def test_a_child_holds_what_the_run_folder_holds(mirror: Mirror, run_folder: Path, tmp_path: Path) -> None:
    parent = mirror.parent("s1", {"k": [1, 5]})
    child = mirror.child(run_folder)
    assert parent and child
    client = MlflowClient(mirror.uri)
    run = client.get_run(child)
    assert run.data.params["index.kind"] == "flat" and run.data.params["task.train"] == '["a.tsv"]'
    assert len(run.data.params["long"]) == 6000 and run.data.tags["rag_lightning.cut_params"] == "long"
    assert run.data.metrics["em"] == 66.7 and run.data.metrics["em_low"] == 20.0
    assert "answer_recall_at_5_high" not in run.data.metrics
    assert run.data.tags["mlflow.parentRunId"] == parent and run.data.tags["notes"] == "a note"
    assert run.info.status == "FINISHED" and run.info.run_name == "RAG-Token · flat · k=5 · greedy"
    assert [d.dataset.name for d in run.inputs.dataset_inputs] == ["mini-nq/dev"]
    assert {file.path for file in client.list_artifacts(child)} == {"config.yaml", "predictions.json", "run.json"}
    assert [(m.step, m.value) for m in client.get_metric_history(child, "train/loss")] == [(10, 2.5)]
    [table] = (tmp_path / "mlartifacts").glob("*/artifacts/predictions.json")
    assert json.loads(table.read_text())["columns"][:3] == ["example_id", "question", "answers"]
    assert client.get_run(parent).data.params == {"k": "[1, 5]"}


def test_the_same_run_is_never_sent_twice(mirror: Mirror, run_folder: Path) -> None:
    first = mirror.child(run_folder)
    again = Mirror(mirror.uri, mirror.experiment, mirror.root, pytest.fail)
    assert again.child(run_folder) == first
    (run_folder / "mlflow.json").unlink()
    assert again.child(run_folder) == first
    assert len(runs_of(mirror)) == 2
    history = MlflowClient(mirror.uri).get_metric_history(first, "em")
    assert [metric.value for metric in history] == [66.7]


def test_a_run_that_is_finished_later_is_brought_up_to_date(
    mirror: Mirror, run_folder: Path, run_info: Callable[..., object]
) -> None:
    start_run(run_folder, run_info())  # type: ignore[arg-type]
    running = mirror.child(run_folder)
    client = MlflowClient(mirror.uri)
    assert running and client.get_run(running).info.status == "RUNNING"
    finish_run(run_folder, RunResult(summary={"metrics": {"em": {"mean": 12.0, "low": 1.0, "high": 20.0, "n": 3}}}))
    assert mirror.child(run_folder) == running
    run = client.get_run(running)
    assert run.info.status == "FINISHED" and run.data.metrics["em"] == 12.0 and run.data.tags["status"] == "finished"


def test_a_run_deleted_in_the_ui_is_sent_anew(mirror: Mirror, run_folder: Path) -> None:
    first = mirror.child(run_folder)
    assert first
    MlflowClient(mirror.uri).delete_run(first)
    second = mirror.child(run_folder)
    assert second and second != first


@pytest.mark.parametrize("down", ["http://127.0.0.1:9", "sqlite:////proc/nowhere/mlflow.db"])
def test_a_store_that_is_down_costs_one_warning(
    down: str, run_folder: Path, run_maker: Callable[..., Path], tmp_path: Path, warnings: list[str]
) -> None:
    other = run_maker(tmp_path, "r2")
    mirror = Mirror(down, "nq", tmp_path, warnings.append)
    assert mirror.parent("s1", {}) is None
    assert mirror.child(run_folder) is None and mirror.child(other) is None
    mirror.finish_parent("s1", {"em": 1.0})
    assert len(warnings) == 1 and "`rag-lightning track` sends them later" in warnings[0]
    assert not (run_folder / "mlflow.json").exists()


def test_everything_is_sent_later(mirror: Mirror, run_folder: Path, run_maker: Callable[..., Path]) -> None:
    run_maker(mirror.root, "r2")
    write_json(run_folder.parent / "sweep.json", {"spec": {"trials": 2}, "finished": True})
    assert mirror_all(mirror.root / "runs", mirror) == 2
    assert mirror_all(mirror.root / "runs", mirror) == 2
    runs = {run.info.run_name: run for run in runs_of(mirror)}  # type: ignore[attr-defined]
    assert len(runs_of(mirror)) == 3
    assert runs["s1"].info.status == "FINISHED" and runs["s1"].data.params == {"trials": "2"}


def test_no_runs_need_no_store(tmp_path: Path) -> None:
    assert mirror_all(tmp_path / "runs", Mirror("http://127.0.0.1:9", "nq", tmp_path, pytest.fail)) == 0


CREATE = """
import sys
from pathlib import Path
from rag_lightning.runs.mlflow import Mirror, default_uri
root = Path(sys.argv[1])
print(Mirror(default_uri(root), "nq", root, lambda message: print("WARN", message)).parent("s1", {}))
"""


@pytest.mark.slow
def test_processes_that_make_one_store_at_once_do_not_collide(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert all(output and "WARN" not in output for output in outputs)


def test_the_store_is_beside_the_runs_unless_one_is_named(tmp_path: Path) -> None:
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert default_uri(tmp_path, "http://127.0.0.1:5000") == "http://127.0.0.1:5000"
