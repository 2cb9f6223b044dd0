"""The systems that are not worse than the best, and the expected optimism of the best."""

from __future__ import annotations

import numpy as np
import pytest

from rag_lightning.metrics.best import not_worse_than_best, optimism_of_best


def test_it_is_near_the_optimism_of_equal_systems() -> None:
    """The best of 20 equal systems of accuracy 0.5: by how much its mean exceeds 0.5, over many worlds."""
    source, true, found = np.random.default_rng(0), [], []
    for world in range(60):
        scores = (source.random((20, 200)) < 0.5).astype(float)
        true.append(scores.mean(axis=1).max() - 0.5)
        found.append(optimism_of_best(list(scores), seed=world, resamples=200))
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.2)


def test_one_system_and_a_clear_winner_have_none() -> None:
    source = np.random.default_rng(1)
    good, bad = (source.random(300) < 0.9).astype(float), (source.random(300) < 0.1).astype(float)
    assert optimism_of_best([good]) == pytest.approx(0.0, abs=0.003)
    assert optimism_of_best([good, bad]) == pytest.approx(optimism_of_best([good]), abs=1e-12)
    assert optimism_of_best([np.ones(5)] * 3) == 0.0


def test_whole_clusters_are_drawn() -> None:
    """Two questions of one entity always agree, so there are half as many questions to learn from."""
    scores = (np.random.default_rng(2).random((10, 100)) < 0.5).astype(float)
    doubled = np.repeat(scores, 2, axis=1)
    entities = [f"e{i // 2}" for i in range(200)]
    assert optimism_of_best(list(doubled), entities) == pytest.approx(optimism_of_best(list(scores)), abs=1e-12)
    assert optimism_of_best(list(doubled)) < optimism_of_best(list(doubled), entities)
    assert optimism_of_best([[1.0, 0.0]], ["a", "a"]) == 0.0, "no question is ever left out"


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="no systems"):
        optimism_of_best([])
    with pytest.raises(ValueError, match="not the same examples"):
        optimism_of_best([[1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="no systems"):
        not_worse_than_best({})


def draws(n: int, rate: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def test_systems_near_the_best_are_kept() -> None:
    best = draws(500, 0.6)
    near = best.copy()
    near[:3] = 1 - near[:3]
    near[np.flatnonzero(best)[:2]] = 0
    compared = not_worse_than_best({"poor": draws(500, 0.3, 5), "best": best, "near": near, "twin": best}, seed=0)
    assert list(compared) == ["poor", "best", "near", "twin"]
    for name in ("best", "twin"):
        assert (compared[name].difference, compared[name].p, compared[name].within) == (0.0, 1.0, True)
    assert compared["near"].within and compared["near"].difference <= 0
    assert not compared["poor"].within and compared["poor"].p < 0.01


def test_alpha_decides_what_is_kept() -> None:
    systems = {"best": draws(200, 0.6, 1), "less": draws(200, 0.5, 2)}
    p = not_worse_than_best(systems)["less"].p
    kept = [not_worse_than_best(systems, alpha=alpha)["less"].within for alpha in (p / 2, p, p * 1.1)]
    assert kept == [True, True, False]


def test_one_cluster_tells_nothing() -> None:
    assert not_worse_than_best({"a": [1.0, 1.0], "b": [0.0, 0.0]}, ["x", "x"])["b"].within


def test_one_of_24_equal_systems_is_dropped_in_5_searches_of_100() -> None:
    """Uncorrected, in about 90 of 100: the family-wise rate of the correction is alpha."""
    dropped, worlds = 0, 120
    for world in range(worlds):
        source = np.random.default_rng(world)
        scores = (0.5 * source.random(150) + 0.5 * source.random((24, 150)) < 0.5).astype(float)
        compared = not_worse_than_best(dict(enumerate(scores)), seed=world, resamples=199)  # type: ignore[arg-type]
        dropped += any(not one.within for one in compared.values())
    assert 0.01 <= dropped / worlds <= 0.11


def test_what_is_worse_leaves_the_family() -> None:
    """The wide differences of a bad system do not protect the others: with it, the second's p is as without it."""
    source = np.random.default_rng(3)
    good = source.normal(0.7, 0.1, 300)
    systems = {"good": good, "less": good - source.normal(0.01, 0.06, 300)}
    alone = not_worse_than_best(systems)["less"].p
    beside = not_worse_than_best(systems | {"bad": source.normal(0.0, 0.1, 300)})
    assert beside["bad"].p < 0.001 and beside["less"].p == pytest.approx(alone, abs=1e-9)
