"""Holm against statsmodels; a family tests what it declared and prints it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from rag_lightning.metrics.families import Family, compare_family, holm


@settings(max_examples=20)
@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def system(rate: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(400) < rate).astype(float)


def test_every_declared_comparison_is_tested_and_no_other() -> None:
    scores = {"rag": system(0.6, 1), "closed": system(0.2, 2), "bm25": system(0.58, 3), "other": system(0.9, 4)}
    family = Family("retrieval helps", {"rag": ["closed", "bm25"]})
    clear, unclear = compare_family(family, scores)
    assert (clear.system, clear.baseline, unclear.baseline) == ("rag", "closed", "bm25")
    assert clear.significant and clear.difference == pytest.approx(0.4, abs=0.06)
    assert clear.p_holm == pytest.approx(2 * clear.p) and not unclear.significant
    assert clear.p_mcnemar is not None and clear.p_mcnemar < 1e-6
    assert clear.smallest == pytest.approx(0.1, abs=0.03)
    averaged = {"rag": scores["rag"] / 2 + 0.25, "closed": scores["closed"], "bm25": scores["bm25"]}
    assert compare_family(family, averaged)[0].p_mcnemar is None


def test_a_family_is_printed() -> None:
    family = Family("retrieval helps", {"rag": ["closed", "bm25"], "token": ["closed"]})
    assert str(family).splitlines() == [
        "retrieval helps: 3 comparisons, Holm at 0.05, 9999 sign flips",
        "  rag against closed",
        "  rag against bm25",
        "  token against closed",
    ]


@pytest.mark.parametrize(("count", "permutations"), [(1, 9_999), (60, 9_999), (61, 122_000), (500, 1_000_000)])
def test_large_families_need_more_sign_flips(count: int, permutations: int) -> None:
    family = Family("large", {"system": [str(i) for i in range(count)]})
    assert family.permutations == permutations
    assert count / (family.permutations + 1) < family.alpha


@pytest.mark.parametrize(
    ("baselines", "alpha"), [({}, 0.05), ({"a": ["b", "b"]}, 0.05), ({"a": ["a"]}, 0.05), ({"a": ["b"]}, 0.0)]
)
def test_a_family_is_checked(baselines: dict[str, list[str]], alpha: float) -> None:
    with pytest.raises(ValueError, match=r"family|alpha"):
        Family("bad", baselines, alpha)
    with pytest.raises(ValueError, match="no scores of b"):
        compare_family(Family("f", {"a": ["b"]}), {"a": [1.0]})
