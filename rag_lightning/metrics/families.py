"""A declared family of comparisons: which system is tested against which baseline is said before, and printed.

Source: Holm 1979. A permutation p cannot fall below 1 / (permutations + 1), so a large family needs more of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag_lightning.metrics.paired import is_binary, mcnemar, smallest_difference
from rag_lightning.metrics.statistics import Floats, paired_permutation

PERMUTATIONS = 9_999
LARGE = 60
"""Comparisons up to which PERMUTATIONS are enough."""


@dataclass(frozen=True)
class Pair:
    """One comparison with its values.

    Args:
        system: Tested.
        baseline: Tested against.
        left: [n] values of the system, higher is better.
        right: [n] values of the baseline on the same examples, in the same order.
        clusters: [n] entity of each example, "" for none.
    """

    system: str
    baseline: str
    left: Sequence[float] | Floats
    right: Sequence[float] | Floats
    clusters: Sequence[str] | None = None


@dataclass(frozen=True)
class Family:
    """All comparisons that one claim rests on.

    Args:
        name: Printed with them.
        baselines: System -> the baselines it is tested against.
        alpha: Chance of one false alarm or more in the whole family.

    Raises:
        ValueError: no comparison, one twice, a system against itself, or alpha outside 0 to 1.
    """

    name: str
    baselines: Mapping[str, Sequence[str]]
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not self.comparisons or len(set(self.comparisons)) < len(self.comparisons):
            raise ValueError(f"family {self.name!r} must hold at least one comparison and none twice")
        if any(system == baseline for system, baseline in self.comparisons):
            raise ValueError(f"family {self.name!r} compares a system with itself")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha {self.alpha} must be between 0 and 1")

    @property
    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """(system, baseline), in the declared order."""
        return tuple((system, baseline) for system, listed in self.baselines.items() for baseline in listed)

    @property
    def permutations(self) -> int:
        """Sign flips per comparison, see `sign_flips`."""
        return sign_flips(len(self.comparisons), self.alpha)

    def __str__(self) -> str:
        head = (
            f"{self.name}: {len(self.comparisons)} comparisons, Holm at {self.alpha:g}, {self.permutations} sign flips"
        )
        return "\n".join([head, *(f"  {system} against {baseline}" for system, baseline in self.comparisons)])


@dataclass(frozen=True, slots=True)
class Verdict:
    """One comparison of a family.

    Args:
        system: Tested.
        baseline: Tested against.
        difference: Mean of system - baseline.
        p: Two-sided, by sign flips.
        p_holm: Adjusted for the whole family.
        significant: p_holm is at most the family's alpha.
        smallest: The difference that could have been shown (power 0.8, level alpha), None where unknown.
        p_mcnemar: Exact, unadjusted, where all values are 0 or 1.
    """

    system: str
    baseline: str
    difference: float
    p: float
    p_holm: float
    significant: bool
    smallest: float | None
    p_mcnemar: float | None


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


def compare_family(
    family: Family,
    scores: Mapping[str, Sequence[float] | Floats],
    clusters: Sequence[str] | None = None,
    *,
    seed: int = 0,
) -> list[Verdict]:
    """Test every declared comparison, no other.

    Args:
        family: What is compared.
        scores: System or baseline -> [n] values on the same examples in the same order; higher is better.
        clusters: [n] entity of each example, "" for none.
        seed: Of the sign flips.

    Raises:
        ValueError: a declared system without scores, or values that cannot be compared.
    """
    missing = sorted({name for pair in family.comparisons for name in pair} - set(scores))
    if missing:
        raise ValueError(f"family {family.name!r}: no scores of {', '.join(missing)}")
    pairs = [Pair(a, b, scores[a], scores[b], clusters) for a, b in family.comparisons]
    return compare_pairs(pairs, alpha=family.alpha, seed=seed)


def compare_pairs(pairs: Sequence[Pair], *, alpha: float, seed: int = 0) -> list[Verdict]:
    """Test comparisons that make one family, each on examples of its own.

    Args:
        pairs: The family, in the declared order.
        alpha: Chance of one false alarm or more in the whole family.
        seed: Of the sign flips.

    Raises:
        ValueError: values that cannot be compared.
    """
    flips = sign_flips(len(pairs), alpha)
    tested = [paired_permutation(p.left, p.right, p.clusters, seed=seed, permutations=flips) for p in pairs]
    adjusted = holm([p for _, p in tested])
    return [
        Verdict(
            pair.system,
            pair.baseline,
            difference,
            p,
            p_holm,
            p_holm <= alpha,
            smallest_difference(pair.left, pair.right, pair.clusters, alpha=alpha),
            _mcnemar(pair.left, pair.right),
        )
        for pair, (difference, p), p_holm in zip(pairs, tested, adjusted, strict=True)
    ]


def sign_flips(comparisons: int, alpha: float) -> int:
    """Per comparison of a family: 9,999, or 100 m / alpha where its m comparisons exceed 60."""
    return PERMUTATIONS if comparisons <= LARGE else math.ceil(100 * comparisons / alpha)


def _mcnemar(left: Sequence[float] | Floats, right: Sequence[float] | Floats) -> float | None:
    first, second = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    return mcnemar(first, second).p if is_binary(first) and is_binary(second) else None
