"""How time grows with the number of vectors: y = a N^b, fitted to generated vectors of several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

WIKIPEDIA = 21_015_324
"""Passages of the paper's index."""
LAWS: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "build, core hours": lambda found: float(found["build_cpu_seconds"]) / 3600,
    "query, ms of a core": lambda found: 1e3 / float(found["queries_per_cpu_second"]),
}
"""What is extrapolated -> its value in a measure. Recall never is, and bytes are computed.

Seconds of CPU depend far less on other work of the machine than seconds of a clock.
"""
TELLING = 100.0
"""Ratio of the bounds of an interval above which a law tells nothing."""
LEAST = 3
"""Sizes that a law needs for an interval."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Law:
    """A fitted law with its value at a size.

    Args:
        exponent: b.
        value: Prediction at the size.
        low: Lower bound of its 95 % prediction interval.
        high: Upper bound.
    """

    exponent: float
    value: float
    low: float
    high: float


def fit(counts: Sequence[int], values: Sequence[float], at: int = WIKIPEDIA) -> Law | None:
    """The law of values by counts, None with fewer than three sizes or a value that is not positive.

    The interval is that of a new observation in a linear regression of logarithms (Student's t, n - 2 degrees).
    """
    if len(set(counts)) < LEAST or min(values) <= 0:
        return None
    x, y = np.log(np.array(counts, float)), np.log(np.array(values, float))
    line = stats.linregress(x, y)
    rest = y - line.intercept - line.slope * x
    degrees = len(x) - 2
    spread = math.sqrt(float(rest @ rest) / degrees)
    place = math.log(at) - float(x.mean())
    error = spread * math.sqrt(1 + 1 / len(x) + place**2 / float(((x - x.mean()) ** 2).sum()))
    middle = float(line.intercept + line.slope * math.log(at))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * error
    return Law(float(line.slope), math.exp(middle), math.exp(middle - reach), math.exp(min(middle + reach, 700.0)))


def laws_of(measures: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Law]]:
    """Label of an index -> name of a measure -> its law, over generated vectors."""
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for one in measures:
        if one["source"] == "generated" and "problem" not in one:
            by_label.setdefault(str(one["label"]), []).append(one)
    found: dict[str, dict[str, Law]] = {}
    for label, rows in by_label.items():
        counts = [int(row["count"]) for row in rows]
        fitted = {name: fit(counts, [value(row) for row in rows]) for name, value in LAWS.items()}
        kept = {name: law for name, law in fitted.items() if law is not None}
        if kept:
            found[label] = kept
    return found
