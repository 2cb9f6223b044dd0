"""Selection of the systems for test: per formulation, the cheapest that is not significantly worse than the best.

The best dev score of many trials flatters itself, so the best is not simply taken. Cheap is counted, not measured:
pairs generated per question times beams, then bytes of the index, then the label. The clock decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.files import write_json
from rag_lightning.metrics.statistics import not_worse_than_best
from rag_lightning.metrics.summary import align
from rag_lightning.runs import folders
from rag_lightning.runs.evaluate import folder_of, scores_of
from rag_lightning.runs.record import is_finished, read_run, run_folders
from rag_lightning.runs.system import System

SELECTION = "selection.json"
Row = dict[str, Any]


def select(config: SweepConfig, tried: Sequence[System]) -> list[System]:
    """The chosen systems, one per formulation; writes selection.json with every comparison."""
    candidates: list[Row] = []
    chosen: list[System] = []
    for formulation in dict.fromkeys(system.config.formulation for system in tried):
        group = [system for system in tried if system.config.formulation == formulation]
        rows = _compare(config, group)
        best = min((row for row in rows if row["within"]), key=cost)
        best["chosen"] = True
        chosen += [system for system, row in zip(group, rows, strict=True) if row is best]
        candidates += rows
    write_json(
        folders.run_group(config.experiment.folder, config.name) / SELECTION,
        {"objective": config.objective, "alpha": config.alpha, "candidates": candidates},
    )
    return chosen


def cost(row: Row) -> tuple[int, int, str]:
    """The cost of a candidate in counts, smaller is cheaper."""
    return row["pairs"] * row["beams"], row["index_bytes"], row["label"]


def superseded(config: SweepConfig, chosen: Sequence[System]) -> list[str]:
    """Labels of systems that an earlier search with fewer trials chose and ran on test."""
    folder = folders.run_group(config.experiment.folder, config.name)
    now = {folder_of(system, config.name, "test") for system in chosen}
    earlier = [path for path in run_folders(folder.parent) if path.parent == folder and path not in now]
    found = [read_run(path) for path in earlier if is_finished(path)]
    return sorted(record["label"] for record in found if record["role"] == "final")


def _compare(config: SweepConfig, group: Sequence[System]) -> list[Row]:
    """One row per system, in order."""
    root = Path(config.experiment.folder)
    found = [folder_of(system, config.name, "dev") for system in group]
    arrays, entities = align({folder.name: scores_of(folder, root) for folder in found}, config.objective)
    compared = not_worse_than_best(arrays, entities, alpha=config.alpha, seed=config.experiment.seed)
    rows = []
    for system, folder in zip(group, found, strict=True):
        record, comparison = read_run(folder), compared[folder.name]
        rows.append(
            {
                "run_id": folder.name,
                "label": system.label,
                "formulation": system.config.formulation,
                "mean": float(arrays[folder.name].mean()) * 100.0,
                "difference": comparison.difference * 100.0,
                "p": comparison.p,
                "within": comparison.within,
                **record["work"],
                "seconds_per_query": record["timings"]["seconds_per_query"],
                "chosen": False,
            }
        )
    return rows
