"""Search over all vectors, in float32.

Candidates of the best k are found by matrix products over all vectors, with a bound on their rounding error.

The rounding error of an inner product of D float32 numbers, summed in any order, is at most gamma |q| |x|, where
u = 2^-24 and gamma = D u / (1 - D u) (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1). Two
orders of summation therefore differ by at most 2 gamma |q| |x|, and a vector among the best k in one order is at most
4 gamma |q| max |x| below the k-th best in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.index.faiss_files import ordered
from rag_lightning.index.index import FaissIndex, Floats, IndexKind, Rows, faiss

LARGE = 1 << 27
"""Size of all vectors, in bytes, that exceeds the cache of a processor."""
AT_ONCE = 64
"""Number of queries searched together."""


class FlatIndex(FaissIndex):
    """Exact search, in batches of queries.

    FAISS reads all vectors for every query. Here one matrix product for many queries selects candidates, and FAISS
    scores only these; the result is bitwise equal to FAISS's for single queries.
    """

    _candidates: Candidates | None = None

    @classmethod
    def mapped(cls, folder: Path, vectors: Floats) -> Self:
        """A saved index, memory-mapped, with the memory-mapped vectors [N, D] it was built from; processes share both.

        Matrix products read `vectors`, because numbers in FAISS's file are not aligned and numpy would copy them.

        Raises:
            ArtifactError: FAISS cannot read the file, or it holds another number or width of vectors.
        """
        return cls.read(folder, IndexConfig("flat")).with_vectors(vectors)

    def _found(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        if len(queries) == 1 or k > min(TOGETHER, self.ntotal) or 4 * self.ntotal * self.dim < LARGE:
            return super()._found(queries, k)
        parts = [self._best(queries[start : start + AT_ONCE], k) for start in range(0, len(queries), AT_ONCE)]
        scores, rows = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(rows)

    def _best(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        if self._candidates is None or len(self._candidates.vectors) != self.ntotal:
            vectors = self.vectors
            if vectors is None or len(vectors) != self.ntotal:
                numbers = faiss.rev_swig_ptr(self.faiss_index.get_xb(), self.ntotal * self.dim)
                vectors = numbers.reshape(self.ntotal, self.dim)
            self._candidates = Candidates(vectors)
        rows = self._candidates.rows(queries, k)
        among = faiss.IDSelectorRange(0, self.ntotal) if rows is None else faiss.IDSelectorArray(rows)
        scores, found = self.faiss_index.search(queries, k, params=faiss.SearchParameters(sel=among))
        return ordered(scores, found, k)


@dataclass(frozen=True)
class Flat(IndexKind):
    """Exact search over uncompressed vectors; 4 * D bytes per vector."""

    title: ClassVar[str] = "exact search"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexFlatIP."""
        return faiss.IndexFlatIP(dim)

    @property
    def reads_vectors(self) -> bool:
        """It does: matrix products with numbers in FAISS's file, which are not aligned, are slower."""
        return True

    @property
    def opened_as(self) -> type[FaissIndex]:
        """FlatIndex, which searches batches of queries."""
        return FlatIndex


Doubles = NDArray[np.float64]

TOGETHER = 1 << 11
"""Number of vectors in a matrix product; k is at most this, because the first product gives the first bound."""
MOST = 1 << 20
"""Largest number of candidates; with more near-ties, matrix products select nothing useful."""
PANEL = 16
"""Number of queries per panel; a matrix product with fewer is not faster."""
OVERFLOWS = 1e38
UNIT = 2.0**-24


class Candidates:
    """Selection of the vectors that can be among the best k; caches the largest norm of each block of vectors.

    Args:
        vectors: [N, D] float32, finite.
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        self._longest: dict[int, float] = {}  # two threads may write the same
        terms = vectors.shape[1] * UNIT
        self._gamma = terms / (1 - terms)

    def rows(self, queries: Floats, k: int) -> Rows | None:
        """Ascending rows [C] that contain the best k of each query; None if matrix products cannot select them.

        Args:
            queries: [Q, D] float32, finite.
            k: At most TOGETHER and N.
        """
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        which, rows, scores = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        bounds: Doubles | None = None
        for start, longest, product in self._products(queries):
            if lengths.max() * longest >= OVERFLOWS:
                return None
            slack = 4 * self._gamma * lengths * longest + np.finfo(np.float32).tiny
            first = np.partition(product[:, : len(queries)], -k, axis=0)[-k] if bounds is None else bounds
            limits = np.full(product.shape[1], np.inf, np.float32)
            limits[: len(queries)] = _below(first - slack)
            at = np.flatnonzero(product >= limits)
            if not len(at):
                continue
            which, rows = np.append(which, at % len(limits)), np.append(rows, at // len(limits) + start)
            scores = np.append(scores, product.ravel()[at])
            bounds = _kth(which, scores, len(queries), k)
            kept = scores >= _below(bounds - slack)[which]
            which, rows, scores = which[kept], rows[kept], scores[kept]
            if len(rows) > MOST:
                return None
        return np.unique(rows)

    def _products(self, queries: Floats) -> Iterator[tuple[int, float, Floats]]:
        """For each block of vectors: first row, largest norm so far, inner products [TOGETHER, PANEL * any].

        Columns beyond the queries are 0. The array is reused.
        """
        panels = np.zeros((-(-len(queries) // PANEL) * PANEL, queries.shape[1]), np.float32)
        panels[: len(queries)] = queries
        room, longest = np.empty((TOGETHER, len(panels)), np.float32), 0.0
        for number, start in enumerate(range(0, len(self.vectors), TOGETHER)):
            block = self.vectors[start : start + TOGETHER]
            if number not in self._longest:
                squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
                self._longest[number] = float(np.sqrt(squares.max()))
            longest = max(longest, self._longest[number])
            with np.errstate(over="ignore", invalid="ignore"):  # detected by the norms
                product = np.matmul(block, panels.T, out=room[: len(block)])
            yield start, longest, product


def _below(values: Doubles) -> Floats:
    """The next smaller float32 of each value."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def _kth(which: Rows, scores: Floats, queries: int, k: int) -> Doubles:
    """The k-th best score of each query [queries]; each query has at least k scores."""
    order = np.lexsort((-scores, which))
    starts = np.searchsorted(which[order], np.arange(queries))
    return scores[order][starts + k - 1].astype(np.float64)
