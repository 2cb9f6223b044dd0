"""Intervals and tests against scipy, exact enumeration and coverage."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from rag_lightning.metrics.statistics import (
    bootstrap_interval,
    cluster_codes,
    effective_clusters,
    paired_permutation,
)


def draws(n: int, rate: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def test_empty_entities_are_clusters_of_their_own() -> None:
    assert cluster_codes(["a", "", "b", "", "a"]).tolist() == [0, 1, 2, 3, 0]


def test_the_interval_agrees_with_scipy_s_bca() -> None:
    values = np.random.default_rng(1).exponential(size=80)
    reference = bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2))
    ours = bootstrap_interval(values, seed=3, resamples=20_000)
    assert ours == pytest.approx(reference.confidence_interval, abs=0.02)


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    covered = 0
    for trial in range(200):
        low, high = bootstrap_interval(draws(200, 0.3, trial), seed=trial, resamples=500)
        covered += low <= 0.3 <= high
    assert 180 <= covered <= 199


def test_clusters_widen_the_interval() -> None:
    values = np.repeat(draws(100, 0.5), 10)
    alone = bootstrap_interval(values, seed=0)
    together = bootstrap_interval(values, [str(i // 10) for i in range(1000)], seed=0)
    assert (together[1] - together[0]) > 2.5 * (alone[1] - alone[0])


def test_clusters_of_unequal_size_keep_the_mean_of_examples() -> None:
    values, clusters = [1.0] * 9 + [0.0], ["big"] * 9 + ["small"]
    low, high = bootstrap_interval(values, clusters, seed=0)
    assert low == 0 and high == 1
    assert bootstrap_interval([1.0, 0.0], ["one", "one"], seed=0) == (0.5, 0.5)


def test_equal_values_and_seeds() -> None:
    assert bootstrap_interval([0.0, 0.0], seed=0) == (0.0, 0.0)
    values = np.random.default_rng(0).random(50)
    again = [bootstrap_interval(values, seed=seed) for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=40))
def test_the_interval_stays_in_range_and_holds_the_mean(values: list[float]) -> None:
    low, high = bootstrap_interval(values, seed=0, resamples=500)
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 1


def test_p_equals_full_enumeration() -> None:
    left, right = np.array([1, 1, 0.5, 1, 0, 1.0]), np.array([0, 1, 0, 0, 0.5, 0.25])
    sums = left - right
    flips = [abs(np.dot(signs, sums)) for signs in itertools.product([1, -1], repeat=6)]
    exact = np.mean([value >= abs(sums.sum()) - 1e-9 for value in flips])
    difference, p = paired_permutation(left, right, seed=0)
    assert difference == pytest.approx(sums.mean())
    assert p == pytest.approx(exact, abs=0.02)


def test_whole_clusters_are_flipped() -> None:
    left, right = np.ones(8), np.zeros(8)
    assert paired_permutation(left, right, seed=0)[1] < 0.02
    assert paired_permutation(left, right, ["a"] * 4 + ["b"] * 4, seed=0)[1] == pytest.approx(0.5, abs=0.03)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_examples_does_not_change_difference_nor_ties(order: list[int]) -> None:
    left, right = draws(12, 0.6, 1)[order], draws(12, 0.4, 2)[order]
    difference, p = paired_permutation(left, right, seed=0, permutations=999)
    reference, expected = paired_permutation(draws(12, 0.6, 1), draws(12, 0.4, 2), seed=0, permutations=999)
    assert difference == pytest.approx(reference)
    assert p == pytest.approx(expected, abs=0.1)
    assert paired_permutation(left, left, seed=0) == (0.0, 1.0)


def test_p_is_small_for_a_clear_difference_and_never_zero() -> None:
    difference, p = paired_permutation(draws(3610, 0.5, 1), draws(3610, 0.2, 2), seed=0)
    assert difference == pytest.approx(0.3, abs=0.03)
    assert p == 1 / 10_000


def test_false_alarms_come_about_5_times_in_100() -> None:
    alarms = sum(
        paired_permutation(draws(100, 0.5, 2 * t), draws(100, 0.5, 2 * t + 1), seed=t, permutations=499)[1] < 0.05
        for t in range(200)
    )
    assert 1 <= alarms <= 22


def test_effective_clusters_are_clusters_of_equal_size() -> None:
    assert effective_clusters(["a"] * 5 + ["b"] * 5) == 2
    assert effective_clusters(["", "", ""]) == 3
    assert effective_clusters(["a"] * 8 + ["b", ""]) == pytest.approx(100 / 66)


@pytest.mark.parametrize("values", [[], [float("nan")], [[1.0]], [float("inf"), 1.0]])
def test_values_are_checked(values: list[float]) -> None:
    with pytest.raises(ValueError, match="value"):
        bootstrap_interval(values, seed=0)


def test_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match="2 values against 1"):
        paired_permutation([1.0, 0.0], [1.0], seed=0)
    with pytest.raises(ValueError, match="1 clusters for 2"):
        bootstrap_interval([1.0, 0.0], ["a"], seed=0)
