"""The whole path on a user's own files: corpus to report, again, after an interruption, after a change."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from rag_lightning.artifacts.command import holdings
from rag_lightning.artifacts.inventory import Entry
from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.records import Prediction, Score, read_jsonl
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.report import command as report
from rag_lightning.runs import ledger
from rag_lightning.runs.evaluate import exact_scores
from rag_lightning.stages import predict, score
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import run as sweep
from rag_lightning.sweep.selection import order, superseded
from rag_lightning.sweep.space import open_space
from rag_lightning.sweep.study import open_study
from rag_lightning.tracking import track
from rag_lightning.tracking.store import default_uri
from tests.points import system
from tests.run_folders import svg_only
from tests.tiny_project import SPLITS

ENCODERS = ("pretrained", "warmed_up", "trained (RAG-Token)", "trained (RAG-Sequence)")


class NoMirror:
    """MLflow takes seconds to make a store; what is sent is tested once."""

    root = Path("nowhere")

    def __init__(self, *_: object) -> None:
        self.folders: list[Path] = []

    def parent(self, name: str) -> None: ...

    def child(self, folder: Path) -> None:
        self.folders.append(folder)


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "Mirror", NoMirror)


def sweep_folder(config: SweepConfig) -> Path:
    return Path(config.experiment.folder) / "runs" / config.name


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def records(config: SweepConfig) -> dict[str, dict[str, Any]]:
    """run_id -> run.json."""
    return {file.parent.name: load(file) for file in sorted(sweep_folder(config).glob("*/run.json"))}


def results(config: SweepConfig) -> dict[str, tuple[str, Any]]:
    """run_id -> role and estimates."""
    return {
        name: (r["role"], load(sweep_folder(config) / name / "summary.json")) for name, r in records(config).items()
    }


def predicted(config: SweepConfig) -> dict[str, list[tuple[str, str]]]:
    """run_id -> its predictions."""
    root = Path(config.experiment.folder) / "artifacts" / "predictions"
    files = {name: root / r["digests"]["predictions"] / "predictions.jsonl" for name, r in records(config).items()}
    return {name: [(p.text, f"{p.log_prob:.4f}") for p in read_jsonl(file, Prediction)] for name, file in files.items()}


def asked(config: SweepConfig) -> list[Mapping[str, Any]]:
    """The points of the completed trials, in order."""
    done = open_study(open_space(config)).get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    return [trial.params for trial in done]


def artifacts(config: SweepConfig) -> dict[str, int]:
    """Every published file and when it was written."""
    root = Path(config.experiment.folder) / "artifacts"
    files = [p for p in root.rglob("*") if p.is_file() and p.suffix != ".lock" and "pairs" not in p.parts]
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in files}


def test_run_folders_say_what_ran_and_what_came_out(tiny_sweep: SweepConfig) -> None:
    found = records(tiny_sweep)
    assert {r["status"] for r in found.values()} == {"finished"}
    trials = [r for r in found.values() if r["role"] == "trial"]
    assert {r["split"] for r in trials} == {"dev"}
    assert len(trials) == len({tuple(sorted(p.items())) for p in asked(tiny_sweep)})
    baselines = {(r["role"], r["split"]) for r in found.values() if r["config"]["formulation"] == "closed_book"}
    assert baselines == {("baseline", "dev"), ("baseline", "test")}
    root = Path(tiny_sweep.experiment.folder) / "artifacts"
    for name, record in found.items():
        predictions = read_jsonl(
            root / "predictions" / record["digests"]["predictions"] / "predictions.jsonl", Prediction
        )
        assert {p.example_id for p in predictions} == {f"q{i}" for i in SPLITS[record["split"]]}
        scores = list(read_jsonl(root / "scores" / record["digests"]["scores"] / "scores.jsonl", Score))
        summary = load(sweep_folder(tiny_sweep) / name / "summary.json")
        mean = 100 * sum(score.values["em"] for score in scores) / len(scores)
        assert summary["metrics"]["em"]["mean"] == pytest.approx(mean) and summary["metrics"]["em"]["n"] == 12
        assert record["timings"]["seconds_per_query"] > 0


def test_each_evaluation_on_test_is_in_the_ledger_once(tiny_sweep: SweepConfig) -> None:
    on_test = {name: record for name, record in records(tiny_sweep).items() if record["split"] == "test"}
    lines = [line for line in ledger.read(tiny_sweep.experiment.folder) if line["sweep"] == tiny_sweep.name]
    found = {line["run_id"]: (line["role"], line["label"], line["dataset"], line["digest"]) for line in lines}
    expected = {name: (r["role"], r["label"], r["dataset"], r["digests"]["scores"]) for name, r in on_test.items()}
    assert found == expected and len(lines) == len(expected) >= 3


def test_after_a_sweep_every_artifact_is_used_and_without_a_run_its_own_go(
    tiny_sweep: SweepConfig, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    for folder in ("artifacts", "runs"):
        shutil.copytree(Path(tiny_sweep.experiment.folder) / folder, root / folder)
    held = holdings(root)
    finished = (Path(tiny_sweep.experiment.folder) / "finished").stat().st_mtime

    def of_the_sweep(entries: Sequence[Entry]) -> list[Entry]:
        whole = [one for one in entries if one.state == "whole"]
        return [one for one in whole if (one.path / "manifest.json").stat().st_mtime < finished]

    assert [one.path for one in of_the_sweep(held.entries) if tiny_sweep.name not in held.groups(one)] == []
    record = next(r for r in records(tiny_sweep).values() if r["role"] == "trial")
    assert record["planned"] == record["digests"]
    shutil.rmtree(root / "runs" / tiny_sweep.name / record["run_id"])
    gone = {(one.kind, one.digest) for one in of_the_sweep(holdings(root).garbage)}
    assert {("scores", record["digests"]["scores"])} <= gone
    assert {kind for kind, _ in gone} <= {"scores", "predictions", "rankings", "cost", "index", "pairs"}
    assert main(["artifacts", "gc", "--confirm", "yes", "--folder", str(root)]) == 0
    assert holdings(root).garbage == []


def test_an_approximate_index_has_the_scores_of_exact_search_beside_its_own(tiny_sweep: SweepConfig) -> None:
    def place(text: str) -> Workspace:
        return Workspace(system(tiny_sweep.experiment, text).config).on("test")

    def found(digest: str) -> dict[str, float]:
        root = Path(tiny_sweep.experiment.folder) / "artifacts" / "scores" / digest
        return {s.example_id: s.values["answer_recall@2"] for s in read_jsonl(root / "scores.jsonl", Score)}

    exact, flat = place("rag_token/greedy/hnsw/2"), place("rag_token/greedy/flat/2")
    scored = exact_scores(exact, "test")
    assert found(scored) == found(score.build(flat, "test").digest) and len(found(scored)) == len(SPLITS["test"])
    assert exact_scores(flat, "test") == exact_scores(exact, "dev") == ""
    assert exact_scores(place("rag_token/greedy/bm25/2"), "test") == ""
    assert exact_scores(place("closed_book/greedy"), "test") == ""


def test_the_sweep_is_described(tiny_sweep: SweepConfig) -> None:
    described = load(sweep_folder(tiny_sweep) / "sweep.json")
    assert described["finished"] and described["dataset"] == "tiny" and described["objective"] == "em"
    rows = {(row["retriever"], row["model"]) for row in described["retrieval"]}
    dense = {(kind, model) for kind in tiny_sweep.space["retriever"][:-1] for model in ENCODERS}
    assert rows == dense | {("bm25", "words")}
    assert all(0 <= row["metrics"]["gold_recall@5"]["mean"] <= 100 for row in described["retrieval"])
    words = next(row for row in described["retrieval"] if row["model"] == "words")
    assert words["metrics"]["gold_recall@5"]["mean"] == 100, "every question names its passage's title"
    assert any(re.search(r"surface: (\d+) of \1 questions", warning) for warning in described["warnings"])


def test_only_the_chosen_and_the_baselines_touch_test(tiny_sweep: SweepConfig) -> None:
    selection = load(sweep_folder(tiny_sweep) / "selection.json")
    found = records(tiny_sweep)
    chosen = [c for c in selection["candidates"] if c["chosen"]]
    formulations = [c["formulation"] for c in chosen]
    assert sorted(formulations) == sorted({c["formulation"] for c in selection["candidates"]})
    for candidate in chosen:
        rivals = [c for c in selection["candidates"] if c["formulation"] == candidate["formulation"] and c["within"]]
        assert order(tiny_sweep, candidate) == min(order(tiny_sweep, rival) for rival in rivals)
        assert candidate["index_bytes"] > 0 < candidate["seconds_per_query"]
    tested = {r["label"] for r in found.values() if r["split"] == "test"}
    assert tested == {c["label"] for c in chosen} | {"Closed book · greedy", "RAG-Token · bm25 · k=2 · greedy"}
    finals = [r for r in found.values() if r["role"] == "final"]
    assert {r["label"] for r in finals} == {c["label"] for c in chosen}


def test_what_an_earlier_search_had_run_on_test_is_told(tiny_sweep: SweepConfig) -> None:
    candidates = load(sweep_folder(tiny_sweep) / "selection.json")["candidates"]
    labels = sorted(c["label"] for c in candidates if c["chosen"])
    space = open_space(tiny_sweep)
    found = map(space.system_of, space.points or ())
    finals = [system for system in found if system.label in labels]
    assert superseded(tiny_sweep, finals) == []
    assert superseded(tiny_sweep, finals[:1]) == [label for label in labels if label != finals[0].label]
    assert superseded(tiny_sweep, []) == labels
    described = load(sweep_folder(tiny_sweep) / "sweep.json")
    assert not any("more than once" in warning for warning in described["warnings"])


def test_mlflow_holds_one_parent_and_a_child_a_run(tiny_sweep: SweepConfig) -> None:
    client = MlflowClient(default_uri(Path(tiny_sweep.experiment.folder)))
    experiment = client.get_experiment_by_name("nq")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    parents = [run for run in runs if run.data.tags["role"] == "sweep"]
    assert [run.info.status for run in parents] == ["FINISHED"]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    assert sorted(run.info.run_name + run.data.tags["split"] for run in children) == sorted(
        record["label"] + record["split"] for record in records(tiny_sweep).values()
    )


def test_the_report_is_there(tiny_sweep: SweepConfig) -> None:
    out = Path(tiny_sweep.experiment.folder) / "reports" / "out" / "tiny"
    files = {path.name for path in out.iterdir()}
    assert {"index.html", "table.md", "table.tex", "table.csv", "systems.svg", "systems.png"} <= files
    table = (out / "table.md").read_text(encoding="utf-8").replace("\\_", "_")
    for record in records(tiny_sweep).values():
        assert record["split"] == "dev" or record["label"] in table


def test_a_second_call_does_nothing_again(tiny_sweep: SweepConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    svg_only(monkeypatch)
    before, runs = artifacts(tiny_sweep), records(tiny_sweep)
    sweep.run(tiny_sweep)
    report.run(tiny_sweep)
    assert artifacts(tiny_sweep) == before
    assert records(tiny_sweep) == runs


def test_an_interrupted_sweep_ends_like_another(
    tiny_sweep: SweepConfig, tiny_copy: SweepConfig, no_mirror: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def interrupt(self: Predictor, batch: object) -> None:
        raise KeyboardInterrupt

    def make(*arguments: Any, real: Any = predict._make) -> dict[str, Any]:
        made.append(arguments)
        if len(made) == 2:
            patch.setattr(Predictor, "predict", interrupt)
        return dict(real(*arguments))

    with monkeypatch.context() as patch:
        patch.setattr(predict, "STAGE", replace(predict.STAGE, make=make))
        with pytest.raises(KeyboardInterrupt):
            sweep.run(tiny_copy)
    assert sorted(r["status"] for r in records(tiny_copy).values()) == ["finished", "running"]
    assert len(asked(tiny_copy)) == 1
    sweep.run(tiny_copy)
    assert asked(tiny_copy) == asked(tiny_sweep)
    assert results(tiny_copy) == results(tiny_sweep)
    assert predicted(tiny_copy) == predicted(tiny_sweep)


def test_a_changed_space_puts_the_earlier_runs_aside_and_takes_them_up_again(
    tiny_copy: SweepConfig, no_mirror: None
) -> None:
    narrow = {**tiny_copy.space, "decoding": ("rag_token/greedy",)}
    first = replace(tiny_copy, trials=1, space={**narrow, "k": (1,)}, always=())
    other = replace(first, space={**narrow, "k": (2,)})
    sweep.run(first)
    before = results(first)
    sweep.run(other)
    tried = {name for name, (role, _) in results(other).items() if role == "trial"}
    assert len(tried) == 1 and not tried & set(before)
    aside = list(sweep_folder(first).parent.glob("tiny.*/"))
    assert len(aside) == 1 and {folder.parent.name for folder in aside[0].glob("*/run.json")} == set(before)
    sweep.run(first)
    assert results(first) == before
    aside = list(sweep_folder(first).parent.glob("tiny.*/"))
    assert len(aside) == 1 and tried <= {folder.parent.name for folder in aside[0].glob("*/run.json")}
    sweep.run(replace(first, trials=2, experiment=replace(first.experiment, tracking_uri="sqlite:///elsewhere.db")))
    assert set(before) <= set(results(first)), "a budget and a place are no other space"
