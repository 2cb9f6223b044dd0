"""Candidates: nothing that FAISS ranks among the best is missing, whatever the vectors are like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ArtifactError
from rag_lightning.index import flat
from rag_lightning.index.flat import Candidates, FlatIndex, Floats
from rag_lightning.index.index import build_index


def vectors_of(kind: str) -> Floats:
    """2,000 vectors of 96 numbers, over several products."""
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((2000, 96), dtype=np.float32)
    if kind == "doubled":
        vectors[1000:] = vectors[:1000]
    elif kind == "nearly equal":
        vectors = vectors[:1] + np.float32(1e-7) * vectors
    elif kind == "growing":
        vectors *= np.geomspace(1e-3, 1e3, len(vectors), dtype=np.float32)[:, None]
    elif kind == "tiny":
        vectors *= np.float32(1e-22)
    elif kind == "huge":
        vectors *= np.float32(1.1e18)
    elif kind == "equal":
        vectors[:] = vectors[0]
    return vectors


@pytest.fixture(autouse=True)
def _small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "TOGETHER", 300)
    monkeypatch.setattr(flat, "MOST", 9000)
    monkeypatch.setattr(flat, "LARGE", 0)
    monkeypatch.setattr(flat, "AT_ONCE", 16)


@pytest.mark.parametrize("kind", ["plain", "doubled", "nearly equal", "growing", "tiny", "huge", "equal"])
@pytest.mark.parametrize("k", [1, 7, 300])
def test_a_query_gets_what_faiss_gives_it_alone_bit_by_bit(kind: str, k: int) -> None:
    vectors = vectors_of(kind)
    queries = vectors[::97] + np.float32(0.01) * vectors[1::97][: len(vectors[::97])]
    index = build_index(IndexConfig("flat"), vectors)
    for _ in range(2):  # the second time the lengths are known
        scores, rows = index.search(queries, k)
        for query, found, at in zip(queries, scores, rows, strict=True):
            alone, where = index.faiss_index.search(query[None], k)
            np.testing.assert_array_equal(found, alone[0])
            assert len(set(at.tolist())) == k
            clear = found > found[-1]  # equal scores at the end are FAISS's choice
            assert set(at[clear].tolist()) == set(where[0][alone[0] > found[-1]].tolist())


def test_candidates_are_few() -> None:
    vectors = vectors_of("plain")
    rows = Candidates(vectors).rows(vectors[:4], 5)
    assert rows is not None
    assert 5 <= len(rows) <= 21


def test_of_vectors_as_good_as_equal_a_product_tells_nothing() -> None:
    vectors = vectors_of("equal")
    assert Candidates(vectors).rows(vectors[:8], 5) is None


def test_products_that_could_overflow_are_not_asked() -> None:
    vectors = vectors_of("huge")
    assert Candidates(vectors).rows(vectors[:8], 5) is None


def test_an_index_that_grew_is_seen_whole() -> None:
    vectors = vectors_of("plain")
    index = build_index(IndexConfig("flat"), vectors[:1000])
    index.search(vectors[1500:1503], 1)
    index.faiss_index.add(vectors[1000:])
    assert index.search(vectors[1500:1503], 1)[1].ravel().tolist() == [1500, 1501, 1502]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Vectors and their flat index as files."""
    np.save(tmp_path / "vectors.npy", vectors_of("plain"))
    build_index(IndexConfig("flat"), vectors_of("plain")).save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("large", [0, 1 << 27])
def test_a_mapped_index_finds_what_a_built_one_does(saved: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(flat, "LARGE", large)
    vectors = np.load(saved / "vectors.npy", mmap_mode="r")
    mapped, built = FlatIndex.mapped(saved, vectors), build_index(IndexConfig("flat"), vectors)
    for found, wanted in zip(mapped.search(vectors[:40], 3), built.search(vectors[:40], 3), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_products_of_a_mapped_index_read_the_vectors_which_numpy_need_not_copy(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Floats] = []
    products = Candidates._products
    monkeypatch.setattr(Candidates, "_products", lambda self, asked: read.append(self.vectors) or products(self, asked))
    vectors = np.load(saved / "vectors.npy", mmap_mode="r")
    FlatIndex.mapped(saved, vectors).search(vectors[:4], 3)
    assert read
    assert all(array.flags.aligned and np.shares_memory(array, vectors) for array in read)


def test_a_mapped_index_of_other_vectors_says_what_it_holds(saved: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds 2000 vectors of width 96, not \(1999, 96\); remove"):
        FlatIndex.mapped(saved, vectors_of("plain")[1:])
