"""Which of several systems are not significantly worse than the best, and how much the best flatters itself.

The best is chosen by the same scores, and each of m systems may look worse by chance: tested one by one at 5 %, one of
24 equal systems is dropped in nine searches of ten. So a difference is compared with the largest difference of any pair
of the systems in bootstrap samples in which all of them are equal, and the rejected ones then leave the family.
Sources: the multiple comparisons with the best of Hsu 1981, stepped down as in Romano & Wolf 2005 (the model confidence
set of Hansen, Lunde & Nason 2011 is the same idea). Optimism: Efron 1983.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import parse_metric
from rag_lightning.metrics.statistics import (
    TIE,
    Floats,
    check_pair,
    cluster_sums,
    draw_clusters,
    effective_clusters,
    paired_permutation,
)
from rag_lightning.metrics.summary import align

CORRECTION = "bootstrap of the largest difference of any two trials, stepped down"
"""The correction for the search, as selection.json and reports name it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One system against the best: mean difference (0 or less), adjusted p, and whether it is kept (p >= alpha)."""

    difference: float
    p: float
    within: bool


@dataclass(frozen=True, slots=True)
class TieSet:
    """The trials of a search against the best of them.

    Attributes:
        compared: Name -> comparison with the best, differences in the metric's unit.
        optimism: By how much the best is expected to be too high, in the metric's unit.
        clusters: Effective number of clusters that both rest on.
    """

    compared: Mapping[str, Comparison]
    optimism: float
    clusters: float

    @property
    def within(self) -> int:
        """How many are not significantly worse than the best."""
        return sum(one.within for one in self.compared.values())


def tie_set(scores: Mapping[str, Sequence[Score]], metric: str, *, alpha: float, seed: int) -> TieSet:
    """The tie set of several systems by their scores.

    Args:
        scores: Name -> scores of the same examples.
        metric: Name of the metric by which they are compared.
        alpha: As for `not_worse_than_best`.
        seed: Seed of the resampling.

    Raises:
        DataError: two systems were not scored on the same examples, or an example lacks the metric.
    """
    arrays, entities = align(scores, metric)
    scale = parse_metric(metric).scale
    compared = not_worse_than_best(arrays, entities, alpha=alpha, seed=seed)
    optimism = optimism_of_best(list(arrays.values()), entities, seed=seed) * scale
    in_unit = {name: replace(one, difference=one.difference * scale) for name, one in compared.items()}
    return TieSet(in_unit, optimism, effective_clusters(entities))


def not_worse_than_best(
    scores: Mapping[str, Sequence[float] | Floats],
    clusters: Sequence[str] | None = None,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = 4999,
) -> dict[str, Comparison]:
    """The systems that are not significantly worse than the one with the highest mean.

    The p values are corrected for the number of systems: if all are equal, the probability that any is dropped is
    alpha. p is never below that of sign flips of the two systems' clusters, which holds for few clusters too.

    Args:
        scores: Name -> [n] values on the same examples in the same order; higher is better.
        clusters: [n] entity of each example, "" for none.
        alpha: Family-wise significance level; a system with a smaller p counts as worse.
        seed: Seed of the resampling.
        resamples: Bootstrap samples, and sign flips.

    Raises:
        ValueError: no systems, or values that cannot be compared.
    """
    sums, counts = _by_cluster(list(scores.values()), clusters)
    means = sums.sum(axis=1) / counts.sum()
    weights = np.concatenate(
        [_times_drawn(picks, len(counts)) for picks in draw_clusters(len(counts), 1, resamples, seed)]
    )
    moved = weights @ sums.T / (weights @ counts)[:, None] - means
    spread = _spreads(moved)
    best = int(means.argmax())
    lost = means[best] - means
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(lost <= TIE, 0.0, lost / spread[best])
    flips = [paired_permutation(one, sums[best], seed=seed, permutations=resamples)[1] for one in sums]
    adjusted = _stepped_down(distance, np.array(flips), moved, spread, alpha)
    return {
        name: Comparison(-float(lost[i]), float(adjusted[i]), bool(adjusted[i] >= alpha))
        for i, name in enumerate(scores)
    }


def optimism_of_best(
    scores: Sequence[Sequence[float] | Floats],
    clusters: Sequence[str] | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> float:
    """By how much the mean of the best of several systems is expected to exceed its true mean.

    In each bootstrap sample the best system is chosen; its mean there is compared with its mean on the examples that
    were not drawn, and the average difference is multiplied by 0.632 (Efron 1983): the examples not drawn, like those
    drawn, stand for fewer examples than there are.

    Args:
        scores: [n] values of each system on the same examples in the same order; higher is better.
        clusters: [n] entity of each example, "" for none.
        seed: Seed of the resampling.
        resamples: Bootstrap samples.

    Raises:
        ValueError: no systems, or values that cannot be compared.
    """
    sums, counts = _by_cluster(scores, clusters)
    found = []
    for picks in draw_clusters(len(counts), len(scores), resamples, seed):
        drawn = _times_drawn(picks, len(counts))
        drawn = drawn[(drawn == 0).any(axis=1)]
        rest = (drawn == 0).astype(np.float64)
        inside, outside = (sums @ weights.T / (weights @ counts) for weights in (drawn, rest))
        best, rows = inside.argmax(axis=0), np.arange(len(drawn))
        found.append(inside[best, rows] - outside[best, rows])
    differences = np.concatenate(found)
    return 0.632 * float(differences.mean()) if len(differences) else 0.0


def _by_cluster(scores: Sequence[Sequence[float] | Floats], clusters: Sequence[str] | None) -> tuple[Floats, Floats]:
    """[m, C] sum of each system's values in each cluster, and [C] their number."""
    if not scores:
        raise ValueError("no systems to choose from")
    parts = [cluster_sums(check_pair(values, scores[0])[0], clusters) for values in scores]
    return np.stack([one for one, _ in parts]), parts[0][1]


