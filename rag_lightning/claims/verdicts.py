"""Scores of the compared systems -> verdict of a claim; without a significant difference it is null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from rag_lightning.claims.claims import Claim, Comparison
from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import parse_metric
from rag_lightning.metrics.paired import Pair, SeedAverage, Verdict, average_seeds, compare_pairs
from rag_lightning.metrics.statistics import Floats, bootstrap_interval
from rag_lightning.metrics.summary import align

Word = Literal["supported", "not supported", "null", "cannot run here"]
Arm = tuple[str, str, int]
"""A compared system: task, system, k (0 for that of the experiment)."""
Scores = Mapping[Arm, Mapping[int, Sequence[Score]]]
"""Arm -> seed -> scores, on the same examples in every seed."""
SEED = 0
"""Seed of the sign flips and the resampling."""


@dataclass(frozen=True)
class Tested:
    """One comparison of a claim, in the metric's unit.

    `spreads` are the standard deviations of the seeds' means (None with one seed); `smallest` is the difference that
    the test detects with power 0.8; `aims` has one text per declared aim: met or not met.
    """

    task: str
    metric: str
    unit: str
    system: str
    baseline: str
    n: int
    seeds: int
    mean: float
    baseline_mean: float
    spreads: tuple[float | None, float | None]
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    smallest: float | None
    verdict: Word
    aims: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """One point of a curve, in the metric's unit, averaged over seeds."""

    task: str
    metric: str
    unit: str
    system: str
    k: int
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Outcome:
    """The outcome of a claim on a split."""

    verdict: Word
    why: str
    tested: tuple[Tested, ...] = ()
    points: tuple[Point, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The outcome as plain values."""
        return asdict(self)


def judge(claim: Claim, scores: Scores) -> Outcome:
    """The outcome of a claim from the scores of its systems.

    Raises:
        DataError: two systems or two seeds have scores of different examples.
    """
    pairs: list[Pair] = []
    about: list[tuple[Comparison, Arm, Arm, SeedAverage, SeedAverage]] = []
    for part in claim.comparisons:
        for left, right in part.arms():
            arms: tuple[Arm, Arm] = ((part.task, *left), (part.task, *right))
            first, second, entities = _averaged(part.metric, arms, scores)
            names = (label(arms[0]), label(arms[1]))
            pairs.append(Pair(*names, first.values, second.values, entities))
            about.append((part, *arms, first, second))
    verdicts = compare_pairs(pairs, alpha=claim.alpha, seed=SEED)
    tested = tuple(_tested(*given, pair, v) for given, pair, v in zip(about, pairs, verdicts, strict=True))
    return Outcome(*overall([one.verdict for one in tested]), tested, _points(claim, scores))


def overall(words: Sequence[Word]) -> tuple[Word, str]:
    """The verdict (supported if all comparisons are, null if all are, else not supported) and the counts.

    >>> overall(["supported", "null"])
    ('not supported', '1 of 2 comparisons supported, 1 null, 0 against')
    """
    supported, null = words.count("supported"), words.count("null")
    against = len(words) - supported - null
    why = f"{supported} of {len(words)} comparisons supported, {null} null, {against} against"
    if supported == len(words):
        return "supported", why
    return ("null" if null == len(words) else "not supported"), why


def label(arm: Arm) -> str:
    """The label of a compared system in tables."""
    task, system, k = arm
    return f"{task}_{system}" + (f", k={k}" if k else "")


def _averaged(metric: str, arms: tuple[Arm, Arm], scores: Scores) -> tuple[SeedAverage, SeedAverage, list[str]]:
    """Values of both systems averaged over seeds, and the entities of the examples."""
    listed = {f"{label(arm)}, seed {seed}": found for arm in arms for seed, found in scores[arm].items()}
    arrays, entities = align(listed, metric)
    first, second = (
        average_seeds({seed: arrays[f"{label(arm)}, seed {seed}"] for seed in scores[arm]}) for arm in arms
    )
    return first, second, entities


def _tested(
    part: Comparison, left: Arm, right: Arm, first: SeedAverage, second: SeedAverage, pair: Pair, found: Verdict
) -> Tested:
    metric = parse_metric(part.metric)
    values: Floats = (first.values - second.values) * metric.scale
    low, high = bootstrap_interval(values, pair.clusters, seed=SEED)
    sign = 1 if part.direction == "higher" else -1
    word: Word = "null"
    if found.significant:
        word = "supported" if sign * found.difference > 0 else "not supported"
    difference, mean = found.difference * metric.scale, float(np.mean(first.values)) * metric.scale
    return Tested(
        part.task,
        part.metric,
        metric.unit,
        label(left),
        label(right),
        len(values),
        len(first.means),
        mean,
        float(np.mean(second.values)) * metric.scale,
        (_scaled(first.spread, metric.scale), _scaled(second.spread, metric.scale)),
        difference,
        low,
        high,
        found.p,
        found.p_holm,
        _scaled(found.smallest, metric.scale),
        word,
        _aims(part, sign * difference, mean, sign),
    )


def _aims(part: Comparison, gain: float, mean: float, sign: int) -> tuple[str, ...]:
    found = []
    if part.aim:
        found.append(f"difference {part.aim:g} {'met' if gain >= part.aim else 'not met'}")
    if part.reach:
        found.append(f"value {part.reach:g} {'met' if sign * mean >= sign * part.reach else 'not met'}")
    return tuple(found)


def _points(claim: Claim, scores: Scores) -> tuple[Point, ...]:
    points = []
    for curve in claim.curves:
        metric = parse_metric(curve.metric)
        for system in curve.systems:
            for k in curve.k:
                arm = (curve.task, system, k)
                average, _, entities = _averaged(curve.metric, (arm, arm), scores)
                values = average.values * metric.scale
                low, high = bootstrap_interval(values, entities, seed=SEED)
                mean = float(values.mean())
                points.append(Point(curve.task, curve.metric, metric.unit, label(arm), k, mean, low, high, len(values)))
    return tuple(points)


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
