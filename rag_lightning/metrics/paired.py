"""Two systems on the same questions, beside the permutation test of statistics.py, and families of such comparisons.

One training each: sign flips of whole clusters. Several trainings (seeds): the t test of over_seeds.py, whose variance
holds that of training.

Sources: McNemar 1947, exact form (binomial over the discordant pairs); the smallest detectable difference from the
usual normal approximation of a paired test (e.g. Card et al. 2020, "With Little Power Comes Great Responsibility");
Holm 1979. A permutation p cannot fall below 1 / (permutations + 1), so a large family needs more of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from rag_lightning.metrics.over_seeds import mean_over_seeds
from rag_lightning.metrics.statistics import Floats, bootstrap_interval, check_pair, cluster_sums, paired_permutation

_NORMAL = NormalDist()
PERMUTATIONS = 9_999
LARGE = 60
"""Comparisons up to which PERMUTATIONS are enough."""
Test = Literal["paired_permutation", "t_over_seeds"]
"""Sign flips of clusters, trainings as they are; or the t test whose variance holds that of training."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """Questions only the left system has right, only the right one, and the two-sided p of equal accuracies."""

    left_only: int
    right_only: int
    p: float


@dataclass(frozen=True, slots=True)
class SeedAverage:
    """Values averaged over seeds, per question; `spread` is the standard deviation of the seeds' means.

    `by_seed` are the values [S, n] before.
    """

    values: Floats
    by_seed: Floats
    means: Mapping[int, float]
    spread: float | None


@dataclass(frozen=True)
class Pair:
    """One comparison with its values.

    Args:
        system: Label of the system.
        baseline: Label of the system it is compared with.
        left: [S, n] values of the system by seed, higher is better.
        right: [S, n] values of the baseline on the same examples, in the same order, with the same seeds.
        clusters: [n] entity of each example, "" for none.
    """

    system: str
    baseline: str
    left: Sequence[Sequence[float] | Floats] | Floats
    right: Sequence[Sequence[float] | Floats] | Floats
    clusters: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The test of one comparison of a family.

    Args:
        system: Label of the system.
        baseline: Label of the system it is compared with.
        difference: Mean of system - baseline.
        low: Lower end of its 95 % interval: BCa bootstrap beside sign flips, else that of the t test.
        high: Upper end of its 95 % interval.
        test: The test that gave p.
        freedom: Degrees of freedom of the t test, None for sign flips.
        p: Two-sided p of the test.
        p_holm: p adjusted for the whole family (Holm).
        significant: p_holm is at most the family's alpha.
        smallest: Smallest detectable difference (power 0.8, level alpha), None where it is undefined.
    """

    system: str
    baseline: str
    difference: float
    low: float
    high: float
    test: Test
    freedom: float | None
    p: float
    p_holm: float
    significant: bool
    smallest: float | None


def mcnemar(left: Sequence[float] | Floats, right: Sequence[float] | Floats) -> McNemar:
    """The exact test of two accuracies; questions count singly, without clusters.

    Args:
        left: [n] 0 or 1 of one system.
        right: [n] 0 or 1 of the other on the same examples, in the same order.

    Raises:
        ValueError: no values, different lengths, or a value that is neither 0 nor 1.
    """
    first, second = check_pair(left, right)
    if not _is_binary(first) or not _is_binary(second):
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

    Computed from the spread of the observed paired differences, clusters taken whole; None where there is no spread
    (equal systems) or only one cluster.

    Raises:
        ValueError: values that cannot be compared, or alpha or power outside 0 to 1.
    """
    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha {alpha} and power {power} must be between 0 and 1")
    first, second = check_pair(left, right)
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
    rows = np.array([check_pair(values, first)[0] for values in by_seed.values()])
    means = {seed: float(row.mean()) for seed, row in zip(by_seed, rows, strict=True)}
    spread = float(np.std(list(means.values()), ddof=1)) if len(means) > 1 else None
    return SeedAverage(rows.mean(axis=0), rows, means, spread)


def _is_binary(values: Floats) -> bool:
    """Whether all values are 0 or 1, as accuracies of single runs are."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted


def compare_pairs(pairs: Sequence[Pair], *, alpha: float, seed: int = 0, flip_signs: bool = False) -> list[Verdict]:
    """Test the comparisons of one family, each on examples of its own.

    Args:
        pairs: The family, in the declared order.
        alpha: Family-wise significance level.
        seed: Seed of the sign flips and the resampling.
        flip_signs: Test by sign flips of scores averaged over seeds with several seeds too: p and interval take the
            trainings as they are.

    Raises:
        ValueError: values that cannot be compared.
    """
    flips = sign_flips(len(pairs), alpha)
    tested = [_tested(pair, alpha, seed, flips, flip_signs) for pair in pairs]
    adjusted = holm([one.p for one in tested])
    return [replace(one, p_holm=p, significant=p <= alpha) for one, p in zip(tested, adjusted, strict=True)]


def _tested(pair: Pair, alpha: float, seed: int, flips: int, flip_signs: bool) -> Verdict:
    """One comparison, not adjusted yet."""
    if len(pair.left) != len(pair.right):
        raise ValueError(f"{len(pair.left)} seeds of {pair.system} against {len(pair.right)} of {pair.baseline}")
    sides = [check_pair(left, right) for left, right in zip(pair.left, pair.right, strict=True)]
    names = (pair.system, pair.baseline)
    if len(sides) > 1 and not flip_signs:
        over = mean_over_seeds([a - b for a, b in sides], pair.clusters, seed=seed)
        if over.freedom is not None:
            tested: tuple[Test, float, float] = ("t_over_seeds", over.freedom, over.p)
            return Verdict(*names, over.mean, over.low, over.high, *tested, over.p, False, over.smallest(alpha))
    left, right = (np.stack(side).mean(axis=0) for side in zip(*sides, strict=True))
    low, high = bootstrap_interval(left - right, pair.clusters, seed=seed)
    difference, p = paired_permutation(left, right, pair.clusters, seed=seed, permutations=flips)
    smallest = smallest_difference(left, right, pair.clusters, alpha=alpha)
    return Verdict(*names, difference, low, high, "paired_permutation", None, p, p, False, smallest)


def sign_flips(comparisons: int, alpha: float) -> int:
    """Sign flips of each comparison of a family: 9,999, or 100 m / alpha where its m comparisons exceed 60."""
    return PERMUTATIONS if comparisons <= LARGE else math.ceil(100 * comparisons / alpha)
