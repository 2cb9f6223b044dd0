"""The numbers that a bundle states, computed from what it holds by the code that scored the runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rag_lightning.bundle.material import Material
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import comparable
from rag_lightning.metrics.summary import scored, tools
from rag_lightning.report.answer import difference
from rag_lightning.report.collect import Run

NEAR = 1e-9
"""Relative difference up to which two computed numbers are the same: sums may run in another order elsewhere."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that a bundle states, and what it should be.

    Args:
        where: File and field.
        stated: The value in the bundle; None where it is missing.
        found: The computed value; None where there should be none.
    """

    where: str
    stated: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.where}: the bundle says {_shown(self.stated)}, computed {_shown(self.found)}"


def _shown(value: Any) -> str:
    text = "nothing" if value is None else ascii(value)
    return text if len(text) <= 80 else text[:79] + "…"


def compare(where: str, stated: Any, found: Any) -> Iterator[Difference]:
    """The values that differ between two plain values; numbers up to NEAR."""
    if isinstance(stated, Mapping) and isinstance(found, Mapping):
        for name in dict.fromkeys([*stated, *found]):
            yield from compare(f"{where}.{name}", stated.get(name), found.get(name))
    elif isinstance(stated, (list, tuple)) and isinstance(found, (list, tuple)) and len(stated) == len(found):
        for place, (left, right) in enumerate(zip(stated, found, strict=True)):
            yield from compare(f"{where}[{place}]", left, right)
    elif _is_number(stated) and _is_number(found):
        if not math.isclose(stated, found, rel_tol=NEAR, abs_tol=NEAR):
            yield Difference(where, stated, found)
    elif type(stated) is not type(found) or stated != found:
        yield Difference(where, stated, found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def count(value: Any) -> int:
    """How many numbers stand in a plain value."""
    if isinstance(value, Mapping):
        return sum(map(count, value.values()))
    return sum(map(count, value)) if isinstance(value, (list, tuple)) else int(_is_number(value))


def amount(number: int, what: str) -> str:
    """A number of things in words.

    >>> amount(1, "run"), amount(2000, "run")
    ('1 run', '2,000 runs')
    """
    return f"{number:,} {what}{'s' if number != 1 else ''}"


@dataclass(frozen=True)
class Computed:
    """What follows from the material of a run.

    Args:
        scores: Scores per example.
        summary: The content of summary.json.
        left_out: Metrics that another tool or version of it computed, with both; they are not in the others.
    """

    scores: list[Score]
    summary: dict[str, Any]
    left_out: Mapping[str, str]


def computed(material: Material) -> Computed:
    """Score the predictions and rankings of a run again.

    Raises:
        DataError: they cannot be scored.
        ArtifactError: something is missing.
    """
    names, made_with = material.metrics, material.made_with
    seed, task = int(material.setting("seed", int)), material.task
    try:
        here = tools(names)
        changed = {
            name: f"made with {made_with.get(name)!a}, here is {here.get(name)!a}"
            for name in names
            if made_with.get(name) != here.get(name)
        }
        kept = [name for name in names if name not in changed]
        scores, summary = scored(material.outcomes(), kept, task.labels, seed=seed)
    except ValueError as error:
        raise DataError(material.scores.path, f"cannot be scored: {error}") from error
    return Computed(scores, plain(summary), changed)


def plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))


def comparisons(runs: Sequence[Run], scores: Mapping[str, Sequence[Score]], objective: str) -> list[dict[str, Any]]:
    """Each chosen system of a sweep against each baseline on test: paired difference, interval and p.

    Args:
        runs: The runs of the sweep.
        scores: Run id -> scores.
        objective: Metric that selects.

    Raises:
        DataError: two runs were scored on different examples.
    """
    on_test = sorted((run for run in runs if run.split == "test" and run.finished), key=lambda run: run.run_id)
    found = []
    for system in (run for run in on_test if run.role == "final"):
        for baseline in (run for run in on_test if run.role == "baseline"):
            metric = comparable(objective, (system.degraded, baseline.degraded))
            seed = int(system.record.get("seed", 0))
            estimate, p = difference(scores[system.run_id], scores[baseline.run_id], metric, seed)
            names = {"system": system.run_id, "baseline": baseline.run_id, "metric": metric}
            found.append(plain({**names, "difference": asdict(estimate), "p": p}))
    return found
