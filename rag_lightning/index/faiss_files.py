"""FAISS's classes, files and results: how a file is read and how large it gets, what an index searches by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import gt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import LazyModule

faiss: Any = LazyModule("faiss")
ROW = 8
"""Bytes of a row number in an inverted list."""
LINK, NODE = 4, 12
"""Bytes per link of a graph, and per node for its level and offset."""
CANDIDATE = 40
"""Bytes of a candidate while a search orders it: its score and row twice, its place, its exact score."""
Found = tuple[NDArray[np.float32], NDArray[np.int64]]
Search = Callable[[NDArray[np.float32], int], Found]
INSIDE = ("index", "base_index", "storage")
"""Attributes of FAISS's classes that hold another index."""


def read_faiss(path: Path, mapped: bool) -> Any:
    """Read a FAISS file with as much memory as it has bytes, whatever its header claims; `mapped` maps the file.

    Raises:
        RuntimeError, MemoryError: it is damaged, or claims more than it holds.
    """
    vectors, loops = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
    size = path.stat().st_size
    try:
        faiss.set_deserialization_vector_byte_limit(size)
        faiss.set_deserialization_loop_limit(size)
        skipped = faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE  # tables that serve L2 only, and that exceed the limit
        return faiss.read_index(str(path), skipped | (faiss.IO_FLAG_MMAP_IFC if mapped else 0))
    finally:
        faiss.set_deserialization_vector_byte_limit(vectors)
        faiss.set_deserialization_loop_limit(loops)


def by_inner_product(index: Any) -> bool:
    """Whether FAISS's index and what it wraps search by inner product; it falls back to L2 in places."""
    found = faiss.downcast_index(index)
    inner = (getattr(found, name, None) for name in INSIDE)
    return found.metric_type == faiss.METRIC_INNER_PRODUCT and all(by_inner_product(one) for one in inner if one)


def innermost(index: Any) -> Any:
    """The FAISS index behind transforms, maps of ids, refinement and the graph of an HNSW."""
    found = faiss.downcast_index(index)
    for name in INSIDE:
        inner = getattr(found, name, None)
        if inner is not None:
            return innermost(inner)
    return found


def file_bytes(index: Any, count: int) -> int:
    """Size of the file of an empty FAISS index once it holds `count` vectors, without headers of some hundred bytes.

    Raises:
        ConfigError: FAISS's class is not known here.
    """
    found = faiss.downcast_index(index)
    if hasattr(found, "chain"):
        return sum(_transform(found.chain.at(place)) for place in range(found.chain.size())) + file_bytes(
            found.index, count
        )
    if hasattr(found, "id_map"):
        return ROW * count + file_bytes(found.index, count)
    if hasattr(found, "refine_index"):
        return file_bytes(found.base_index, count) + file_bytes(found.refine_index, count)
    if hasattr(found, "hnsw"):
        return _links(int(found.hnsw.nb_neighbors(1)), count) + file_bytes(found.storage, count)
    if hasattr(found, "bbs"):  # fast scan: codes in blocks of bbs vectors
        held = count + found.nlist * found.bbs // 2 if hasattr(found, "nlist") else -(-count // found.bbs) * found.bbs
        codes = held * found.M2 // 2
    elif hasattr(found, "code_size"):
        codes = count * int(found.code_size)
    else:
        raise ConfigError(f"the size of FAISS's {type(found).__name__} is not known; set another index.kind")
    if hasattr(found, "nlist"):
        codes += ROW * count + file_bytes(found.quantizer, found.nlist)
    return int(codes) + _codebook(found)


def _transform(transform: Any) -> int:
    """The matrix, and that of all components with their variances and the mean where it is a PCA."""
    found = faiss.downcast_VectorTransform(transform)
    width = int(found.d_in)
    return 4 * width * (int(found.d_out) + (width + 2 if hasattr(found, "PCAMat") else 0))


def _links(m: int, count: int) -> int:
    """2 m links per vector on level 0, m on each level above, where level l has a share of m ** -l."""
    return round(count * (LINK * (2 * m + m / (m - 1)) + NODE))


def _codebook(index: Any) -> int:
    quantizer, scalar = getattr(index, "pq", None), getattr(index, "sq", None)
    size = 4 * quantizer.ksub * index.d if quantizer is not None else 0
    ranged = scalar is not None and scalar.qtype in (faiss.ScalarQuantizer.QT_8bit, faiss.ScalarQuantizer.QT_4bit)
    return int(size) + (8 * int(index.d) if ranged else 0)


def ordered(scores: NDArray[Any], rows: NDArray[Any], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best k of [Q, any] in descending order of score, ties by row; row -1 has score -inf."""
    if rows.shape[1] == k:
        if len(rows) == 1:  # by lists, in a third of the time
            found = scores[0].tolist()
            plain = rows[0, -1] >= 0 and all(map(gt, found, found[1:]))
        else:
            plain = rows[:, -1].min() >= 0 and (scores[:, 1:] < scores[:, :-1]).all()
        if plain:
            return scores, rows  # as FAISS ordered them, without ties or gaps
    if rows.min() < 0:
        scores = np.where(rows < 0, np.float32(-np.inf), scores)
    if len(rows) == 1:  # without indexes of lines, in half of the time
        best = np.lexsort((rows[0], -scores[0]))[:k]
        return scores.take(best, 1).astype(np.float32, copy=False), rows.take(best, 1).astype(np.int64, copy=False)
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    lines = np.arange(len(rows))[:, None]
    return scores[lines, order].astype(np.float32, copy=False), rows[lines, order].astype(np.int64, copy=False)


def in_batches(search: Search, queries: NDArray[np.float32], k: int, megabytes: int, wanted: int) -> Found:
    """What a search finds for queries [Q, D], as many at a time as the memory for their candidates allows.

    Args:
        search: queries [any, D], k -> (scores [any, k], rows [any, k]).
        queries: The queries.
        k: Results of a query.
        megabytes: Memory for candidates.
        wanted: Candidates of a query.
    """
    size = max(1, megabytes * 10**6 // (CANDIDATE * wanted))
    if len(queries) <= size:
        return search(queries, k)
    scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), size):
        scores[start : start + size], rows[start : start + size] = search(queries[start : start + size], k)
    return scores, rows


@contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """Set FAISS's number of threads (0: unchanged) in a block; torch's number is independent of it."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
