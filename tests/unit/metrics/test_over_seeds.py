"""Means over seeds: by hand, against scipy where one part is all there is, and by their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from rag_lightning.metrics.over_seeds import mean_over_seeds


def test_where_only_trainings_differ_it_is_the_t_test_of_the_seeds() -> None:
    means = [0.1, 0.3, 0.35]
    found = mean_over_seeds([[mean] * 50 for mean in means], seed=0)
    expected = ttest_1samp(means, 0.0)
    assert found.freedom == pytest.approx(2) and found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.low < 0, "a bootstrap of three seeds would have given [0.1, 0.35]"


def test_where_only_questions_differ_it_is_their_t_test() -> None:
    values = np.random.default_rng(0).normal(0.2, 1.0, 100)
    found = mean_over_seeds([values] * 3, seed=0, resamples=20_000)
    expected = ttest_1samp(values, 0.0)
    assert found.freedom == pytest.approx(99) and found.p == pytest.approx(expected.pvalue, abs=0.01)
    assert found.low == pytest.approx(expected.confidence_interval(0.95).low, abs=0.01)


def test_the_variance_is_the_sum_of_both_parts() -> None:
    """Seeds' means 1 and 3: 2 / 2 = 1. Averages 0 and 4 on two questions: bootstrap variance 4 / 2 = 2. Sum 3."""
    found = mean_over_seeds([[-1.0, 3.0], [1.0, 5.0]], seed=0, resamples=200_000)
    assert found.mean == 2 and found.error**2 == pytest.approx(1 + 2, rel=0.01)
    assert found.freedom == pytest.approx(3**2 / (1**2 / 1 + 2**2 / 1), rel=0.02)
    assert found.smallest(0.05) > found.smallest(0.1) > 0  # type: ignore[operator]


def test_clusters_count_for_what_they_say() -> None:
    rows = np.random.default_rng(1).normal(size=(3, 60))
    repeated = mean_over_seeds(np.repeat(rows, 4, axis=1), [str(i // 4) for i in range(240)], seed=0)
    alone = mean_over_seeds(rows, seed=0)
    assert repeated.error == pytest.approx(alone.error) and repeated.freedom == pytest.approx(alone.freedom)


def test_what_does_not_vary_is_tested_by_sign_flips() -> None:
    found = mean_over_seeds([[1.0] * 3] * 2, seed=0)
    assert (found.low, found.high, found.freedom, found.smallest(0.05)) == (1.0, 1.0, None, None)
    assert found.p == pytest.approx(2 / 8, abs=0.02)
    assert mean_over_seeds([[0.0, 0.0]] * 2, seed=0).p == 1.0
    with pytest.raises(ValueError, match="two seeds"):
        mean_over_seeds([[1.0]], seed=0)


@pytest.mark.parametrize(("of_training", "of_question"), [(0.05, 0.3), (0.0, 0.3), (0.02, 0.3), (0.1, 0.1)])
def test_the_interval_covers_the_truth_about_95_times_in_100(of_training: float, of_question: float) -> None:
    covered, worlds = 0, 150
    for world in range(worlds):
        draw = np.random.default_rng(world).normal
        rows = 0.1 + of_training * draw(size=(3, 1)) + of_question * draw(size=(1, 120)) + 0.2 * draw(size=(3, 120))
        found = mean_over_seeds(rows, seed=world, resamples=200)
        covered += found.low <= 0.1 <= found.high
    assert 0.89 <= covered / worlds <= 0.995
