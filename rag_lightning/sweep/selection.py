"""Selection of the systems for test: per formulation, the cheapest that is not significantly worse than the best.

The best dev score of many trials flatters itself, so the best is not simply taken; and among many trials some look
worse by chance, so p is corrected for their number (`metrics/best.py`). Cheap is counted, not measured: pairs
generated per question times beams. Of equally cheap ones the best is taken, so that half a megabyte of an index does
not buy five points of EM; bytes come first where they are an objective. The clock decides nothing. Only trials that
meet all constraints take part. With several objectives the first metric selects; the Pareto front over all of them is
written beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.metrics.best import CORRECTION, tie_set
from rag_lightning.metrics.metric import comparable
from rag_lightning.runs import folders
from rag_lightning.runs.evaluate import degraded_of, folder_of, scores_of
from rag_lightning.runs.record import is_finished, read_run, run_folders
from rag_lightning.runs.system import TITLES, System
from rag_lightning.sweep import objectives

SELECTION = "selection.json"
Row = dict[str, Any]


def select(config: SweepConfig, tried: Sequence[System]) -> list[System]:
    """The chosen systems, at most one per formulation; writes selection.json with every comparison."""
    rows = [_row(config, system) for system in tried]
    formulations = dict.fromkeys(row["formulation"] for row in rows)
    groups = [_group(config, name, [row for row in rows if row["formulation"] == name]) for name in formulations]
    _mark_front(config, rows)
    found = {
        "objective": objectives.quality(config),
        "objectives": dict(zip(config.objectives, objectives.directions(config), strict=True)),
        "constraints": list(config.constraints),
        "alpha": config.alpha,
        "correction": CORRECTION,
        "formulations": groups,
        "candidates": rows,
    }
    write_sealed(_file(config), found)
    chosen = [system for system, row in zip(tried, rows, strict=True) if row["chosen"]]
    return sorted(chosen, key=lambda system: list(formulations).index(system.config.formulation))


def problems(config: SweepConfig) -> list[str]:
    """One line per formulation of which none was chosen, because no trial meets all constraints."""
    lines = []
    for group in read_sealed(_file(config))["formulations"]:
        if not group["feasible"]:
            missed = [f"{text} is missed by at least {by:g}" for text, by in group["missed"].items() if by > 0]
            title, reason = TITLES[group["formulation"]], "; ".join(missed) or "each is met, but not all by one trial"
            lines.append(f"{title}: none of {group['trials']} trials meets all constraints, none is chosen: {reason}")
    return lines


def order(config: SweepConfig, row: Row) -> tuple[int, int, float, int, str]:
    """The place of a candidate that is not significantly worse than the best; the smallest is chosen."""
    size = row["index_bytes"]
    first = size if "index_bytes" in config.objectives else 0
    return row["pairs"] * row["beams"], first, -row["difference"], size, row["label"]


def superseded(config: SweepConfig, chosen: Sequence[System]) -> list[str]:
    """Labels of systems that an earlier search with fewer trials chose and ran on test."""
    folder = folders.run_group(config.experiment.folder, config.name)
    now = {folder_of(system, config.name, "test") for system in chosen}
    earlier = [path for path in run_folders(folder.parent, folder.name) if path not in now]
    found = [read_run(path) for path in earlier if is_finished(path)]
    return sorted(record["label"] for record in found if record["role"] == "final")


def _group(config: SweepConfig, formulation: str, rows: Sequence[Row]) -> Row:
    """Compare the feasible candidates of a formulation; returns counts, and the expected optimism of the best."""
    feasible = [row for row in rows if row["feasible"]]
    missed = {text: min(row["constraints"][text] for row in rows) for text in config.constraints}
    found: Row = {"formulation": formulation, "trials": len(rows), "feasible": len(feasible), "missed": missed}
    if not feasible:
        return found
    root, group = Path(config.experiment.folder), folders.run_group(config.experiment.folder, config.name)
    scores = {row["run_id"]: scores_of(group / row["run_id"], root) for row in feasible}
    seed = config.experiment.seed
    metric = comparable(objectives.quality(config), [degraded_of(group / row["run_id"]) for row in feasible])
    ties = tie_set(scores, metric, alpha=config.alpha, seed=seed)
    for row in feasible:
        row |= asdict(ties.compared[row["run_id"]])
    best = min((row for row in feasible if row["within"]), key=lambda row: order(config, row))
    best["chosen"] = True
    return found | {"metric": metric, "within": ties.within, "optimism": ties.optimism, "clusters": ties.clusters}


def _row(config: SweepConfig, system: System) -> Row:
    """A candidate before it is compared."""
    folder = folder_of(system, config.name, "dev")
    record = read_run(folder)
    values = dict(zip(config.objectives, objectives.values_of(config, folder), strict=True))
    excesses = dict(zip(config.constraints, objectives.constraints_of(config, folder), strict=True))
    return {
        "run_id": folder.name,
        "label": system.label,
        "formulation": system.config.formulation,
        "mean": values[objectives.quality(config)],
        "values": values,
        "constraints": excesses,
        "feasible": all(excess <= 0 for excess in excesses.values()),
        "pareto": False,
        "difference": None,
        "p": None,
        "within": False,
        **record["work"],
        "seconds_per_query": record["timings"]["seconds_per_query"],
        "chosen": False,
    }


def _mark_front(config: SweepConfig, rows: Sequence[Row]) -> None:
    """Set `pareto` of the feasible candidates on the front over all objectives."""
    feasible = [row for row in rows if row["feasible"]]
    values = [list(row["values"].values()) for row in feasible]
    for row, is_on in zip(feasible, objectives.pareto(values, objectives.directions(config)), strict=True):
        row["pareto"] = is_on


def _file(config: SweepConfig) -> Path:
    return folders.run_group(config.experiment.folder, config.name) / SELECTION