def _times_drawn(picks: NDArray[np.int32], size: int) -> Floats:
    """[rows, C] how often each cluster is drawn, from [rows, C] clusters."""
    places = picks + size * np.arange(len(picks))[:, None]
    return np.bincount(places.ravel(), minlength=size * len(picks)).reshape(len(picks), size).astype(np.float64)


def _spreads(moved: Floats) -> Floats:
    """[m, m] standard deviation over the bootstrap samples of the difference of each pair; 0 for equal systems."""
    covariance = np.atleast_2d(np.cov(moved.T, ddof=0))
    own = np.diag(covariance)
    variance = own[:, None] + own[None, :] - 2 * covariance
    return np.sqrt(np.where(variance > TIE**2, variance, 0.0))


def _stepped_down(distance: Floats, least: Floats, moved: Floats, spread: Floats, alpha: float) -> Floats:
    """[m] adjusted p, none below `least`; the systems that are rejected leave the family, until none is."""
    adjusted, floor = np.ones(len(distance)), 0.0
    left = np.arange(len(distance))
    while True:
        largest = _largest(moved[:, left], spread[np.ix_(left, left)])
        hits = (largest[:, None] >= distance[left] - TIE).sum(axis=0)
        adjusted[left] = np.maximum(np.maximum((1 + hits) / (1 + len(largest)), least[left]), floor)
        worse = adjusted[left] < alpha
        if not worse.any():
            return adjusted
        floor, left = float(adjusted[left][worse].max()), left[~worse]


def _largest(moved: Floats, spread: Floats) -> Floats:
    """[resamples] the largest studentised difference of any two systems."""
    largest = np.zeros(len(moved))
    for i in range(moved.shape[1] - 1):
        scale = np.where(spread[i, i + 1 :] > 0, spread[i, i + 1 :], np.inf)
        np.maximum(largest, (np.abs(moved[:, i + 1 :] - moved[:, [i]]) / scale).max(axis=1), out=largest)
    return largest
