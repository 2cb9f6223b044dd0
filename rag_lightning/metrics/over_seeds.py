"""Means over several trainings, with the variance of training in interval and test.

Scores of S trainings (seeds) on the same questions: variance of the mean = variance of the seeds' means / S + variance
over clusters of questions of the scores averaged over seeds (bootstrap). What is random for a single question of a
single training is in both parts, so that the interval is a little too wide rather than too narrow. Interval and p are
those of a t distribution with Satterthwaite's degrees of freedom (Satterthwaite 1946): near S - 1 where the trainings
differ most, near the number of clusters where the questions do. Resampling three seeds would give neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag_lightning.core.registry import LazyModule
from rag_lightning.metrics.statistics import (
    Floats,
    bootstrap_means,
    check_pair,
    cluster_sums,
    paired_permutation,
)

special: Any = LazyModule("scipy.special")


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A mean over seeds and questions.

    Args:
        mean: The mean, in the unit of the values.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p: Two-sided p that the true mean is 0.
        freedom: Degrees of freedom of the t distribution; None where nothing varies.
        error: Standard error of the mean.
    """

    mean: float
    low: float
    high: float
    p: float
    freedom: float | None
    error: float

    def smallest(self, alpha: float, power: float = 0.8) -> float | None:
        """The true mean that a test of this many seeds and questions finds with the given power; None without error."""
        if self.freedom is None:
            return None
        return self.error * float(special.stdtrit(self.freedom, 1 - alpha / 2) + special.stdtrit(self.freedom, power))


def mean_over_seeds(
    rows: Sequence[Sequence[float] | Floats] | Floats,
    clusters: Sequence[str] | None = None,
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> OverSeeds:
    """The mean of the values of several trainings, or of their differences to a baseline.

    Where nothing varies the interval is the mean itself, and p is that of sign flips of clusters.

    Args:
        rows: [S, n] values of each seed, on the same examples in the same order; S is at least 2.
        clusters: [n] entity of each example, "" for none.
        seed: Seed of the resampling of clusters.
        resamples: Bootstrap samples.
        confidence: Coverage of the interval.

    Raises:
        ValueError: fewer than two seeds, or values that cannot be compared.
    """
    if len(rows) < 2:
        raise ValueError("the variance of training needs at least two seeds")
    values = np.stack([check_pair(row, rows[0])[0] for row in rows])
    averaged = values.mean(axis=0)
    mean = float(averaged.mean())
    of_training = float(values.mean(axis=1).var(ddof=1)) / len(values)
    of_questions, weight = _variance_over_clusters(averaged, clusters, resamples, seed)
    variance = of_training + of_questions
    if variance <= 1e-18:
        p = paired_permutation(averaged, np.zeros_like(averaged), clusters, seed=seed)[1]
        return OverSeeds(mean, mean, mean, p, None, 0.0)
    parts = of_training**2 / (len(values) - 1) + (of_questions**2 / (weight - 1) if of_questions else 0.0)
    freedom, error = variance**2 / parts, math.sqrt(variance)
    half = float(special.stdtrit(freedom, (1 + confidence) / 2)) * error
    p = 2 * float(special.stdtr(freedom, -abs(mean) / error))
    return OverSeeds(mean, mean - half, mean + half, p, freedom, error)


def _variance_over_clusters(
    averaged: Floats, clusters: Sequence[str] | None, resamples: int, seed: int
) -> tuple[float, float]:
    """Bootstrap variance of the mean over clusters, and the effective number of clusters."""
    sums, counts = cluster_sums(averaged, clusters)
    effective = float(counts.sum() ** 2 / (counts**2).sum())
    if len(sums) == 1 or np.ptp(averaged) == 0:
        return 0.0, effective
    return float(bootstrap_means(sums, counts, resamples, seed).var(ddof=1)), effective
