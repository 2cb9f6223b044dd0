"""McNemar and Holm against statsmodels, the smallest difference against simulation, seeds against the plain mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as reference
from statsmodels.stats.multitest import multipletests

from rag_lightning.metrics.paired import (
    Pair,
    average_seeds,
    compare_pairs,
    holm,
    mcnemar,
    sign_flips,
    smallest_difference,
)
from rag_lightning.metrics.statistics import paired_permutation

PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)


@given(PAIRS)
def test_mcnemar_equals_statsmodels(pairs: list[tuple[float, float]]) -> None:
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    table = [[int(((left == i) & (right == j)).sum()) for j in (1, 0)] for i in (1, 0)]
    found = mcnemar(left, right)
    assert found.p == pytest.approx(reference(table, exact=True).pvalue)
    assert [found.left_only, found.right_only] == [table[0][1], table[1][0]]
    swapped = mcnemar(right, left)
    assert (swapped.p, swapped.left_only) == (found.p, found.right_only)


def test_mcnemar_of_many_questions() -> None:
    rng = np.random.default_rng(0)
    left, right = ((rng.random(3610) < rate).astype(float) for rate in (0.45, 0.42))
    b, c = int((left > right).sum()), int((right > left).sum())
    assert mcnemar(left, right).p == pytest.approx(reference([[0, b], [c, 0]], exact=True).pvalue)


def test_mcnemar_is_for_zero_and_one() -> None:
    with pytest.raises(ValueError, match="0 and 1"):
        mcnemar([0.5, 1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="1 values against 2"):
        mcnemar([1.0], [0.0, 1.0])


def test_a_true_difference_of_that_size_is_found_8_times_in_10() -> None:
    rng = np.random.default_rng(0)
    found = 0
    smallest = smallest_difference(rng.normal(size=400), np.zeros(400))
    assert smallest == pytest.approx(2.8 / 20, rel=0.1)
    for trial in range(200):
        values = rng.normal(smallest, 1.0, size=400)
        found += paired_permutation(values, np.zeros(400), seed=trial, permutations=499)[1] <= 0.05
    assert 130 <= found <= 185


def test_it_shrinks_with_n_and_grows_with_clusters() -> None:
    rng = np.random.default_rng(1)
    left, right = (rng.random(1000) < 0.5).astype(float), (rng.random(1000) < 0.5).astype(float)
    alone = smallest_difference(left, right)
    tenfold = smallest_difference(np.tile(left, 4), np.tile(right, 4))
    repeated = smallest_difference(np.repeat(left, 4), np.repeat(right, 4), [str(i // 4) for i in range(4000)])
    assert alone is not None and tenfold == pytest.approx(alone / 2, rel=0.01)
    assert repeated == pytest.approx(alone, rel=0.01)
    assert smallest_difference(left, right, alpha=0.01) > alone


def test_data_that_cannot_tell_say_so() -> None:
    assert smallest_difference([1.0, 0.0], [1.0, 0.0]) is None
    assert smallest_difference([1.0, 0.0], [0.0, 0.0], ["one", "one"]) is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        smallest_difference([1.0], [0.0], power=1.0)


def test_seeds_are_averaged_per_question() -> None:
    found = average_seeds({0: [1.0, 0.0, 1.0], 1: [0.0, 0.0, 1.0], 2: [1.0, 0.0, 1.0]})
    assert found.values == pytest.approx([2 / 3, 0, 1])
    assert found.by_seed.shape == (3, 3)
    assert found.means == pytest.approx({0: 2 / 3, 1: 1 / 3, 2: 2 / 3})
    assert found.spread == pytest.approx(np.std([2 / 3, 1 / 3, 2 / 3], ddof=1))
    assert average_seeds({7: [1.0]}).spread is None
    with pytest.raises(ValueError, match="no seeds"):
        average_seeds({})
    with pytest.raises(ValueError, match="2 values against 1"):
        average_seeds({0: [1.0], 1: [1.0, 0.0]})


@settings(max_examples=20)
@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def system(rate: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(400) < rate).astype(float)


def test_comparisons_of_a_family_are_adjusted_together() -> None:
    rag, closed, bm25 = system(0.6, 1), system(0.2, 2), system(0.58, 3)
    clear, unclear = compare_pairs(
        [Pair("rag", "closed", [rag], [closed]), Pair("rag", "bm25", [rag], [bm25])], alpha=0.05
    )
    assert (clear.system, clear.baseline, unclear.baseline) == ("rag", "closed", "bm25")
    assert clear.significant and clear.difference == pytest.approx(0.4, abs=0.06)
    assert clear.p_holm == pytest.approx(2 * clear.p) and not unclear.significant
    assert clear.smallest == pytest.approx(0.1, abs=0.03)
    assert clear.test == "paired_permutation" and clear.low < clear.difference < clear.high


def test_several_seeds_are_tested_with_the_variance_of_training() -> None:
    """Three trainings whose differences are 0.1, 0.5 and 0.6: clear to sign flips, but not over trainings."""
    left = np.stack([system(rate, seed) for seed, rate in enumerate((0.3, 0.7, 0.8))])
    right = np.stack([system(0.2, seed + 9) for seed in range(3)])
    (over,) = compare_pairs([Pair("rag", "closed", left, right)], alpha=0.05)
    (flips,) = compare_pairs([Pair("rag", "closed", left, right)], alpha=0.05, flip_signs=True)
    assert over.test == "t_over_seeds" and over.freedom == pytest.approx(2, abs=0.2) and not over.significant
    assert flips.test == "paired_permutation" and flips.significant
    assert over.low < 0 < over.high and 0 < flips.low < flips.high, "the latter take the trainings as they are"
    with pytest.raises(ValueError, match="3 seeds of rag against 2 of closed"):
        compare_pairs([Pair("rag", "closed", left, right[:2])], alpha=0.05)


@pytest.mark.parametrize(("count", "permutations"), [(1, 9_999), (60, 9_999), (61, 122_000), (500, 1_000_000)])
def test_large_families_need_more_sign_flips(count: int, permutations: int) -> None:
    assert sign_flips(count, 0.05) == permutations
    assert count / (permutations + 1) < 0.05
