"""The content of run and artifact folders for MLflow, as plain values: params, metrics, curves, tables."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.artifacts import MANIFEST, Artifact, open_artifact, read_manifest
from rag_lightning.core.files import digest, read_jsonl_objects
from rag_lightning.core.records import Example, Prediction, Score, read_jsonl
from rag_lightning.core.redact import redact
from rag_lightning.report.collect import FOUND
from rag_lightning.report.paper import NAMES

MOST_METRICS, MOST_PARAMS = 30, 25
"""Largest number of columns that one run adds to the table of runs."""
MOST_POINTS = 500
"""Largest number of points of one curve."""
COLUMN_CUTOFFS = (1, 5, 20)
"""Numbers of passages whose answer recall is a column; the others are points of the curve."""
CUTOFFS_OF_THE_RUN = ("em_unanswerable",)
"""Metrics whose cut-off is the k of the run, so that their name needs none."""
TRAININGS = {
    "biencoder": "bi-encoder",
    "retriever_warmup": "retriever warm-up",
    "reader": "reader",
    "model": "model",
}
"""Kinds of artifacts with a training -> their title."""
MADE_FROM = {
    "scores": ("predictions",),
    "predictions": ("model", "examples"),
    "model": ("retriever_warmup", "biencoder", "reader", "examples"),
}
"""Kind of artifact -> its inputs that are followed."""
SHORT = {
    "formulation": "formulation",
    "decoding.strategy": "decoding",
    "index.kind": "retriever",
    "retriever.kind": "retriever",
    "decoding.k": "k",
    "scale": "scale",
    "seed": "seed",
}
"""Field -> name of the param that shows it."""
NOT_PARAMS = ("name", "system", "train_preset", "folder", "tracking_uri", "split", "task.name", "task.dataset")
SHARES = ("dev_score", "answer_recall", "frozen_answer_recall")
"""Values of a training between 0 and 1, without their cut-off, which are in % among the metrics of a run."""


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


@lru_cache(maxsize=1)
def _defaults() -> dict[str, str]:
    """Every field of an experiment at its default."""
    return flatten(to_dict(ExperimentConfig()))


def cut(text: str, limit: int = 500) -> str:
    """A text of at most `limit` characters, with … where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def metric_name(name: str) -> str:
    """A metric name with only the characters that MLflow accepts.

    >>> metric_name("answer_recall@5"), metric_name("family=definition/em")
    ('answer_recall_at_5', 'family/definition/em')
    """
    return re.sub(r"[^\w\-. /:]", "_", name.replace("@", "_at_").replace("=", "/"))


def run_params(config: Mapping[str, Any], varied: Iterable[str]) -> dict[str, str]:
    """The params of a run: its system in short names, the fields the sweep varies, and those not at their default.

    Args:
        config: The configuration, plain values.
        varied: Fields the sweep varies.
    """
    flat, default = flatten(config), _defaults()
    params = {name: flat[path] for path, name in SHORT.items() if path in flat} | {"retriever": retriever_of(config)}
    if config.get("formulation") == "closed_book":
        del params["k"]
    hidden = {*SHORT, *NOT_PARAMS}
    others = [path for path in varied if path in flat and path not in hidden]
    others += [path for path, value in flat.items() if default.get(path) != value and path not in hidden]
    for path in dict.fromkeys(others):
        if len(params) < MOST_PARAMS:
            params[path] = cut(flat[path])
    return params


def training_params(flat: Mapping[str, str], kind: str) -> list[str]:
    """Names of the params of a training: its own section, then other settings not at their default."""
    default, section = _defaults(), "train." if kind == "model" else f"{kind}."
    own = [path for path in flat if path.startswith(section) or path in ("formulation", "seed")]
    others = [path for path, value in flat.items() if default.get(path, value) != value]
    return list(dict.fromkeys([*own, *others]))[:MOST_PARAMS]


