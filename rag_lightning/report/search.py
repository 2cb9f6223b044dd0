"""The search of a sweep for its report: objectives, Pareto front, tie sets, importances, and evaluations of test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.core.files import read_sealed
from rag_lightning.metrics.metric import parse_metric
from rag_lightning.report.reading import need
from rag_lightning.report.tables import Cell, Column, Row, Table, number
from rag_lightning.runs import ledger

SHOWN = {
    "seconds_per_query": ("s/query", 1.0, 3),
    "index_bytes": ("index MB", 1e-6, 1),
    "build_seconds": ("build s", 1.0, 1),
    "peak_memory": ("peak memory MB", 1e-6, 0),
}
"""Objective -> head of its column, factor, digits; metrics are shown under their own names."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: its value of each objective, and what the selection made of it."""

    label: str
    formulation: str
    values: Mapping[str, float]
    feasible: bool
    on_front: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class Search:
    """The outcome of a search; empty before the selection.

    Attributes:
        objectives: Name -> maximize or minimize.
        objective: The metric that selects.
        constraints: Conditions of the selection, as written.
        tried: The trials, in order.
        ties: A sentence per formulation on its tie set and the expected optimism of its best.
        importances: Objective -> field -> share of the variance.
        left_out: Fields that do not stand in every trial, so that they have no importance.
        tests: Labels of the evaluations on test that the ledger has, one for each.
    """

    objectives: Mapping[str, str]
    objective: str
    constraints: tuple[str, ...]
    tried: tuple[Tried, ...]
    ties: tuple[str, ...]
    importances: Mapping[str, Mapping[str, float]]
    left_out: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def others(self) -> list[str]:
        """The objectives beside the one that selects."""
        return [name for name in self.objectives if name != self.objective]


def read_search(sweep_dir: Path, name: str) -> Search:
    """Read selection.json and importances.json of a sweep, and its lines of the ledger.

    Raises:
        DataError: a damaged file.
    """
    path = sweep_dir / "selection.json"
    raw = read_sealed(path) if path.exists() else {}
    objective = str(raw.get("objective", ""))
    objectives = need(path, {"objectives": {}} | raw, "objectives", dict)
    if objectives:
        need(path, objectives, objective, str, "objectives")
    listed = need(path, raw, "candidates", list) if objectives else []
    groups = need(path, {"formulations": []} | raw, "formulations", list)
    importances = _importances(sweep_dir / "importances.json")
    return Search(
        objectives={str(key): str(value) for key, value in objectives.items()},
        objective=objective,
        constraints=tuple(map(str, need(path, {"constraints": []} | raw, "constraints", list))),
        tried=tuple(_tried(path, one, list(objectives)) for one in listed),
        ties=tuple(_tie(path, one, objective) for one in groups if isinstance(one, dict) and one.get("feasible")),
        importances=importances.get("objectives", {}),
        left_out=tuple(map(str, importances.get("left_out", ()))),
        tests=tuple(line["label"] for line in ledger.read(sweep_dir.parent.parent) if line["sweep"] == name),
    )


def front_table(search: Search, dataset: str) -> Table:
    """The trials on the Pareto front, best first, and the chosen ones; no rows for a single objective."""
    heads = [SHOWN.get(name, (name,))[0] for name in search.objectives]
    columns = [Column("system", numeric=False), *(Column(head, bar=head == search.objective) for head in heads)]
    columns += [Column("on the front", numeric=False), Column("chosen", numeric=False)]
    sign = -1.0 if search.objectives.get(search.objective) == "maximize" else 1.0
    rows = []
    for one in sorted(search.tried, key=lambda one: (sign * one.values[search.objective], one.label)):
        if one.on_front or one.chosen:
            cells = [_value(name, one.values[name]) for name in search.objectives]
            marks = [Cell("yes" if holds else "") for holds in (one.on_front, one.chosen)]
            rows.append(Row((Cell(one.label), *cells, *marks), strong=one.chosen))
    feasible = sum(one.feasible for one in search.tried)
    count = sum(one.on_front for one in search.tried)
    notes = [
        f"On the front: {count} of {feasible} trials; no other is at least as good everywhere and better somewhere."
    ]
    if search.constraints:
        notes.append(f"{feasible} of {len(search.tried)} trials meet {' and '.join(search.constraints)}.")
    if "seconds_per_query" in search.objectives:
        notes.append("s/query is measured on a few questions: small differences are noise.")
    wanted = rows if len(search.objectives) > 1 else []
    return Table(f"Pareto front on {dataset} dev", tuple(columns), tuple(wanted), tuple(notes), "pareto")


def importances_table(search: Search, dataset: str) -> Table:
    """Share of each field in the variance of each objective over the trials."""
    names = [name for name, shares in search.importances.items() if shares]
    fields = sorted(
        {field for name in names for field in search.importances[name]},
        key=lambda field: (-search.importances[names[0]].get(field, 0.0), field),
    )
    columns = [Column("field", numeric=False), *(Column(SHOWN.get(name, (name,))[0], bar=True) for name in names)]
    rows = [
        Row((Cell(field), *(number(100 * search.importances[name].get(field, 0.0)) for name in names)))
        for field in fields
    ]
    notes = ["Share of the variance over the trials that a field alone explains (fANOVA), %; with few trials, a guess."]
    if search.left_out:
        notes.append(f"Not in every trial, so without a share: {', '.join(search.left_out)}.")
    title = f"What matters on {dataset} dev: importance of the searched fields"
    return Table(title, tuple(columns), tuple(rows), tuple(notes), "importances")


def ledger_fact(search: Search) -> dict[str, str]:
    """A fact for the head of the page: how often the sweep evaluated test; empty if the ledger has nothing of it."""
    if not search.tests:
        return {}
    return {"evaluations on test": f"{len(search.tests)} ({len(set(search.tests))} systems)"}


def _value(name: str, value: float) -> Cell:
    _, factor, digits = SHOWN.get(name, (name, 1.0, 1))
    return number(value * factor, digits)


def _tried(path: Path, raw: Any, names: Sequence[str]) -> Tried:
    values = need(path, raw, "values", dict, "candidates")
    return Tried(
        str(need(path, raw, "label", str, "candidates")),
        str(need(path, raw, "formulation", str, "candidates")),
        {name: float(need(path, values, name, (int, float), "candidates.values")) for name in names},
        bool(raw.get("feasible")),
        bool(raw.get("pareto")),
        bool(raw.get("chosen")),
    )


def _tie(path: Path, raw: Mapping[str, Any], objective: str) -> str:
    """The sentence on one formulation."""
    name = str(need(path, raw, "formulation", str, "formulations"))
    within, feasible = (int(need(path, raw, key, int, "formulations")) for key in ("within", "feasible"))
    optimism = float(need(path, raw, "optimism", (int, float), "formulations"))
    digits = 1 if parse_metric(objective).unit == "%" else 3
    by = str(raw.get("metric", objective))
    too_high = f"{max(optimism, 0.0):.{digits}f} too high, because it is the best of {feasible} (bootstrap)"
    return (
        f"{name}: {within} of {feasible} trials are not significantly worse than the best, corrected for the search "
        f"(the tie set); its dev {by} is expected to be {too_high}."
    )


def _importances(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    raw = read_sealed(path)
    for name, shares in need(path, raw, "objectives", dict).items():
        for field in need(path, raw["objectives"], name, dict, "objectives"):
            need(path, shares, field, (int, float), f"objectives.{name}")
    need(path, raw, "left_out", list)
    return raw
