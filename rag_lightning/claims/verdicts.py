"""Scores of the compared systems -> verdict of a claim; without a significant difference it is null."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from rag_lightning.claims.claims import Claim, Comparison
from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import comparable, parse_metric
from rag_lightning.metrics.over_seeds import mean_over_seeds
from rag_lightning.metrics.paired import Pair, SeedAverage, Test, Verdict, average_seeds, compare_pairs
from rag_lightning.metrics.statistics import bootstrap_interval, effective_clusters
from rag_lightning.metrics.summary import align

Word = Literal["supported", "mixed", "not supported", "null", "cannot run here"]
Arm = tuple[str, str, int]
"""A compared system: task, system, k (0 for that of the experiment)."""
Scores = Mapping[Arm, Mapping[int, Sequence[Score]]]
"""Arm -> seed -> scores, on the same examples in every seed."""
Degraded = Mapping[Arm, Collection[str]]
"""Arm -> the metrics whose values are degraded in one of its seeds."""
SEED = 0
"""Seed of the sign flips and the resampling."""


@dataclass(frozen=True)
class Tested:
    """One comparison of a claim, in the metric's unit.

    `note` says why another metric than the claim's compares the two, or that values are degraded; `test` gave p, with
    `freedom` degrees of freedom (None for sign flips); `clusters` is the effective number of clusters; `spreads` are
    the standard deviations of the seeds' means (None with one seed); `smallest` is the difference that the test detects
    with power 0.8; `aims` has one text per declared aim: met or not met.
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
    clusters: float
    test: Test
    freedom: float | None
    p: float
    p_holm: float
    smallest: float | None
    verdict: Word
    aims: tuple[str, ...]
    note: str


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
    clusters: float
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


def judge(claim: Claim, scores: Scores, degraded: Degraded | None = None) -> Outcome:
    """The outcome of a claim from the scores of its systems.

    Where the values of a metric are degraded for one of two systems, both are compared by its metric `alike`.

    Raises:
        DataError: two systems or two seeds have scores of different examples.
    """
    pairs: list[Pair] = []
    about: list[_About] = []
    for part in claim.comparisons:
        for left, right in part.arms():
            arms: tuple[Arm, Arm] = ((part.task, *left), (part.task, *right))
            metric, note = _compared_by(part.metric, arms, degraded or {})
            first, second, entities = _averaged(metric, arms, scores)
            names = (label(arms[0]), label(arms[1]))
            pairs.append(Pair(*names, first.by_seed, second.by_seed, entities))
            about.append(_About(part, arms, metric, note, first, second, entities))
    flips = claim.test == "paired_permutation"
    verdicts = compare_pairs(pairs, alpha=claim.alpha, seed=SEED, flip_signs=flips)
    tested = tuple(_tested(given, v) for given, v in zip(about, verdicts, strict=True))
    verdict, why = overall([one.verdict for one in tested])
    notes = dict.fromkeys(one.note for one in tested if one.note)
    return Outcome(verdict, "; ".join([why, *notes]), tested, _points(claim, scores))


def _compared_by(metric: str, arms: tuple[Arm, Arm], degraded: Degraded) -> tuple[str, str]:
    """The metric that compares two systems, and a note unless that is the claim's without reservations."""
    named = [label(arm) for arm in dict.fromkeys(arms) if metric in degraded.get(arm, ())]
    if not named:
        return metric, ""
    by, about = (
        comparable(metric, [degraded.get(arm, ()) for arm in arms]),
        f"{metric} of {' and '.join(named)} is degraded",
    )
    return (
        by,
        f"{about}, so {by} compares both sides" if by != metric else f"{about}, and no other metric compares them",
    )


def overall(words: Sequence[Word]) -> tuple[Word, str]:
    """The verdict (supported if all comparisons are, mixed if some are, else null if all are) and the counts.

    >>> overall(["supported", "null"])
    ('mixed', '1 of 2 comparisons supported, 1 null, 0 against')
    """
    supported, null = words.count("supported"), words.count("null")
    against = len(words) - supported - null
    why = f"{supported} of {len(words)} comparisons supported, {null} null, {against} against"
    if supported:
        return ("supported" if supported == len(words) else "mixed"), why
    return ("null" if null == len(words) else "not supported"), why


def label(arm: Arm) -> str:
    """The label of a compared system in tables."""
    task, system, k = arm
    return f"{task}_{system}" + (f", k={k}" if k else "")


@dataclass(frozen=True)
class _About:
    """A comparison with its values, before it is tested."""

    part: Comparison
    arms: tuple[Arm, Arm]
    metric: str
    note: str
    first: SeedAverage
    second: SeedAverage
    entities: list[str]


def _averaged(metric: str, arms: tuple[Arm, Arm], scores: Scores) -> tuple[SeedAverage, SeedAverage, list[str]]:
    """Values of both systems averaged over seeds, and the entities of the examples."""
    listed = {f"{label(arm)}, seed {seed}": found for arm in arms for seed, found in scores[arm].items()}
    arrays, entities = align(listed, metric)
    first, second = (
        average_seeds({seed: arrays[f"{label(arm)}, seed {seed}"] for seed in scores[arm]}) for arm in arms
    )
    return first, second, entities


def _tested(about: _About, found: Verdict) -> Tested:
    metric, part, first, second = parse_metric(about.metric), about.part, about.first, about.second
    sign = 1 if part.direction == "higher" else -1
    word: Word = "null"
    if found.significant:
        word = "supported" if sign * found.difference > 0 else "not supported"
    difference, mean = found.difference * metric.scale, float(np.mean(first.values)) * metric.scale
    return Tested(
        task=part.task,
        metric=about.metric,
        unit=metric.unit,
        system=found.system,
        baseline=found.baseline,
        n=len(first.values),
        seeds=len(first.means),
        mean=mean,
        baseline_mean=float(np.mean(second.values)) * metric.scale,
        spreads=(_scaled(first.spread, metric.scale), _scaled(second.spread, metric.scale)),
        difference=difference,
        low=found.low * metric.scale,
        high=found.high * metric.scale,
        clusters=effective_clusters(about.entities),
        test=found.test,
        freedom=found.freedom,
        p=found.p,
        p_holm=found.p_holm,
        smallest=_scaled(found.smallest, metric.scale),
        verdict=word,
        aims=_aims(part, sign * difference, mean, sign),
        note=about.note,
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
                low, high = _interval(average, entities)
                bounds = (low * metric.scale, high * metric.scale, effective_clusters(entities))
                mean, n = float(average.values.mean()) * metric.scale, len(average.values)
                points.append(Point(curve.task, curve.metric, metric.unit, label(arm), k, mean, *bounds, n))
    return tuple(points)


def _interval(average: SeedAverage, entities: Sequence[str]) -> tuple[float, float]:
    """The interval of a mean: with several seeds it holds the variance of training."""
    if len(average.by_seed) < 2:
        return bootstrap_interval(average.values, entities, seed=SEED)
    over = mean_over_seeds(average.by_seed, entities, seed=SEED)
    return over.low, over.high


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
