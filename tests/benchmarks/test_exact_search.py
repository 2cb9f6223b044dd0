"""Exact search over a million vectors against raw FAISS: a training step's queries, and those of a data set.

And as training does it, files memory-mapped: products with the vectors against products with those in FAISS's file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.index.faiss_files import faiss_threads
from rag_lightning.index.flat import FlatIndex
from rag_lightning.index.index import FaissIndex, Floats, build_index
from tests.benchmarks.rag_models import Paired

VECTORS, WIDTH, BLOCK, PAIRS = 1_000_000, 384, 100_000, 3
AS_IN_TRAINING = 12
"""Questions of a step."""
pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(3600)]


def directions(draw: np.random.Generator, count: int) -> Floats:
    """Random vectors of length 1."""
    made = draw.standard_normal((count, WIDTH), dtype=np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True).astype(np.float32)


def filled(vectors: Floats) -> Floats:
    """The same array [N, WIDTH], of random directions now."""
    draw = np.random.default_rng(0)
    for start in range(0, len(vectors), BLOCK):
        vectors[start : start + BLOCK] = directions(draw, BLOCK)
    return vectors


@pytest.fixture(scope="module")
def index() -> FaissIndex:
    return build_index(IndexConfig("flat"), filled(np.empty((VECTORS, WIDTH), np.float32)))


@pytest.mark.parametrize(("queries", "k"), [(12, 5), (256, 50)])
def test_exact_search(
    index: FaissIndex, queries: int, k: int, capsys: pytest.CaptureFixture[str], benchmark: Any
) -> None:
    """One thread each; the same scores, and the same rows where no two scores are equal."""
    asked = directions(np.random.default_rng(1), queries)
    with faiss_threads(1):
        found = {}
        paired = Paired.of(
            lambda: found.update(theirs=index.faiss_index.search(asked, k)),
            lambda: found.update(ours=index.search(asked, k)),
            PAIRS,
        )
        np.testing.assert_allclose(found["ours"][0], found["theirs"][0], atol=1e-6)
        same = float((found["ours"][1] == found["theirs"][1]).mean())
        assert same > 0.999
        benchmark.extra_info["ratio"] = paired.ratio
        with capsys.disabled():
            print(
                f"\n{paired.line(f'exact search, {VECTORS:,} vectors, {queries} queries, k={k}')}, same rows {same:.5f}"
            )
        benchmark.pedantic(index.search, args=(asked, k), rounds=1)


def test_mapped_search(tmp_path: Path, capsys: pytest.CaptureFixture[str], benchmark: Any) -> None:
    """One thread each; scores and rows are equal."""
    written = filled(np.lib.format.open_memmap(tmp_path / "vectors.npy", "w+", np.float32, (VECTORS, WIDTH)))
    build_index(IndexConfig("flat"), written).save(tmp_path)
    vectors = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    ours, theirs = FlatIndex.mapped(tmp_path, vectors), FlatIndex.read(tmp_path, IndexConfig("flat"))
    asked = directions(np.random.default_rng(1), AS_IN_TRAINING)
    with faiss_threads(1):
        found, wanted = ours.search(asked, 5), theirs.search(asked, 5)  # reads the files and measures the lengths
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
        paired = Paired.of(lambda: theirs.search(asked, 5), lambda: ours.search(asked, 5), PAIRS)
        benchmark.extra_info["ratio"] = paired.ratio
        with capsys.disabled():
            print(
                paired.line(f"mapped search, {VECTORS:,} vectors, {AS_IN_TRAINING} queries, products with the vectors")
            )
        benchmark.pedantic(ours.search, args=(asked, 5), rounds=1)
