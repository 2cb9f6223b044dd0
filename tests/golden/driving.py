"""Runs the command line and reads what it wrote, as plain values under the names as recorded."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from rag_lightning.cli import main
from tests.golden import names
from tests.golden.systems import Settings, settings
from tests.tiny_project import passages

Values = dict[str, Any]


def call(command: str, *words: str) -> None:
    """One command of the command line, which must succeed."""
    code = main([names.COMMANDS[command], *words])
    assert code == 0, f"rag-lightning {command} {' '.join(words)} ended with {code}"


def write_config(path: Path, values: Settings) -> Path:
    """A configuration file from settings by old dotted keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(names.nested(values), sort_keys=False), encoding="utf-8")
    return path


def system(name: str, root: Path, bert: Path) -> Values:
    """Train, predict and score one system; what its artifacts hold."""
    file = write_config(root / "configs" / f"{name}.yaml", settings(name, root, bert))
    before = _manifests(root, "scores")
    call("score", names.CONFIG, str(file))
    made = _manifests(root, "scores") - before
    assert len(made) == 1, f"{name}: {len(made)} new artifacts of scores; no two systems have the same"
    scores = made.pop().parent
    inputs = _inputs(scores)
    predictions = _artifact(root, "predictions", inputs)
    ranked = _artifact(root, "rankings", inputs) if names.KINDS["rankings"] in inputs else None
    model = _artifact(root, "model", _inputs(predictions))
    return {
        "model": _info(model, "dev_score", "score_scale"),
        "rankings": {} if ranked is None else _info(ranked, "score_scale"),
        "metrics": _means(_json(scores / names.FILES["summary"])),
        "questions": _questions(predictions, ranked),
    }


def _manifests(root: Path, kind: str) -> set[Path]:
    return set((root / names.ARTIFACTS / names.KINDS[kind]).glob(f"*/{names.MANIFEST}"))


def _artifact(root: Path, kind: str, inputs: Values) -> Path:
    return root / names.ARTIFACTS / names.KINDS[kind] / str(inputs[names.KINDS[kind]])


def _inputs(artifact: Path) -> Values:
    return dict(_json(artifact / names.MANIFEST)[names.INPUTS])


def _info(artifact: Path, *fields: str) -> Values:
    info = _json(artifact / names.MANIFEST)[names.INFO]
    return {field: info.get(names.INFO_FIELDS[field]) for field in fields}


def _questions(predictions: Path, ranked: Path | None) -> Values:
    """example_id -> text, hypotheses with log p(y|x) and those of the passages, passages with scores."""
    found: Values = {}
    for row in _lines(predictions / names.FILES["predictions"]):
        hypotheses = [[h[names.TEXT], h[names.LOG_PROB], h[names.OF_PASSAGES]] for h in row[names.HYPOTHESES]]
        found[row[names.ID]] = {"text": row[names.TEXT], "log_prob": row[names.LOG_PROB], "hypotheses": hypotheses}
    identifiers = [passage["id"] for passage in passages()]
    for row in _lines(ranked / names.FILES["rankings"]) if ranked else []:
        scored = zip(row[names.ROWS], row[names.SCORES], strict=True)
        found[row[names.ID]]["passages"] = [[identifiers[i], score] for i, score in scored]
    return found


def _means(summary: Values) -> Values:
    return {metric: estimate[names.MEAN] for metric, estimate in summary[names.METRICS].items()}


def runs(folder: Path) -> Values:
    """label -> split -> metric means, of every run in a folder of runs."""
    found: Values = {}
    for file in sorted(folder.glob(f"*/{names.FILES['run']}")):
        record = _json(file)
        means = _means(_json(file.parent / names.FILES["summary"]))
        found.setdefault(record[names.LABEL], {})[record[names.RUN_SPLIT]] = means
    return found


def retrieval(sweep: Path) -> Values:
    """retriever -> encoder -> metric means, and score_scale."""
    found: Values = {}
    for row in _json(sweep / names.FILES["sweep"])[names.RETRIEVAL]:
        values = _means(row) | {"score_scale": row[names.INFO_FIELDS["score_scale"]]}
        found.setdefault(row[names.RETRIEVER], {})[row[names.ENCODER]] = values
    return found


def not_worse(sweep: Path) -> Values:
    """label -> whether it was not significantly worse than the best of its formulation."""
    rows = _json(sweep / names.FILES["selection"])[names.CANDIDATES]
    return {row[names.LABEL]: row[names.WITHIN] for row in rows}


def table(file: Path, keys: int = 1) -> Values:
    """A CSV table without what measures time: its first cells -> column -> value; numbers as numbers."""
    with file.open(encoding="utf-8", newline="") as handle:
        head, *rows = csv.reader(handle)
    found = {}
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        kept = {name: _number(text) for name, text in list(cells.items())[keys:] if name not in names.UNTIMED}
        found[" | ".join(row[:keys])] = kept
    return found


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _json(file: Path) -> Values:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _lines(file: Path) -> list[Values]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
