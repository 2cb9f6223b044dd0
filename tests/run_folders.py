"""A run folder with real artifacts, as a sweep writes it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.records import Example, Prediction, Score, write_jsonl
from rag_lightning.runs.record import SCHEMA, TYPES, RunInfo, recorded

Called = list[tuple[Any, ...]]
"""The calls of a command: its target and its arguments."""
EXAMPLES = [Example(str(i), f"question {i}", ("yes", "yeah")) for i in range(3)]
SUMMARY = {
    "metrics": {
        "em": {"mean": 66.7, "low": 20.0, "high": 100.0, "n": 3, "unit": "%"},
        "answer_recall@2": {"mean": 80.0, "low": 60.0, "high": 90.0, "n": 3, "unit": "%"},
        "answer_recall@5": {"mean": 100.0, "low": 90.0, "high": float("inf"), "n": 3, "unit": "%"},
    },
    "slices": {"family=definition": {"em": {"mean": 50.0, "low": 0.0, "high": 100.0, "n": 2, "unit": "%"}}},
}
BLANK: dict[str, Any] = {name: kind() for name, kind in TYPES.items()} | {"schema": SCHEMA, "status": "finished"}
"""The record of a finished run with nothing in it."""


def info(run_id: str = "r1", **changes: Any) -> RunInfo:
    values: dict[str, Any] = {
        "run_id": run_id,
        "sweep": "s1",
        "role": "trial",
        "split": "dev",
        "label": "RAG-Token · flat · k=5 · greedy",
        "task": "nq",
        "dataset": "mini-nq",
        "scale": "mini",
        "config": to_dict(ExperimentConfig(formulation="rag_token", seed=3, train=TrainConfig(lr=0.5))),
        "seed": 3,
        "notes": ("a note",),
    }
    return RunInfo(**{**values, **changes})


def make_artifacts(root: Path) -> dict[str, str]:
    """examples <- model (with its history) <- predictions <- scores; the digests a run names."""
    store = ArtifactStore(root / "artifacts")

    def examples(folder: Path) -> dict[str, Any]:
        return {"count": write_jsonl(folder / "dev.jsonl", EXAMPLES) + write_jsonl(folder / "test.jsonl", EXAMPLES)}

    def model(folder: Path) -> dict[str, Any]:
        rows = [{"step": 10, "loss": 2.5, "lr": 1e-4}, {"step": 20, "dev_score": 0.333, "answer_recall@5": 0.5}]
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {}

    def predictions(folder: Path) -> dict[str, Any]:
        rows = [Prediction(e.example_id, "yes", "y ##es", -0.5) for e in EXAMPLES]
        return {"count": write_jsonl(folder / "predictions.jsonl", rows)}

    def scores(folder: Path) -> dict[str, Any]:
        rows = [Score(e.example_id, e.example_id, {"em": 1.0, "mrr": 0.5}) for e in EXAMPLES]
        return {"count": write_jsonl(folder / "scores.jsonl", rows)}

    asked = store.build(Recipe("examples", {}, {}, 1), examples).digest
    trained = store.build(
        Recipe("model", {"formulation": "rag_token", "train.lr": 0.5}, {"examples": asked}, 1), model
    ).digest
    made = store.build(Recipe("predictions", {}, {"model": trained, "examples": asked}, 1), predictions).digest
    scored = store.build(Recipe("scores", {}, {"predictions": made}, 1), scores).digest
    return {"predictions": made, "scores": scored, "examples": asked, "model": trained}


def keep(root: Path, kind: str, name: str, files: dict[str, list[Any]], inputs: dict[str, str]) -> str:
    """The digest of an artifact with these files of records."""

    def make(folder: Path) -> dict[str, Any]:
        counts = {file: write_jsonl(folder / f"{file}.jsonl", records) for file, records in files.items()}
        return {"counts": counts, "count": sum(counts.values())}

    return ArtifactStore(root / "artifacts").build(Recipe(kind, {"of": name}, inputs, 1), make).digest


def make_run(root: Path, run_id: str = "r1", **changes: Any) -> Path:
    """A finished run below root/runs/s1."""
    folder = root / "runs" / "s1" / run_id
    with recorded(folder, info(run_id, **changes)) as result:
        result.digests |= make_artifacts(root)
        result.timings |= {"seconds_per_query": 0.25, "retrieve": 0.05}
        result.work |= {"pairs": 5, "beams": 1, "index_bytes": 2_500_000}
        result.summary |= SUMMARY
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run."""
    return make_run(tmp_path)


@pytest.fixture(scope="session")
def run_info() -> Callable[..., RunInfo]:
    """Makes descriptions of runs."""
    return info


@pytest.fixture(scope="session")
def run_maker() -> Callable[..., Path]:
    """Makes finished runs below a root."""
    return make_run


def svg_only(patch: pytest.MonkeyPatch) -> None:
    """Charts are written as SVG only, which is three times as fast; test_charts.py writes the others."""
    from rag_lightning.report import charts

    patch.setattr(charts, "FORMATS", {"svg": charts.FORMATS["svg"]})


class NoMirror:
    """In the place of `Mirror`, which takes seconds to make a store."""

    root = Path("nowhere")

    def __init__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None
