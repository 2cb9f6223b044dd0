"""The expected optimism of the best of several systems."""

from __future__ import annotations

import numpy as np
import pytest

from rag_lightning.metrics.statistics import optimism_of_best


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
