"""Confidence intervals of a mean, and tests whether two systems differ on the same questions.

Scores of questions about one entity are correlated, so whole clusters are resampled or sign-flipped.
Sources: BCa bootstrap (Efron 1987); the paired permutation test with (1 + hits) / (1 + B) (Phipson & Smyth 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.seeds import generator

Floats = NDArray[np.float64]
_NORMAL = NormalDist()
_CHUNK = 4_000_000
TIE = 1e-9
"""Differences up to this count as none."""
FEW_CLUSTERS = 30
"""Effective clusters below which an interval is only approximate."""


def cluster_codes(entities: Sequence[str]) -> NDArray[np.int64]:
    """[n] cluster numbers from entity names; an empty name is a cluster of its own.

    >>> cluster_codes(["a", "", "a", ""]).tolist()
    [0, 1, 0, 2]
    """
    seen: dict[object, int] = {}
    keys = [entity or (position,) for position, entity in enumerate(entities)]
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)


def effective_clusters(clusters: Sequence[str]) -> float:
    """The number of clusters of equal size that say as much: (sum of n)^2 / sum of n^2 over clusters of n examples.

    >>> effective_clusters(["a", "a", "b", ""])
    2.6666666666666665
    """
    counts = np.bincount(cluster_codes(clusters))
    return float(counts.sum() ** 2 / (counts**2).sum())


def bootstrap_interval(
    values: Sequence[float] | Floats,
    clusters: Sequence[str] | None = None,
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """BCa bootstrap interval of the mean, resampling clusters if given.

    Where all values are equal or there is one cluster the interval is the mean itself.

    Args:
        values: [n] one value per example, in any unit.
        clusters: [n] entity of each example, "" for none.
        seed: Seed of the resampling.
        resamples: Bootstrap samples.
        confidence: Coverage of the interval.

    Raises:
        ValueError: no values, values that are not finite, or clusters of another length.
    """
    array = check_values(values)
    sums, counts = cluster_sums(array, clusters)
    mean = float(sums.sum() / counts.sum())
    if len(sums) == 1 or np.ptp(array) == 0:
        return mean, mean
    means = bootstrap_means(sums, counts, resamples, seed)
    left_out = (sums.sum() - sums) / (counts.sum() - counts)
    return _bca_interval(means, mean, left_out, confidence)


def bootstrap_sums_interval(
    parts: Floats,
    of_sums: Callable[[Floats], Floats],
    clusters: Sequence[str] | None = None,
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """BCa bootstrap interval of a function of summed statistics.

    Args:
        parts: [n, D] statistics of each example.
        of_sums: Added statistics, [..., D] -> [...].
        clusters: [n] entity of each example, "" for none.
        seed: Seed of the resampling; draws the same clusters as `bootstrap_interval`.
        resamples: Bootstrap samples.
        confidence: Coverage of the interval.

    Raises:
        ValueError: no examples, statistics that are not finite, or clusters of another length.
    """
    if parts.ndim != 2 or not len(parts) or not np.isfinite(parts).all():
        raise ValueError(f"statistics must be finite and of at least one example, got shape {parts.shape}")
    sums = np.stack([cluster_sums(column, clusters)[0] for column in parts.T], axis=-1)
    total = sums.sum(axis=0)
    value = float(of_sums(total))
    if len(sums) == 1 or np.ptp(sums, axis=0).max() == 0:
        return value, value
    drawn = np.concatenate(
        [sums[picks].sum(axis=1) for picks in draw_clusters(len(sums), sums.shape[1], resamples, seed)]
    )
    return _bca_interval(of_sums(drawn), value, of_sums(total - sums), confidence)


def paired_permutation(
    left: Sequence[float] | Floats,
    right: Sequence[float] | Floats,
    clusters: Sequence[str] | None = None,
    *,
    seed: int,
    permutations: int = 9999,
) -> tuple[float, float]:
    """Mean of left - right and its two-sided p, by flipping the sign of whole clusters' differences.

    p is never below 1 / (permutations + 1).

    Args:
        left: [n] values of one system.
        right: [n] values of the other on the same examples, in the same order.
        clusters: [n] entity of each example, "" for none.
        seed: Seed of the sign flips.
        permutations: Sign flips drawn.

    Raises:
        ValueError: no values, values that are not finite, or different lengths.
    """
    first, second = check_pair(left, right)
    sums, _ = cluster_sums(first - second, clusters)
    difference = float(sums.sum() / len(first))
    sums = sums[np.abs(sums) > TIE]
    if not len(sums):
        return 0.0, 1.0
    extreme = _count_extreme(sums, permutations, seed)
    return difference, (1 + extreme) / (1 + permutations)


def check_pair(left: Sequence[float] | Floats, right: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    """Two systems' values as arrays.

    Raises:
        ValueError: no values, values that are not finite, or different lengths.
    """
    first, second = check_values(left), check_values(right)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values against {len(second)}: not the same examples")
    return first, second


def cluster_sums(values: Floats, clusters: Sequence[str] | None) -> tuple[Floats, Floats]:
    """Per cluster the sum and the number of its values; without clusters every value is one.

    Raises:
        ValueError: clusters of another length.
    """
    if clusters is None:
        return values, np.ones_like(values)
    if len(clusters) != len(values):
        raise ValueError(f"{len(clusters)} clusters for {len(values)} values")
    codes = cluster_codes(clusters)
    return np.bincount(codes, weights=values).astype(np.float64), np.bincount(codes).astype(np.float64)


def check_values(values: Sequence[float] | Floats) -> Floats:
    """Values as an array.

    Raises:
        ValueError: no values, or values that are not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values must be a list of at least one number, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"value {int(np.flatnonzero(~np.isfinite(array))[0])} is not finite")
    return array


