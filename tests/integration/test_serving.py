"""A final system as an MLflow model and as traces: the answers of `ask`, whole or refused, once."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import LoggedModelStatus, SpanType, Trace
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient
from mlflow.tracking import MlflowClient

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError
from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.core.records import Prediction, Score, read_jsonl
from rag_lightning.runs import evaluate, record
from rag_lightning.runs.system import System, make_system
from rag_lightning.serving import parts
from rag_lightning.serving.extras import log_extras
from rag_lightning.serving.register import log_model, registered_name
from rag_lightning.serving.traces import log_traces
from rag_lightning.stages import ask
from rag_lightning.stages.workspace import Workspace
from tests.points import point, system
from tests.tiny_project import moved

QUESTIONS = ["what is the capital of b0a", "what is the capital of b9b", "zzz"]
POINTS = ("rag_sequence/thorough/bm25/2", "rag_token/greedy/hnsw/2", "closed_book/greedy")
SECRET = "hunter2"
TRAINED = {"decoding": "rag_token/greedy", "k": 2, "train.steps": 2}
RARE = {
    "warmed-up query encoder": TRAINED | {"retriever.trained_with": "bm25"},
    "null document": TRAINED | {"retriever.null_document": "bias"},
    "oracle": point("rag_sequence/fast/oracle/2"),
    "hybrid": point("rag_sequence/fast/hybrid/2"),
    "reranked": point("rag_token/greedy/reranked/2"),
    "refined index": point("rag_token/greedy/sq8/2") | {"index.refine": 4},
}


@dataclass
class Project:
    """Runs on test in a copy of the tiny project, and a store of their models."""

    config: SweepConfig
    client: MlflowClient

    def system(self, text: str) -> System:
        return system(self.config.experiment, text)

    def final(self, text: str) -> tuple[Path, dict[str, Any]]:
        return self.run(self.system(text))

    def run(self, tested: System) -> tuple[Path, dict[str, Any]]:
        folder = evaluate.run(tested, self.config.name, "test", "final")
        return folder, record.read_run(folder)

    def new_run(self) -> str:
        return str(self.client.create_run("0").info.run_id)

    def logged(self, text: str) -> tuple[str, Path]:
        """The id of a new logged model, and its folder."""
        model_id = log_model(self.client, self.new_run(), *self.final(text))
        return model_id, self.folder(model_id)

    def folder(self, model_id: str) -> Path:
        return Path(self.client.get_logged_model(model_id).artifact_location.removeprefix("file://"))


@pytest.fixture(scope="module")
def project(tiny_sweep: SweepConfig, tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(Path(tiny_sweep.experiment.folder) / "artifacts", root / "artifacts")
    config = moved(tiny_sweep, root)
    uri = f"postgresql://me:{SECRET}@localhost/mlflow"
    config = replace(config, experiment=replace(config.experiment, tracking_uri=uri))
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    client.create_experiment("tiny", artifact_location=(root / "mlartifacts").as_uri())
    return Project(config, client)


def answers(model: Path, **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mlflow.pyfunc.load_model(str(model), **given).predict(
        [{"question": question} for question in QUESTIONS]
    )
    return found


def asked(tested: System) -> list[tuple[Any, ...]]:
    workspace = Workspace(tested.config)
    found = [ask.answer(workspace, question) for question in QUESTIONS]
    return [
        (a.prediction.text, a.prediction.log_prob, [p.passage_id for p in a.passages], list(a.priors)) for a in found
    ]


def comparable(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (a["prediction"], a["log_prob"], [p["id"] for p in a["passages"]], [p["prior"] for p in a["passages"]])
        for a in found
    ]


def fails(*_: Any, **__: Any) -> None:
    raise MlflowException("full")


@pytest.mark.parametrize("text", POINTS)
def test_a_model_answers_as_ask_does(project: Project, text: str) -> None:
    _, folder = project.logged(text)
    found = answers(folder)
    assert comparable(found) == asked(project.system(text))
    with pytest.raises(ConfigError, match=r"^row 2, field 'question': a question is a text, not (None|nan)$"):
        mlflow.pyfunc.load_model(str(folder)).predict([{"question": QUESTIONS[0]}, {"question": None}])
    if text.startswith("rag_sequence"):
        assert [sum(p["posterior"] for p in a["passages"]) for a in found[:2]] == pytest.approx([1, 1])
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".bin", ".pt")]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert {path.name for path in (folder / "artifacts").iterdir()} >= {"generator", "system.json"}
    assert (folder / "code" / "rag_lightning" / "serving" / "served_model.py").is_file()
    assert f"torch=={version('torch').partition('+')[0]}" in (folder / "requirements.txt").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("name", RARE)
def test_a_model_has_what_its_kind_of_retriever_needs(project: Project, reranker: Path, name: str) -> None:
    tested = make_system(project.config.experiment, {"retriever.reranker": str(reranker)} | RARE[name])
    folder, run = project.run(tested)
    run_id = project.new_run()
    found = answers(project.folder(log_model(project.client, run_id, folder, run)))
    assert comparable(found) == asked(tested)
    assert log_traces(project.client, run_id, folder.parents[2], run) == 12


def test_an_altered_or_missing_file_is_refused(project: Project) -> None:
    _, folder = project.logged(POINTS[0])
    [corpus] = folder.rglob("passages.jsonl")
    whole = corpus.read_bytes()
    corpus.write_bytes(whole.replace(b"paris", b"parma", 1))
    with pytest.raises(ArtifactError, match=r"passages\.jsonl: was altered"):
        answers(folder)
    corpus.unlink()
    with pytest.raises(ArtifactError, match=r"passages\.jsonl: is missing in the model"):
        answers(folder)


@pytest.mark.parametrize(
    "changes",
    [{"parts": []}, {"parts": {}}, {"config": 5}, {"score_scale": "1"}, {"parts": {"generator": {"files": []}}}],
)
def test_a_damaged_description_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    whole = {"config": {"formulation": "rag_token"}, "score_scale": 1.0, "parts": {"generator": {"files": {}}}}
    path = tmp_path / "system.json"
    write_sealed(path, whole)
    assert parts.read_system(path) == whole
    write_sealed(path, whole | changes)
    with pytest.raises(DataError, match=r"system\.json: is damaged: .*; log the model again"):
        parts.read_system(path)


def test_a_large_corpus_stays_where_it_is(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parts, "TRAVELS", 1000)
    _, folder = project.logged(POINTS[0])
    assert not list(folder.rglob("passages.jsonl")) and list(folder.rglob("model.safetensors"))
    expected = asked(project.system(POINTS[0]))
    assert comparable(answers(folder)) == expected
    artifacts = Path(project.config.experiment.folder) / "artifacts"
    elsewhere = shutil.copytree(artifacts, tmp_path / "artifacts")
    assert comparable(answers(folder, model_config={"artifacts": str(elsewhere)})) == expected
    [corpus] = (elsewhere / "corpus").glob("*/manifest.json")
    write_sealed(corpus, read_sealed(corpus) | {"digest": "0" * 16})
    with pytest.raises(ArtifactError, match="has digest 0000000000000000, but the corpus of this model has"):
        answers(folder, model_config={"artifacts": str(elsewhere)})
    shutil.rmtree(elsewhere / "corpus")
    with pytest.raises(ArtifactError, match="the corpus of this model is not there, and was too large to travel"):
        answers(folder, model_config={"artifacts": str(elsewhere)})


def test_a_run_has_one_version_and_each_trace_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    client, run_id = project.client, project.new_run()
    folder, run = project.final(POINTS[1])

    with monkeypatch.context() as patched, pytest.raises(MlflowException, match="full"):
        patched.setattr(MlflowClient, "log_model_artifacts", fails)
        log_extras(client, run_id, folder, run)
    for _ in range(2):
        log_extras(client, run_id, folder, run)
    [made] = client.search_model_versions(f"run_id = '{run_id}'")
    assert made.name == registered_name("tiny") == "rag-lightning-tiny"
    assert made.tags["run_id"] == run["run_id"] and float(made.tags["test_em"]) >= 0
    assert client.get_model_version_by_alias(made.name, "rag_token").version == made.version
    [model] = client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    assert model.status == LoggedModelStatus.READY and model.params["index"] == "hnsw"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": made.name, "version": made.version}]
    assert client.get_run(run_id).outputs.model_outputs[0].model_id == model.model_id
    traces = client.search_traces(locations=["0"], run_id=run_id)
    assert len(traces) == 12 and len({t.info.client_request_id for t in traces}) == 12


def test_a_trace_shows_passages_hypotheses_and_whether_it_is_right(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = project.final(POINTS[0])
    run_id, root = project.new_run(), folder.parents[2]
    with monkeypatch.context() as patched, pytest.raises(MlflowException, match="full"):
        patched.setattr(TracingClient, "start_trace", fails)
        log_traces(project.client, run_id, root, run, sample=5)
    assert log_traces(project.client, run_id, root, run, sample=5) == 5
    assert log_traces(project.client, run_id, root, run, sample=6) == 1
    stored = root / "artifacts"
    predictions, scores = (
        {one.example_id: one for one in read_jsonl(stored / kind / run["digests"][kind] / f"{kind}.jsonl", of)}  # type: ignore[type-var]
        for kind, of in (("predictions", Prediction), ("scores", Score))
    )
    traces: list[Trace] = project.client.search_traces(locations=["0"], run_id=run_id)
    for trace in traces:
        example_id = str(trace.info.client_request_id)
        root_span, retrieved, generated = trace.data.spans
        assert [s.span_type for s in trace.data.spans] == [SpanType.CHAIN, SpanType.RETRIEVER, SpanType.LLM]
        assert root_span.outputs["prediction"] == predictions[example_id].text == trace.info.response_preview
        assert sum(root_span.get_attribute("posterior")) == pytest.approx(1)
        assert len(retrieved.outputs) == 2 and set(retrieved.outputs[0]) == {"page_content", "metadata", "id"}
        assert retrieved.outputs[0]["metadata"]["doc_log_prob"] <= 0
        assert generated.outputs["hypotheses"][0]["log_prob"] == predictions[example_id].log_prob
        assert retrieved.end_time_ns == generated.start_time_ns and retrieved.parent_id == root_span.span_id
        judged = {a.name: a for a in trace.info.assessments}
        assert judged["correct"].feedback.value == (scores[example_id].values["em"] == 1)
        assert judged["correct"].source.source_type == "CODE" and judged["answers"].expectation.value


@contextmanager
def serving(python: Path, folder: Path, place: Path) -> Iterator[str]:
    """The URL of `mlflow models serve --env-manager local` in another environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["models", "serve", "-m", str(folder), "--env-manager", "local", "-p", str(port)]
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    server = subprocess.Popen([str(python), "-m", "mlflow", *words], cwd=place, env=environment)
    try:
        for _ in range(120):
            time.sleep(0.5)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.slow
def test_a_model_answers_in_an_environment_without_this_package(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment has the same packages, by a path entry, but not rag_lightning, which comes with the model."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    _, logged = project.logged(POINTS[1])
    expected = asked(project.system(POINTS[1]))
    folder = shutil.copytree(logged, tmp_path / "model")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    [site] = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "present.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (python.parent / "uvicorn").write_text(f"#!{python}\nfrom uvicorn.main import main\nmain()\n")
    (python.parent / "uvicorn").chmod(0o755)
    question = [{"question": question} for question in QUESTIONS]
    code = f"""
import importlib.util, json, mlflow
assert importlib.util.find_spec("rag_lightning") is None
found = mlflow.pyfunc.load_model({str(folder)!r}).predict({question!r})
import rag_lightning
assert rag_lightning.__file__.startswith({str(folder)!r})
print(json.dumps(found))
"""
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert comparable(json.loads(done.stdout.splitlines()[-1])) == expected
    with serving(python, folder, tmp_path) as url:
        body = json.dumps({"dataframe_records": question}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            assert comparable(json.load(reply)["predictions"]) == expected