def training_title(folder: Path) -> str:
    """The name of a training: what was trained, and the digest of its artifact.

    Raises:
        ArtifactError: its manifest is damaged.
    """
    manifest = read_manifest(folder)
    formulation = NAMES.get(str(manifest.get("config", {}).get("formulation")), "closed book")
    what = f"{formulation} model" if manifest["kind"] == "model" else TRAININGS[manifest["kind"]]
    return f"{what} {folder.name[:8]}"


def retriever_of(config: Mapping[str, Any]) -> str:
    """The index kind for dense retrieval, else the retriever kind; none for closed book."""
    if config.get("formulation") == "closed_book":
        return "none"
    kind = str(config["retriever"]["kind"])
    return str(config["index"]["kind"]) if kind == "dense" else kind


def run_metrics(record: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a run that are columns: means of all metrics, answer recall at some cut-offs, cost."""
    estimates, family = summary.get("metrics", {}), found_family(summary)
    found: dict[str, Any] = {}
    for name, estimate in estimates.items():
        plain, _, cutoff = name.partition("@")
        if not cutoff or plain in CUTOFFS_OF_THE_RUN or (plain == family and int(cutoff) in COLUMN_CUTOFFS):
            found[plain if plain in CUTOFFS_OF_THE_RUN else name] = rounded(estimate)
    if estimates:
        found["questions"] = next(iter(estimates.values())).get("n")
    for name, value in record["timings"].items():
        if name != "peak_memory":
            found[name if "seconds" in name else f"{name.removesuffix('_stage')}_seconds"] = round(value, 4)
    memory = {name: value for name, value in record["timings"].items() if name == "peak_memory"}
    for name, value in {**memory, **record["work"]}.items():
        in_bytes = name == "peak_memory" or name.endswith("_bytes")
        found |= {f"{name.removesuffix('_bytes')}_mb": round(value / 1e6, 2)} if in_bytes else {name: value}
    finite = {metric_name(name): float(value) for name, value in found.items() if _finite(value)}
    return dict(list(finite.items())[: MOST_METRICS - 1])


def rounded(estimate: Mapping[str, Any]) -> Any:
    """The mean with the digits a table shows; the exact one is in metrics.json."""
    mean = estimate.get("mean")
    return round(mean, 2 if estimate.get("unit") == "%" else 4) if _finite(mean) and mean is not None else mean


def recall_curve(summary: Mapping[str, Any]) -> list[tuple[str, float, int]]:
    """(metric, value, k): how often an answer is in the first k passages, k as the step."""
    family, points = found_family(summary), []
    for name, estimate in summary.get("metrics", {}).items():
        plain, _, cutoff = name.partition("@")
        if cutoff and plain == family and _finite(estimate.get("mean")):
            points.append((family, float(estimate["mean"]), int(cutoff)))
    return sorted(points, key=lambda point: point[2])


def found_family(summary: Mapping[str, Any]) -> str:
    """The first metric of FOUND that the summary has."""
    families = {name.partition("@")[0] for name in summary.get("metrics", {})}
    return next((family for family in FOUND if family in families), FOUND[0])


def training_curves(folder: Path) -> list[tuple[str, float, int]]:
    """(metric, value, step) of a training, scores in %, at most MOST_POINTS a metric; DataError for damage."""
    file, curves = folder / "history.jsonl", dict[str, list[tuple[str, float, int]]]()
    for _, row in read_jsonl_objects(file) if file.exists() and file.stat().st_size else ():
        for name, value in row.items():
            if name != "step" and _finite(value) and _finite(row.get("step")):
                shown = round(100 * value, 2) if name.partition("@")[0] in SHARES else float(value)
                curves.setdefault(name, []).append((metric_name(name), shown, int(row["step"])))
    return [point for points in list(curves.values())[:MOST_METRICS] for point in thinned(points)]


def thinned(points: Sequence[Any]) -> list[Any]:
    """At most MOST_POINTS of the points, evenly spread, the last among them."""
    stride = math.ceil(len(points) / MOST_POINTS)
    return [point for i, point in enumerate(points) if (len(points) - 1 - i) % stride == 0] if points else []


def lineage(record: Mapping[str, Any], artifacts: Path) -> dict[str, Path]:
    """Kind -> folder of the artifacts of a run and of their inputs, of those that still exist.

    Raises:
        ArtifactError: a manifest is truncated.
    """
    digests = {kind: digest for kind, digest in record["digests"].items() if digest}
    for kind, inputs in MADE_FROM.items():
        folder = artifacts / kind / str(digests.get(kind))
        if kind in digests and (folder / MANIFEST).exists():
            made_from = read_manifest(folder)["inputs"]
            digests |= {name: made_from[name] for name in inputs if name in made_from and name not in digests}
    found = {kind: artifacts / kind / digest for kind, digest in digests.items()}
    return {kind: folder for kind, folder in found.items() if (folder / MANIFEST).exists()}


def estimate_tables(summary: Mapping[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """Name of file -> columns: metrics.json with every estimate, slices.json with those of parts of the questions."""
    tables = {}
    if summary.get("metrics"):
        tables["metrics.json"] = _columns((name, one) for name, one in summary["metrics"].items())
    rows = [(part, name, one) for part, found in summary.get("slices", {}).items() for name, one in found.items()]
    if rows:
        columns = _columns((name, one) for _, name, one in rows)
        tables["slices.json"] = {"slice": [part for part, _, _ in rows], **columns}
    return tables


def _columns(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Any]]:
    listed = list(rows)
    parts = ("mean", "low", "high", "n", "unit")
    return {"metric": [n for n, _ in listed], **{part: [_json(one.get(part)) for _, one in listed] for part in parts}}


def prediction_table(folders: Mapping[str, Path], split: str) -> dict[str, list[Any]] | None:
    """The predictions as columns: example, question, answers, prediction, all scores.

    Args:
        folders: Result of `lineage`.
        split: dev or test.

    Raises:
        ArtifactError: an artifact of the run is altered.
    """
    predictions = _artifact(folders, "predictions")
    if predictions is None:
        return None
    rows = list(read_jsonl(predictions.path / "predictions.jsonl", Prediction))
    table: dict[str, list[Any]] = {"example_id": [row.example_id for row in rows]}
    if examples := _artifact(folders, "examples"):
        asked = _asked(examples.path / f"{split}.jsonl")
        table["question"] = [asked[row.example_id][0] for row in rows]
        table["answers"] = [asked[row.example_id][1] for row in rows]
    table |= {
        "prediction": [row.text for row in rows],
        "raw": [row.raw_text for row in rows],
        "log_prob": [_json(row.log_prob) for row in rows],
    }
    if scores := _artifact(folders, "scores"):
        scored = {score.example_id: score.values for score in read_jsonl(scores.path / "scores.jsonl", Score)}
        names = list(dict.fromkeys(name for values in scored.values() for name in values))
        table |= {name: [_json(scored[row.example_id].get(name)) for row in rows] for name in names}
    return table


@lru_cache(maxsize=4)
def _asked(file: Path) -> dict[str, tuple[str, str]]:
    """Id -> question and answers of the examples in a file, which all runs of a split share."""
    return {e.example_id: (e.query, " | ".join(e.answers)) for e in read_jsonl(file, Example)}


def _artifact(folders: Mapping[str, Path], kind: str) -> Artifact | None:
    return open_artifact(folders[kind], kind) if kind in folders else None


def _json(value: Any) -> Any:
    """The value; None for a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def origin(record: Mapping[str, Any]) -> dict[str, str]:
    """User, command and commit, in MLflow's own tags."""
    git = record["git"]
    named = {"mlflow.user": record.get("user"), "mlflow.source.name": record.get("command")}
    named |= {"mlflow.source.git.commit": git["sha"], "mlflow.source.git.dirty": git["dirty"]}
    return {"mlflow.source.type": "LOCAL"} | {n: redact(str(value)) for n, value in named.items() if value is not None}


def examples_digest(record: Mapping[str, Any]) -> str:
    """Digest of the data of a run."""
    return str(record["digests"].get("examples") or digest([record["dataset"], data_source(record)]))


def data_source(record: Mapping[str, Any]) -> dict[str, str]:
    """Task and scale of the data of a run."""
    return {"task": record["task"], "scale": record["scale"]}
