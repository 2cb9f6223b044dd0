"""Every name of the package that the golden tests use: old (as recorded) -> new (as the code has it today).

The recorded files keep the old names. Whoever renames a key, a label, a column or a file edits this module and nothing
else in this folder. Today every name is its own.
"""

from __future__ import annotations

from typing import Any

COMMANDS = {"score": "score", "sweep": "sweep", "report": "report", "claims": "claims"}

KEYS: dict[str, str | None] = {"warmup": "reader"}
"""Renamed configuration keys, dotted: {"warmup.steps": "reader.steps"}. None drops a key that is no more.

The longest prefix wins, so {"warmup": "reader"} renames a whole section.
"""
VALUES: dict[tuple[str, Any], Any] = {}
"""Renamed values: {("decoding.strategy", "first_entity"): "first_name"}, with the old key."""

CONFIG, FOLDER, FILE, MATRIX, SPLIT = "--config", "--folder", "--file", "--matrix", "--split"
"""Options of the command line."""

ARTIFACTS, RUNS, REPORTS = "artifacts", "runs", "reports/out"
KINDS = {"scores": "scores", "predictions": "predictions", "rankings": "rankings", "model": "model"}
"""Folders of `artifacts/`; they are also the keys of a manifest's inputs."""
MANIFEST, INPUTS, INFO = "manifest.json", "inputs", "info"
INFO_FIELDS = {"dev_score": "dev_score", "score_scale": "score_scale"}

FILES = {
    "predictions": "predictions.jsonl",
    "rankings": "rankings.jsonl",
    "summary": "summary.json",
    "run": "run.json",
    "sweep": "sweep.json",
    "selection": "selection.json",
    "table": "table.csv",
}
ID, TEXT, LOG_PROB, HYPOTHESES, OF_PASSAGES = "example_id", "text", "log_prob", "hypotheses", "passage_log_probs"
"""Fields of a prediction and its hypotheses."""
ROWS, SCORES = "rows", "scores"
"""Fields of a ranking."""
METRICS, MEAN = "metrics", "mean"
LABEL, RUN_SPLIT = "label", "split"
"""Fields of a run."""
RETRIEVAL, RETRIEVER, ENCODER = "retrieval", "retriever", "model"
"""The retrieval rows of a sweep, and what tells them apart."""
CANDIDATES, WITHIN = "candidates", "within"
"""Of the selection: who was not significantly worse than the best."""

METRIC_NAMES: dict[str, str] = {}
"""Renamed metrics, without their cut-off."""
ENCODERS = {
    "frozen": "pretrained",
    "warmed up": "warmed_up",
    "rag_token": "trained (RAG-Token)",
    "rag_sequence": "trained (RAG-Sequence)",
    "words": "words",
}
LABELS = {
    "Closed book · greedy": "Closed book · greedy",
    "RAG-Token · flat · k=1 · greedy": "RAG-Token · flat · k=1 · greedy",
    "RAG-Token · flat · k=2 · greedy": "RAG-Token · flat · k=2 · greedy",
    "RAG-Token · bm25 · k=1 · greedy": "RAG-Token · bm25 · k=1 · greedy",
    "RAG-Token · bm25 · k=2 · greedy": "RAG-Token · bm25 · k=2 · greedy",
    "RAG-Sequence · flat · k=1 · thorough": "RAG-Sequence · flat · k=1 · thorough",
    "RAG-Sequence · flat · k=2 · thorough": "RAG-Sequence · flat · k=2 · thorough",
    "RAG-Sequence · bm25 · k=1 · thorough": "RAG-Sequence · bm25 · k=1 · thorough",
    "RAG-Sequence · bm25 · k=2 · thorough": "RAG-Sequence · bm25 · k=2 · thorough",
}
COLUMNS: dict[str, str | None] = {}
"""Renamed columns of table.csv and of the claims' table; None drops one."""
CELLS: dict[str, str] = {}
"""Renamed words in their cells (roles, verdicts, rows)."""
UNTIMED = ("s/query",)
"""New names of columns that measure time: never compared."""


def key(old: str) -> str | None:
    """The new name of a dotted configuration key."""
    parts = old.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in KEYS:
            new = KEYS[prefix]
            return None if new is None else ".".join([new, *parts[length:]])
    return old


def nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by old dotted keys as the nested dictionary of a configuration file of today."""
    found: dict[str, Any] = {}
    for old, value in settings.items():
        new = key(old)
        if new is None:
            continue
        *sections, last = new.split(".")
        place = found
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value if isinstance(value, list | dict) else VALUES.get((old, value), value)
    return found


def metric(old: str) -> str:
    """The new name of a metric, cut-off kept."""
    name, at, cutoff = old.partition("@")
    return METRIC_NAMES.get(name, name) + at + cutoff


def column(old: str) -> str | None:
    """The new name of a column; that of a bound follows that of its metric."""
    for suffix in (" low", " high"):
        if old.endswith(suffix) and old not in COLUMNS:
            head = column(old.removesuffix(suffix))
            return None if head is None else head + suffix
    return COLUMNS.get(old, old)
