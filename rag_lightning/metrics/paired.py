"""Two systems on the same questions, beside the permutation test of statistics.py.

Sources: McNemar 1947, exact form (binomial over the discordant pairs); the smallest detectable difference from the
usual normal approximation of a paired test (e.g. Card et al. 2020, "With Little Power Comes Great Responsibility").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from rag_lightning.metrics.statistics import Floats, checked_pair, cluster_sums

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class McNemar:
    """Questions only the left system has right, only the right one, and the two-sided p of equal accuracies."""

    left_only: int
    right_only: int
    p: float


@dataclass(frozen=True, slots=True)
class SeedAverage:
    """Values averaged over seeds, per question; `spread` is the standard deviation of the seeds' means."""

    values: Floats
    means: Mapping[int, float]
    spread: float | None


def mcnemar(left: Sequence[float] | Floats, right: Sequence[float] | Floats) -> McNemar:
    """The exact test of two accuracies; questions count singly, clusters are not looked at.

    Args:
        left: [n] 0 or 1 of one system.
        right: [n] 0 or 1 of the other on the same examples, in the same order.

    Raises:
        ValueError: no values, different lengths, or a value that is neither 0 nor 1.
    """
    first, second = checked_pair(left, right)
    if not is_binary(first) or not is_binary(second):
        raise ValueError("McNemar's test is for values of 0 and 1; use paired_permutation for others")
    left_only, right_only = int(((first - second) > 0).sum()), int(((second - first) > 0).sum())
    discordant, fewer = left_only + right_only, min(left_only, right_only)
    # whole numbers: exact however many questions there are
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1))
    return McNemar(left_only, right_only, min(1.0, 2 * tail / 2**discordant))


def smallest_difference(
    left: Sequence[float] | Floats,
    right: Sequence[float] | Floats,
    clusters: Sequence[str] | None = None,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float | None:
    """The true mean difference that a test of these questions would find with the given power.

    From the spread of the observed paired differences, clusters taken whole; None where there is no spread (equal
    systems) or one cluster, as the data then cannot tell.

    Raises:
        ValueError: values that cannot be compared, or alpha or power outside 0 to 1.
    """
    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha {alpha} and power {power} must be between 0 and 1")
    first, second = checked_pair(left, right)
    sums, counts = cluster_sums(first - second, clusters)
    if len(sums) < 2:
        return None
    away = sums - counts * (sums.sum() / counts.sum())
    error = math.sqrt(float((away**2).sum()) * len(sums) / (len(sums) - 1)) / float(counts.sum())
    return error * (_NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)) if error > 0 else None


def average_seeds(by_seed: Mapping[int, Sequence[float] | Floats]) -> SeedAverage:
    """One value per question from several trainings, so that a test counts questions and not trainings.

    Args:
        by_seed: Seed -> [n] values on the same examples, in the same order.

    Raises:
        ValueError: no seeds, or values that cannot be compared.
    """
    if not by_seed:
        raise ValueError("no seeds to average")
    first = next(iter(by_seed.values()))
    rows = np.array([checked_pair(values, first)[0] for values in by_seed.values()])
    means = {seed: float(row.mean()) for seed, row in zip(by_seed, rows, strict=True)}
    spread = float(np.std(list(means.values()), ddof=1)) if len(means) > 1 else None
    return SeedAverage(rows.mean(axis=0), means, spread)


def is_binary(values: Floats) -> bool:
    """Only 0 and 1, as accuracies of single runs are."""
    return bool(np.isin(values, (0.0, 1.0)).all())
