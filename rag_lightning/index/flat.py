"""Exact search: every inner product, in full (`flat`) or in 8 bits a number (`sq8`).

Which vectors can be among the best of a query: matrix products over all of them, and a bound on their rounding.

An inner product of D float32 numbers, summed in any order, is off by at most gamma |q| |x|, where u = 2^-24 and
gamma = D u / (1 - D u) (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1). Two ways to sum then
differ by 2 gamma |q| |x|: what is among the best k in one lies at most 4 gamma |q| max |x| below the other's k-th best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ArtifactError
from rag_lightning.index.index import FAISS_FILE, FaissIndex, Floats, IndexKind, Rows, faiss, ordered

LARGE = 1 << 27
"""Bytes of all vectors that a processor's cache does not hold."""
AT_ONCE = 64
"""Queries whose candidates are held at a time."""


class FlatIndex(FaissIndex):
    """Exact search.

    FAISS reads all vectors again for every query, from memory where there are many. Of those one matrix product tells
    here which can be among the best, and FAISS scores these: bit by bit what it gives a query that comes alone.
    """

    _candidates: Candidates | None = None

    @classmethod
    def mapped(cls, folder: Path, vectors: Floats) -> Self:
        """What `save` wrote, left in its file, and the memory-mapped vectors [N, D] it was built over; both are shared.

        Products read the vectors: in FAISS's file numbers stand at an odd address, and numpy copies those first.

        Raises:
            ArtifactError: FAISS cannot read the file, or it holds another number or width of vectors.
        """
        index = cls.read(folder, IndexConfig("flat"), mapped=True)
        if vectors.shape != (index.ntotal, index.dim):
            held = f"{index.ntotal} vectors of width {index.dim}, not {vectors.shape}"
            raise ArtifactError(f"{folder / FAISS_FILE}: holds {held}; remove {folder} and build it again")
        index._candidates = Candidates(vectors)
        return index

    def _found(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        if len(queries) == 1 or k > min(TOGETHER, self.ntotal) or 4 * self.ntotal * self.dim < LARGE:
            return super()._found(queries, k)
        parts = [self._best(queries[start : start + AT_ONCE], k) for start in range(0, len(queries), AT_ONCE)]
        scores, rows = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(rows)

    def _best(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        if self._candidates is None or len(self._candidates.vectors) != self.ntotal:
            numbers = faiss.rev_swig_ptr(self.faiss_index.get_xb(), self.ntotal * self.dim)
            self._candidates = Candidates(numbers.reshape(self.ntotal, self.dim))
        rows = self._candidates.rows(queries, k)
        among = faiss.IDSelectorRange(0, self.ntotal) if rows is None else faiss.IDSelectorArray(rows)
        scores, found = self.faiss_index.search(queries, k, params=faiss.SearchParameters(sel=among))
        return ordered(scores, found, k)


@dataclass(frozen=True)
class Flat(IndexKind):
    """Every vector in full, 4 * D bytes each; exact."""

    title: ClassVar[str] = "exact search"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexFlatIP."""
        return faiss.IndexFlatIP(dim)

    def bytes(self, count: int, dim: int) -> int:
        """4 * D bytes a vector."""
        return count * 4 * dim

    @property
    def opened_as(self) -> type[FaissIndex]:
        """Searched by products over all vectors where there are many."""
        return FlatIndex


@dataclass(frozen=True)
class SQ8(IndexKind):
    """D bytes a vector; every number is rounded to 8 bits between the smallest and largest of its column."""

    title: ClassVar[str] = "8 bits a number"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexScalarQuantizer of 8 bits."""
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)

    def bytes(self, count: int, dim: int) -> int:
        """D bytes a vector, and the range of each column."""
        return count * dim + 8 * dim


Doubles = NDArray[np.float64]

TOGETHER = 1 << 11
"""Vectors of a product; the first of them give the first bound, so k is at most this."""
MOST = 1 << 20
"""Candidates held at a time; where more vectors are as good as equal, a product does not tell them apart."""
PANEL = 16
"""Queries a matrix product takes as fast as fewer, or faster."""
OVERFLOWS = 1e38
UNIT = 2.0**-24


class Candidates:
    """Finds them; knows the longest of each TOGETHER vectors after it has met them.

    Args:
        vectors: [N, D] float32, finite.
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        self._longest: dict[int, float] = {}  # two threads may write the same
        terms = vectors.shape[1] * UNIT
        self._gamma = terms / (1 - terms)

    def rows(self, queries: Floats, k: int) -> Rows | None:
        """Ascending rows [C] among which are the best k of each query; None where a product cannot tell.

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
        """First row of each TOGETHER vectors, length of the longest so far, inner products [TOGETHER, PANEL * any].

        Columns beyond the queries are 0. The array is used again.
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
            with np.errstate(over="ignore", invalid="ignore"):  # told by the lengths
                product = np.matmul(block, panels.T, out=room[: len(block)])
            yield start, longest, product


def _below(values: Doubles) -> Floats:
    """The float32 below each."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def _kth(which: Rows, scores: Floats, queries: int, k: int) -> Doubles:
    """The k-th best score of each query [queries]; each has k at least."""
    order = np.lexsort((-scores, which))
    starts = np.searchsorted(which[order], np.arange(queries))
    return scores[order][starts + k - 1].astype(np.float64)
