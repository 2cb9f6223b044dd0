"""A search takes as much memory as it may, and as many threads as it is given."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag_lightning.bench.memory import MIB, Peak
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ArtifactError
from rag_lightning.index import building
from rag_lightning.index.faiss_files import CANDIDATE
from rag_lightning.index.index import FaissIndex, Floats, Rows, build_index, faiss, load_index
from tests.index_kinds import COUNT, KINDS, clustered, config


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return clustered()


@pytest.mark.parametrize("kind", KINDS)
def test_queries_are_searched_in_batches_that_fit_into_the_memory(
    kind: str, vectors: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, sizes = build_index(config(kind), vectors), []
    scores, rows = index.search(vectors[:50], COUNT)
    found = type(index)._found

    def seen(self: FaissIndex, queries: Floats, k: int) -> tuple[Floats, Rows]:
        sizes.append(len(queries))
        return found(self, queries, k)

    monkeypatch.setattr(type(index), "_found", seen)
    index.config = replace(index.config, search_mb=1)
    batched = index.search(vectors[:50], COUNT)
    assert sizes == [16, 16, 16, 2], "of 1 MB at 40 bytes a candidate"
    np.testing.assert_allclose(batched[0], scores, atol=1e-5)
    assert (batched[1] == rows).mean() > 0.999, "products of other shapes may round otherwise"


@pytest.mark.parametrize("refine", [0, 4])
def test_a_search_keeps_to_its_memory(vectors: Floats, refine: int) -> None:
    """A candidate takes most of the bytes that are reckoned with, but no more; results come on top.

    All that numpy allocates is counted, so that no peak is missed; FAISS's own memory is sampled.
    """
    index = build_index(config("sq8", refine=refine), vectors).with_vectors(vectors)
    asked, k = np.tile(vectors, (2 if refine else 4, 1)), 300
    results, slack = len(asked) * k * 12 / MIB, 24
    for megabytes in (1000, 40):
        index.config = replace(index.config, search_mb=megabytes)
        candidates = min(megabytes * 10**6, CANDIDATE * len(asked) * index._wanted(k)) / MIB
        tracemalloc.start()
        with Peak() as peak:
            assert index.search(asked, k)[0].shape == (len(asked), k)
        arrays = tracemalloc.get_traced_memory()[1] / MIB
        tracemalloc.stop()
        assert candidates / 2 < arrays < candidates + results
        assert peak.mib < candidates + results + slack


def test_searching_and_building_take_the_threads_of_the_configuration(
    vectors: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    found, train = FaissIndex._found, building.train

    def searched(self: FaissIndex, queries: Floats, k: int) -> tuple[Floats, Rows]:
        used.append(faiss.omp_get_max_threads())
        return found(self, queries, k)

    monkeypatch.setattr(FaissIndex, "_found", searched)
    monkeypatch.setattr(building, "train", lambda *given: used.append(faiss.omp_get_max_threads()) or train(*given))
    before = faiss.omp_get_max_threads()
    for threads in (1, 2, 3):
        build_index(IndexConfig("sq8", threads=threads), vectors).save(tmp_path)
        opened = load_index(tmp_path, IndexConfig("sq8", {"refine": 0}, threads=threads, search_mb=7))
        opened.search(vectors[:1], 1)
        opened.search(vectors[:3], 1)
        assert opened.config.search_mb == 7 and faiss.omp_get_max_threads() == before
    assert used == [1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("row", [COUNT, 1 << 38, -2])
@pytest.mark.parametrize("refine", [0, 4])
def test_a_row_that_no_vector_has_is_damage_and_no_crash(vectors: Floats, row: int, refine: int) -> None:
    """A row number in an inverted list is damaged after its large file was hashed."""
    index = build_index(config("ivf_sq8", refine=refine), vectors).with_vectors(vectors)
    lists = index.faiss_index.invlists
    for cell in range(lists.nlist):
        codes = lists.get_codes(cell)
        for place in range(lists.list_size(cell)):
            lists.update_entries(cell, place, 1, faiss.swig_ptr(np.array([row])), codes)
    with pytest.raises(ArtifactError, match=rf"gives row {row:,}, but has 1,500 vectors: its file is damaged"):
        index.search(vectors[:1], 3)