def bootstrap_means(sums: Floats, counts: Floats, resamples: int, seed: int) -> Floats:
    """[resamples] means of the values of clusters drawn with replacement.

    Args:
        sums: [C] sum of the values of each cluster.
        counts: [C] number of its values.
        resamples: Bootstrap samples.
        seed: Seed of the resampling.
    """
    size, equal = len(sums), bool(np.ptp(counts) == 0)
    parts = []
    for picks in draw_clusters(size, 1, resamples, seed):
        weight = counts[0] * size if equal else counts[picks].sum(axis=1)
        parts.append(sums[picks].sum(axis=1) / weight)
    return np.concatenate(parts)


def draw_clusters(size: int, width: int, resamples: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """[rows, size] clusters drawn, in blocks whose [rows, size, width] values fit into memory; never other draws."""
    draws = generator(seed, "bootstrap")
    step = max(1, _CHUNK // (size * width))
    for start in range(0, resamples, step):
        yield draws.integers(0, size, size=(min(step, resamples - start), size), dtype=np.int32)


def _bca_interval(drawn: Floats, value: float, left_out: Floats, confidence: float) -> tuple[float, float]:
    """The interval from resampled values, the value itself, and those with one cluster left out."""
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = np.quantile(drawn, _bca_levels(tails, drawn, value, left_out))
    return float(low), float(high)


def _bca_levels(tails: Floats, means: Floats, mean: float, left_out: Floats) -> Floats:
    """Bias-corrected and accelerated quantile levels; ties with the mean count half, as 0/1 scores tie often."""
    below = float((means < mean - TIE).mean() + 0.5 * (np.abs(means - mean) <= TIE).mean())
    if not 0 < below < 1:
        return tails
    deviation = left_out.mean() - left_out
    spread = float((deviation**2).sum()) ** 1.5
    acceleration = float((deviation**3).sum()) / (6 * spread) if spread else 0.0
    bias = _NORMAL.inv_cdf(below)
    shifted = [bias + _NORMAL.inv_cdf(float(tail)) for tail in tails]
    return np.array([_NORMAL.cdf(bias + z / (1 - acceleration * z)) for z in shifted])


def _count_extreme(sums: Floats, permutations: int, seed: int) -> int:
    """How many sign flips give a sum at least as far from 0 as the observed one."""
    draws = generator(seed, "permutation")
    observed = abs(float(sums.sum())) - TIE
    total, size, extreme = float(sums.sum()), len(sums), 0
    step = max(1, _CHUNK // size)
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        bits = np.unpackbits(np.frombuffer(draws.bytes(rows * -(-size // 8)), dtype=np.uint8)).reshape(rows, -1)
        flipped = bits[:, :size].astype(np.float64) @ sums
        extreme += int((np.abs(total - 2 * flipped) >= observed).sum())
    return extreme
