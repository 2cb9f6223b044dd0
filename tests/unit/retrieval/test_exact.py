"""Exact search by blocks against FAISS's flat index, and against a sort of all scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.index.index import Floats, build_index
from rag_lightning.retrieval import exact
from rag_lightning.retrieval.exact import ExactSearch


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "BLOCK", 64)
    monkeypatch.setattr(exact, "QUERIES", 7)


def drawn(count: int, width: int, seed: int, levels: int = 0) -> Floats:
    """Vectors [count, width]; with `levels` of few whole numbers, so that scores are exact and often equal."""
    random = np.random.default_rng(seed)
    if not levels:
        return random.normal(size=(count, width)).astype(np.float32)
    found = random.integers(-levels, levels + 1, (count, width)).astype(np.float32)
    found[~found.any(axis=1)] = 1
    return found


@pytest.mark.parametrize("k", [1, 5, 64, 65, 300])
@pytest.mark.parametrize("kept", [0, 3 * 64 * 24 * 4, 1 << 20])
def test_the_best_are_those_of_faiss(k: int, kept: int) -> None:
    vectors, queries = drawn(300, 24, 0), drawn(20, 24, 1)
    search = ExactSearch(vectors, "cpu", kept)
    wanted, theirs = build_index(IndexConfig("flat"), vectors).search(queries, k)
    for _ in range(2):  # the second time some blocks are there already
        scores, rows = search.search(queries, k)
        np.testing.assert_array_equal(rows, theirs)
        np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert sum(block.nbytes for block in search._kept.values()) <= kept
    assert (len(search._kept) > 0) == (kept > 0)


@pytest.mark.parametrize("k", [1, 5, 20, 120])
def test_of_equal_scores_the_lowest_rows_are_found_in_their_order(k: int) -> None:
    vectors, queries = drawn(500, 6, 2, levels=2), drawn(30, 6, 3, levels=2)
    scores, rows = ExactSearch(vectors, "cpu").search(queries, k)
    products = queries @ vectors.T
    wanted = np.argsort(-products, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(rows, wanted)
    their_scores, theirs = build_index(IndexConfig("flat"), vectors).search(queries, k)
    np.testing.assert_array_equal(scores, their_scores)
    above = scores > scores[:, -1:]  # FAISS leaves open which of those equal to the last it finds
    np.testing.assert_array_equal(np.where(above, rows, 0), np.where(above, theirs, 0))


def test_a_query_alone_finds_what_it_finds_among_others() -> None:
    vectors, queries = drawn(200, 6, 4, levels=1), drawn(25, 6, 5, levels=1)
    search = ExactSearch(vectors, "cpu")
    whole = search.search(queries, 9)[1]
    np.testing.assert_array_equal(np.concatenate([search.search(queries[i : i + 1], 9)[1] for i in range(25)]), whole)


def test_fewer_vectors_than_wanted() -> None:
    scores, rows = ExactSearch(drawn(3, 4, 0), "cpu").search(drawn(2, 4, 1), 5)
    assert (rows[:, 3:] == -1).all() and (rows[:, :3] >= 0).all() and np.isneginf(scores[:, 3:]).all()


def test_queries_on_the_device_give_results_there() -> None:
    vectors, queries = drawn(100, 8, 6), torch.from_numpy(drawn(5, 8, 7)).requires_grad_()
    search = ExactSearch(vectors, "cpu")
    scores, rows = search.find(queries, 4)
    assert not scores.requires_grad
    np.testing.assert_array_equal(rows.numpy(), search.search(queries.detach().numpy(), 4)[1])


def test_what_cannot_be_searched_is_refused() -> None:
    search = ExactSearch(drawn(9, 4, 0), "cpu")
    with pytest.raises(ConfigError, match="at least 1"):
        search.search(drawn(1, 4, 1), 0)
    with pytest.raises(DataError, match="5 wide instead of 4"):
        search.search(drawn(1, 5, 1), 1)
    with pytest.raises(ConfigError, match="at least one vector"):
        ExactSearch(np.empty((0, 4), np.float32), "cpu")
