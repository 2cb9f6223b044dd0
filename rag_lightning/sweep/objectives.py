"""Objectives and constraints of a sweep: their names, directions, and values in finished runs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.registries import METRICS
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.registry import check_name
from rag_lightning.metrics import outcomes
from rag_lightning.metrics.metric import parse_metric
from rag_lightning.runs.record import RUN, SUMMARY, read_run, read_summary
from rag_lightning.runs.system import CLOSED_BOOK, System
from rag_lightning.stages.score import metric_names
from rag_lightning.tasks.spec import get_task

MEASURES = {
    "seconds_per_query": "timings",
    "index_bytes": "work",
    "build_seconds": "timings",
    "peak_memory": "timings",
}
"""Objectives other than metrics, all minimised -> the part of run.json that holds them."""
Direction = Literal["maximize", "minimize"]
_CONSTRAINT = re.compile(r"\s*(\S+?)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Constraint:
    """A bound of one value of a run.

    Args:
        name: Name of a metric or measure.
        at_most: Whether the bound is the largest value, else the smallest.
        bound: The bound.
    """

    name: str
    at_most: bool
    bound: float

    def excess(self, value: float) -> float:
        """The amount by which a value misses the bound; 0 or less if it meets it."""
        return value - self.bound if self.at_most else self.bound - value

    def __str__(self) -> str:
        return f"{self.name} {'<=' if self.at_most else '>='} {self.bound:g}"


def check(config: SweepConfig) -> None:
    """Raise ConfigError or UnknownNameError for objectives or constraints that cannot be used in any system."""
    names = config.objectives
    if len(set(names)) < len(names):
        raise ConfigError(f"objectives names one twice: {', '.join(names)}")
    metrics = [name for name in names if name not in MEASURES]
    task, own = get_task(config.experiment.task.name), _selecting(config.experiment)
    if not metrics:
        raise ConfigError(f"objectives={list(names)}: must have a metric, which selects systems; add {own[0]}")
    for name in metrics[1:]:
        _check_metric("objective", name)
    check_name(f"objective of {task.name}", metrics[0], [*own, *MEASURES])
    for one in constraints(config):
        if one.name not in MEASURES:
            _check_metric("name in constraints", one.name)


def check_system(config: SweepConfig, system: System) -> None:
    """Raise UnknownNameError if a system has no value of an objective or a constraint."""
    found = system.config
    task, k = get_task(found.task.name), 0 if found.formulation == CLOSED_BOOK else found.decoding.k
    check_name(f"objective of {task.name}", quality(config), [*_selecting(found), *MEASURES])
    known = [*metric_names(task, True, k, found.corpus.language), *MEASURES]
    for name in (*config.objectives, *(one.name for one in constraints(config))):
        check_name(f"value of {system.label}", name, known)


def _selecting(config: ExperimentConfig) -> list[str]:
    """The metrics by which systems can be selected: those of the task, then those for languages without spaces."""
    task = get_task(config.task.name)
    more = [name for name in metric_names(task, True, 0, config.corpus.language) if parse_metric(name).unspaced]
    return [*(metric.name for metric in outcomes.objectives(task)), *more]


def quality(config: SweepConfig) -> str:
    """The first metric of the objectives, which selects the systems for test."""
    return next(name for name in config.objectives if name not in MEASURES)


def directions(config: SweepConfig) -> list[Direction]:
    """maximize or minimize of each objective, as Optuna names them."""
    return [_direction(name) for name in config.objectives]


def constraints(config: SweepConfig) -> list[Constraint]:
    """The constraints, read strictly.

    Raises:
        ConfigError: one that is not `name <= number` or `name >= number`, or that no value can meet.
    """
    return [_constraint(text) for text in config.constraints]


def values_of(config: SweepConfig, folder: Path) -> list[float]:
    """The value of each objective in the folder of a finished run.

    Raises:
        DataError: the run has no such value.
    """
    return _values(folder, config.objectives)


def constraints_of(config: SweepConfig, folder: Path) -> list[float]:
    """By how much a finished run misses each constraint; 0 or less if it meets it.

    Raises:
        DataError: the run has no such value.
    """
    found = constraints(config)
    values = _values(folder, [one.name for one in found])
    return [one.excess(value) for one, value in zip(found, values, strict=True)]


def pareto(values: Sequence[Sequence[float]], signs: Sequence[str]) -> list[bool]:
    """Whether each row is on the Pareto front: no other is at least as good everywhere and better somewhere.

    >>> pareto([[50.0, 1.0], [40.0, 2.0], [40.0, 0.5]], ["maximize", "minimize"])
    [True, False, True]
    """
    rows = [[-v if sign == "maximize" else v for v, sign in zip(row, signs, strict=True)] for row in values]
    return [
        not any(other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in rows) for row in rows
    ]


def _check_metric(kind: str, name: str) -> None:
    """Raise UnknownNameError or ConfigError for a name that is neither a metric nor a measure."""
    check_name(kind, name.partition("@")[0], [*METRICS, *MEASURES])
    parse_metric(name)


def _direction(name: str) -> Direction:
    return "minimize" if name in MEASURES or parse_metric(name).direction == "lower" else "maximize"


def _constraint(text: str) -> Constraint:
    found = _CONSTRAINT.fullmatch(text)
    if found is None:
        raise ConfigError(f'constraints: {text!r} must be `name <= number` or `name >= number`: "index_bytes <= 200e6"')
    one = Constraint(found[1], found[2] == "<=", float(found[3]))
    if not math.isfinite(one.bound):
        raise ConfigError(f"constraints: {text!r}: the bound must be a finite number")
    percent = one.name not in MEASURES and one.name.partition("@")[0] in METRICS and parse_metric(one.name).unit == "%"
    if (one.at_most and one.bound < 0) or (percent and not one.at_most and one.bound > 100):
        limits = "0 to 100" if percent else "at least 0"
        raise ConfigError(f"constraints: no trial can meet {text!r}: {one.name} is {limits}; change the bound")
    return one


def _values(folder: Path, names: Sequence[str]) -> list[float]:
    record, metrics = read_run(folder), read_summary(folder).get("metrics", {})
    return [_value(folder, record, metrics, name) for name in names]


def _value(folder: Path, record: dict[str, Any], metrics: dict[str, Any], name: str) -> float:
    if name in MEASURES:
        part, file = record.get(MEASURES[name], {}), RUN
        found = part.get(name)
    else:
        found, file = metrics.get(name, {}).get("mean"), SUMMARY
    if not isinstance(found, int | float):
        raise DataError(folder / file, "has no value", field=name, hint="remove the folder and run again")
    return float(found)
