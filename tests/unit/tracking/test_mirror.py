"""The mirror sends a run once, survives a store that is down, and catches up later."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import RagLightningError
from rag_lightning.core.files import write_sealed
from rag_lightning.runs import monitor
from rag_lightning.runs.record import RunResult, finish_run, read_run, start_run
from rag_lightning.tracking import mirror as mirrors
from rag_lightning.tracking import track
from rag_lightning.tracking.mirror import Mirror
from rag_lightning.tracking.pages import NOTE
from rag_lightning.tracking.places import file_of
from rag_lightning.tracking.store import KEY, MADE

RunMaker = Callable[..., Path]


@pytest.fixture
def mirror(uri: str, tmp_path: Path, warnings: list[str]) -> Iterator[Mirror]:
    """An experiment of its own for every test."""
    yield Mirror(uri, tmp_path.name, tmp_path, warnings.append)
    assert warnings == []


def runs_of(mirror: Mirror) -> list[Any]:
    client = MlflowClient(mirror.uri)
    experiment = client.get_experiment_by_name(mirror.experiment)
    return list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)) if experiment else []


def role(mirror: Mirror, name: str) -> list[Any]:
    return [run for run in runs_of(mirror) if run.data.tags["role"] == name]


def describe(folder: Path, **changes: Any) -> None:
    """Write sweep.json."""
    spec = {"space": {"k": [1, 5], "train.lr": [0.1, 0.5]}, "trials": 2, "sampler": "tpe", "seed": 0}
    value = {"name": "s1", "dataset": "mini-nq", "scale": "mini", "objective": "em", "spec": spec, "finished": True}
    write_sealed(folder / "sweep.json", value | changes)


def test_a_run_has_the_columns_times_and_files_of_its_folder(mirror: Mirror, run_folder: Path, tmp_path: Path) -> None:
    describe(run_folder.parent)
    record, child = read_run(run_folder), mirror.child(run_folder)
    client, [parent] = MlflowClient(mirror.uri), role(mirror, "sweep")
    assert child
    run = client.get_run(child)
    assert run.data.params["retriever"] == "flat" and run.data.params["train.lr"] == "0.5"
    assert run.data.metrics["em"] == 66.7 and run.data.metrics["answer_recall_at_5"] == 100.0
    assert not [name for name in run.data.metrics if "low" in name or "slice" in name]
    curve = client.get_metric_history(child, "answer_recall")
    assert [(point.step, point.value) for point in curve] == [(2, 80.0), (5, 100.0)]
    tags = run.data.tags
    assert {name: tags[name] for name in ("role", "split", "formulation", "retriever")} == {
        "role": "trial",
        "split": "dev",
        "formulation": "rag_token",
        "retriever": "flat",
    }
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert tags["mlflow.source.name"] == record["command"] and tags["mlflow.user"] == record["user"]
    seconds = (run.info.start_time / 1000, run.info.end_time / 1000)
    assert seconds == tuple(contents_seconds(record[name]) for name in ("started", "ended"))
    assert run.info.status == "FINISHED" and run.info.run_name == "RAG-Token · flat · k=5 · greedy"
    [data] = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mini-nq", record["digests"]["examples"])
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "dev")]
    files = {"config.yaml", "metrics.json", "slices.json", "predictions.json", "run.json"}
    assert {file.path for file in client.list_artifacts(child)} == files
    [table] = file_of(mirror.uri).parent.glob(f"mlartifacts/{child}/artifacts/predictions.json")
    assert json.loads(table.read_text())["columns"][:3] == ["example_id", "question", "answers"]
    assert "predictions.json" in tags["mlflow.loggedArtifacts"]


def contents_seconds(moment: str) -> float:
    return mirrors.millis(moment) / 1000


def test_a_training_is_one_run_that_its_systems_link(mirror: Mirror, run_folder: Path, run_maker: RunMaker) -> None:
    other = run_maker(mirror.root, "r2")
    children = [mirror.child(folder) for folder in (run_folder, other)]
    [training] = role(mirror, "model")
    client = MlflowClient(mirror.uri)
    for child in map(client.get_run, children):  # type: ignore[arg-type]
        assert child.data.tags["model_run"] == training.info.run_id
        assert f"/runs/{training.info.run_id}" in child.data.tags[NOTE]
        assert "loss" not in child.data.metrics
    points = client.get_metric_history(training.info.run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(10, 2.5)]
    assert training.data.params["train.lr"] == "0.5" and training.info.status == "FINISHED"


def test_the_same_run_is_never_sent_twice(mirror: Mirror, run_folder: Path) -> None:
    first = mirror.child(run_folder)
    again = Mirror(mirror.uri, mirror.experiment, mirror.root, pytest.fail)
    assert again.child(run_folder) == first
    assert again.child(run_folder, every=True) == first
    (run_folder / "mlflow.json").unlink()
    assert again.child(run_folder) == first
    assert len(runs_of(mirror)) == 3, "the sweep, the run and its training"
    history = MlflowClient(mirror.uri).get_metric_history(str(first), "em")
    assert [metric.value for metric in history] == [66.7]


def test_a_run_that_is_finished_later_is_brought_up_to_date(
    mirror: Mirror, run_folder: Path, run_info: Callable[..., Any]
) -> None:
    start_run(run_folder, run_info())
    running = mirror.child(run_folder)
    client = MlflowClient(mirror.uri)
    assert running and client.get_run(running).info.status == "RUNNING"
    finish_run(run_folder, RunResult(summary={"metrics": {"em": {"mean": 12.0, "low": 1.0, "high": 20.0, "n": 3}}}))
    assert mirror.child(run_folder) == running
    run = client.get_run(running)
    assert run.info.status == "FINISHED" and run.data.metrics["em"] == 12.0


def test_a_run_deleted_in_the_ui_is_sent_anew(mirror: Mirror, run_folder: Path) -> None:
    first = mirror.child(run_folder)
    assert first
    MlflowClient(mirror.uri).delete_run(first)
    second = mirror.child(run_folder)
    assert second and second != first


def test_of_two_runs_made_at_once_the_older_stays(mirror: Mirror, run_folder: Path) -> None:
    first = str(mirror.child(run_folder))
    client = MlflowClient(mirror.uri)
    older = client.get_run(first)
    key = {KEY: older.data.tags[KEY], MADE: str(int(older.data.tags[MADE]) + 1)}
    double = client.create_run(older.info.experiment_id, tags=key)
    (run_folder / "mlflow.json").unlink()
    assert mirror.child(run_folder) == first
    assert client.get_run(double.info.run_id).info.lifecycle_stage == "deleted"


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("r1/mlflow.json", "[1", r"mlflow\.json: is cut short or damaged; remove it and run `rag-lightning track`"),
        ("r1/run.json", "[" * 100_000, r"run\.json: is cut short or damaged"),
        ("r1/run.json", {"config": {}}, r"run\.json, field 'config\.formulation': is missing"),
        ("r1/summary.json", {"metrics": [5]}, r"summary\.json, field 'metrics': has the wrong type"),
        ("sweep.json", {"dataset": "x"}, r"sweep\.json, field 'scale': is missing"),
        ("sweep.json", {"spec": {"space": 5}}, r"sweep\.json, field 'spec\.space': has the wrong type"),
        ("sweep.json", {"warnings": 5}, r"sweep\.json, field 'warnings': has the wrong type"),
        ("selection.json", {"candidates": [5]}, r"selection\.json, field 'candidates\.label': is missing"),
        ("selection.json", {"candidates": [{"label": "a", "mean": "x"}]}, r"field 'candidates\.mean': has the wrong"),
    ],
)
def test_a_damaged_file_is_told_by_its_path(
    uri: str, run_folder: Path, tmp_path: Path, file: str, text: str | dict[str, Any], says: str
) -> None:
    path = run_folder.parent / file
    if file == "sweep.json":
        describe(run_folder.parent)
    before = json.loads(path.read_text()) if path.exists() and isinstance(text, dict) and "dataset" not in text else {}
    write_sealed(path, before | text) if isinstance(text, dict) else path.write_text(text)
    with pytest.raises(RagLightningError, match=says):
        track.run(ExperimentConfig(folder=str(tmp_path), tracking_uri=uri))


def test_passwords_and_the_environment_reach_nothing(
    mirror: Mirror, run_maker: RunMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-in-the-environment")
    monkeypatch.setattr(sys, "argv", ["rag-lightning", "sweep", "--tracking_uri", "http://me:opensesame@host:5000"])
    folder = run_maker(tmp_path, "r1", config={"tracking_uri": "http://me:opensesame@host:5000"})
    config = json.loads((run_maker(tmp_path, "r2") / "run.json").read_text())["config"]
    record = json.loads((folder / "run.json").read_text())
    write_sealed(folder / "run.json", record | {"config": config | {"tracking_uri": "http://me:opensesame@host:5000"}})
    describe(folder.parent, spec={"space": {}, "storage": "postgresql://me:opensesame@host/db"})
    assert mirror.child(folder) and mirror.parent("s1")
    assert role(mirror, "trial")[0].data.tags["mlflow.source.name"].endswith("http://me:***@host:5000")
    down = Mirror("http://me:opensesame@127.0.0.1:9", "nq", tmp_path, warnings.append)
    assert down.child(folder) is None
    ids, place = [run.info.run_id for run in runs_of(mirror)], file_of(mirror.uri).parent / "mlartifacts"
    written = [path.read_bytes() for one in ids for path in (place / one).rglob("*") if path.is_file()]
    assert written
    written += [repr([run.to_dictionary() for run in runs_of(mirror)]).encode(), warnings.pop().encode()]
    assert not [text for text in written if b"opensesame" in text or b"hidden-in-the-environment" in text]


def test_everything_is_sent_later_to_the_experiment_of_its_task(
    uri: str, run_folder: Path, run_maker: RunMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_maker(tmp_path, "r2", task="triviaqa")
    describe(run_folder.parent)
    config = ExperimentConfig(folder=str(tmp_path), tracking_uri=uri)
    for every in (False, False, True):
        track.run(config, every)
    client = MlflowClient(uri)
    for task in ("nq", "triviaqa"):
        experiment = client.get_experiment_by_name(task)
        assert experiment is not None
        names = [run.info.run_name for run in client.search_runs([experiment.experiment_id])]
        assert sorted(names) == sorted(
            ["s1", "RAG-Token · flat · k=5 · greedy", next(n for n in names if "model" in n)]
        )
    (run_folder / "run.json").write_text("{")
    with pytest.raises(RagLightningError, match=r"2 runs were not sent to MLflow; .*r1"):
        track.run(config)


def test_the_page_of_a_sweep_has_its_best_scores_its_report_and_the_load_of_the_machine(
    mirror: Mirror, run_folder: Path, run_maker: RunMaker
) -> None:
    run_maker(mirror.root, "r2", role="final", split="test")
    describe(run_folder.parent)
    with monitor.sampled(run_folder.parent, 0.01):
        time.sleep(0.1)
    with (run_folder.parent / monitor.SAMPLES).open("a") as handle:
        handle.write('{"time": 17')  # a killed process left it
    report = mirror.root / "reports" / "out" / "s1"
    report.mkdir(parents=True)
    (report / "index.html").write_text("<p>report</p>")
    children = [mirror.child(folder) for folder in sorted(run_folder.parent.glob("r?"))]
    parent = str(mirror.parent("s1"))
    client, run = MlflowClient(mirror.uri), role(mirror, "sweep")[0]
    assert (run.data.metrics["best_dev"], run.data.metrics["best_test"], run.data.metrics["trials"]) == (66.7, 66.7, 1)
    assert run.data.params["space.k"] == "[1, 5]" and run.info.status == "FINISHED" and run.info.run_name == "s1"
    assert run.info.start_time == min(one.info.start_time for one in role(mirror, "trial"))
    assert all(f"/runs/{child}" in run.data.tags[NOTE] for child in children)
    assert "index.html" in {file.path for file in client.list_artifacts(parent)}
    load = client.get_metric_history(parent, "system/system_memory_usage_megabytes")
    assert load and all(point.value > 0 for point in load) and len({point.timestamp for point in load}) == len(load)


def test_extras_are_sent_once_for_each_chosen_system(
    uri: str, run_maker: RunMaker, tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [run_maker(tmp_path, name, role=role) for name, role in (("r1", "trial"), ("r2", "final"))]
    calls: list[str] = []

    def extras(client: MlflowClient, run_id: str, folder: Path, record: Any) -> None:
        calls.append(f"{folder.name} {client.get_run(run_id).info.run_name} {record['role']}")
        if len(calls) == 1:
            raise OSError("no room")

    mirror = Mirror(uri, tmp_path.name, tmp_path, warnings.append, extras)
    for _ in range(3):
        for folder in folders:
            mirror.child(folder)
        monkeypatch.setattr(mirror, "_retry_at", 0.0)
    assert calls == ["r2 RAG-Token · flat · k=5 · greedy final"] * 2
    assert len(warnings) == 1 and "no room" in warnings[0]


def test_sending_happens_beside_the_work_and_is_complete_at_the_end(
    uri: str, run_folder: Path, run_maker: RunMaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = run_folder.parents[2]
    damaged = run_maker(root, "r2")
    (damaged / "summary.json").write_text("{")
    describe(run_folder.parent)
    sender = track.Mirrors(root, uri).of(root.name)
    slow, child = 0.2, sender.mirror.child
    monkeypatch.setattr(sender.mirror, "child", lambda folder: (time.sleep(slow), child(folder)))
    started = time.monotonic()
    sender.child(run_folder)
    sender.child(damaged)
    assert time.monotonic() - started < slow
    sender.wait()
    assert "not sent to MLflow" in capsys.readouterr().err
    write_sealed(damaged / "summary.json", {"metrics": {}})
    sender.finish("s1")
    assert len(runs_of(sender.mirror)) == 4


SEND = """
import sys
from pathlib import Path
from rag_lightning.tracking.mirror import Mirror
root = Path(sys.argv[1])
mirror = Mirror("", "nq", root, lambda message: print("WARN", message))
print(mirror.child(root / "runs" / "s1" / "r1"))
"""


@pytest.mark.slow
def test_processes_that_send_one_run_at_once_make_one(run_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SEND, str(tmp_path)]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate(timeout=120)[0].strip() for process in several}
    assert len(outputs) == 1 and "WARN" not in "".join(outputs)
    mirror = Mirror("", "nq", tmp_path, pytest.fail)
    assert len(runs_of(mirror)) == 3
