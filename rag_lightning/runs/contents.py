"""The content of a run folder for MLflow, as plain values: parameters, metrics, history, predictions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import Artifact, open_artifact, read_manifest
from rag_lightning.core.records import Example, Prediction, Score, read_jsonl

PARAM_LIMIT = 6000
HISTORIES = {"biencoder": "biencoder", "retriever": "retriever_warmup", "reader": "warmup", "model": "train"}
"""Kinds of artifacts with a history.jsonl -> prefix of its metrics."""
MADE_FROM = {
    "scores": ("predictions",),
    "predictions": ("model", "examples"),
    "model": ("retriever", "reader", "examples"),
}
"""Kind of artifact -> its inputs that are followed."""
HISTORY = "history.jsonl"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings with dotted names, lists as JSON.

    >>> flatten({"index": {"kind": "flat"}, "k": [1, 2]})
    {'index.kind': 'flat', 'k': '[1, 2]'}
    """
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def cut(params: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Parameters truncated to MLflow's limit, with a note, and the names of the truncated ones."""
    long = [name for name, value in params.items() if len(value) > PARAM_LIMIT]
    note = "… (truncated; see config.yaml)"
    return {n: v[: PARAM_LIMIT - len(note)] + note if n in long else v for n, v in params.items()}, long


def metric_name(name: str) -> str:
    """A metric name with only the characters that MLflow accepts.

    >>> metric_name("answer_recall@5"), metric_name("family=definition/em")
    ('answer_recall_at_5', 'family/definition/em')
    """
    return re.sub(r"[^\w\-. /:]", "_", name.replace("@", "_at_").replace("=", "/"))


def child_metrics(record: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, float]:
    """Estimates (name, name_low, name_high, name_n), also of slices, and timings; finite values only."""
    values = _estimates("", summary.get("metrics", {}))
    for part, estimates in summary.get("slices", {}).items():
        values |= _estimates(f"slice/{part}/", estimates)
    values |= {f"seconds/{name}": value for name, value in record["timings"].items()}
    return {metric_name(name): float(value) for name, value in values.items() if _finite(value)}


def lineage(record: Mapping[str, Any], artifacts: Path) -> dict[str, Path]:
    """Kind -> folder of the artifacts of a run and of their inputs.

    Raises:
        ArtifactError: a manifest is missing or truncated.
    """
    digests = {kind: digest for kind, digest in record["digests"].items() if digest}
    for kind, inputs in MADE_FROM.items():
        if kind in digests:
            made_from = read_manifest(artifacts / kind / digests[kind])["inputs"]
            digests |= {name: made_from[name] for name in inputs if name in made_from and name not in digests}
    return {kind: artifacts / kind / digest for kind, digest in digests.items()}


def history(folders: Mapping[str, Path]) -> Iterator[tuple[str, float, int]]:
    """(metric, value, step) of the trainings of a run.

    Args:
        folders: Result of `lineage`.
    """
    for kind, prefix in HISTORIES.items():
        file = folders[kind] / HISTORY if kind in folders else None
        if file is None or not file.exists():
            continue
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for name, value in row.items():
                if name != "step" and _finite(value):
                    yield metric_name(f"{prefix}/{name}"), float(value), int(row["step"])


def prediction_table(folders: Mapping[str, Path], split: str) -> dict[str, list[Any]] | None:
    """The predictions as columns: example, question, answers, prediction, all scores.

    Args:
        folders: Result of `lineage`.
        split: dev or test.

    Raises:
        ArtifactError: an artifact of the run is altered or missing.
    """
    predictions = _artifact(folders, "predictions")
    if predictions is None:
        return None
    rows = list(read_jsonl(predictions.path / "predictions.jsonl", Prediction))
    table: dict[str, list[Any]] = {"example_id": [row.example_id for row in rows]}
    if examples := _artifact(folders, "examples"):
        asked = {e.example_id: e for e in read_jsonl(examples.path / f"{split}.jsonl", Example)}
        table["question"] = [asked[row.example_id].query for row in rows]
        table["answers"] = [" | ".join(asked[row.example_id].answers) for row in rows]
    table |= {
        "prediction": [row.text for row in rows],
        "raw": [row.raw_text for row in rows],
        "log_prob": [row.log_prob for row in rows],
    }
    if scores := _artifact(folders, "scores"):
        scored = {score.example_id: score.values for score in read_jsonl(scores.path / "scores.jsonl", Score)}
        names = sorted({name for values in scored.values() for name in values})
        table |= {name: [scored[row.example_id].get(name) for row in rows] for name in names}
    return table


def _artifact(folders: Mapping[str, Path], kind: str) -> Artifact | None:
    return open_artifact(folders[kind], kind) if kind in folders else None


def _estimates(prefix: str, estimates: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, estimate in estimates.items():
        parts = {"": "mean", "_low": "low", "_high": "high", "_n": "n"}
        values |= {f"{prefix}{name}{suffix}": estimate.get(part) for suffix, part in parts.items()}
    return values


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
