"""Which configurations go on to test: per formulation, the cheapest of those not significantly worse than the best.

The best dev score of many trials flatters itself, so the best is not simply taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.files import write_json
from rag_lightning.core.records import Score, read_jsonl
from rag_lightning.metrics.statistics import not_worse_than_best
from rag_lightning.metrics.summary import align
from rag_lightning.runs.evaluate import folder_of, sweep_folder
from rag_lightning.runs.record import is_finished, read_run, run_folders
from rag_lightning.runs.system import System
from rag_lightning.stages.score import SCORES

SELECTION = "selection.json"


def select(config: SweepConfig, tried: Sequence[System]) -> list[System]:
    """The chosen systems, one per formulation; writes selection.json with every comparison."""
    candidates: list[dict[str, Any]] = []
    chosen: list[System] = []
    for formulation in dict.fromkeys(system.formulation for system in tried):
        group = [system for system in tried if system.formulation == formulation]
        rows = _compare(config, group)
        cheapest = min((row for row in rows.values() if row["within"]), key=lambda row: row["cost_seconds_per_query"])
        cheapest["chosen"] = True
        chosen += [system for system in group if rows[system] is cheapest]
        candidates += rows.values()
    write_json(
        sweep_folder(config) / SELECTION,
        {"objective": config.objective, "alpha": config.alpha, "candidates": candidates},
    )
    return chosen


def superseded(config: SweepConfig, chosen: Sequence[System]) -> list[str]:
    """Labels of systems that an earlier search, of fewer trials, had chosen and run on test."""
    folder = sweep_folder(config)
    now = {folder_of(config, system, "test") for system in chosen}
    earlier = [path for path in run_folders(folder.parent) if path.parent == folder and path not in now]
    found = [read_run(path) for path in earlier if is_finished(path)]
    return sorted(record["label"] for record in found if record["role"] == "final")


def _compare(config: SweepConfig, group: Sequence[System]) -> dict[System, dict[str, Any]]:
    folders = {system: folder_of(config, system, "dev") for system in group}
    scores = {system.label: _scores(config, read_run(folder)) for system, folder in folders.items()}
    arrays, entities = align(scores, config.objective)
    compared = not_worse_than_best(arrays, entities, alpha=config.alpha, seed=config.experiment.seed)
    rows = {}
    for system, folder in folders.items():
        comparison = compared[system.label]
        rows[system] = {
            "run_id": folder.name,
            "label": system.label,
            "formulation": system.formulation,
            "mean": float(arrays[system.label].mean()) * 100.0,
            "difference": comparison.difference * 100.0,
            "p": comparison.p,
            "within": comparison.within,
            "cost_seconds_per_query": read_run(folder)["timings"]["seconds_per_query"],
            "chosen": False,
        }
    return rows


def _scores(config: SweepConfig, record: dict[str, Any]) -> list[Score]:
    path = Path(config.experiment.folder) / "artifacts" / "scores" / record["digests"]["scores"] / SCORES
    return list(read_jsonl(path, Score))
