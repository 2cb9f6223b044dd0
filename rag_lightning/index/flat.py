"""Exact search: every inner product, in full (`flat`) or in 8 bits a number (`sq8`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from rag_lightning.core.config import IndexConfig
from rag_lightning.core.errors import ArtifactError
from rag_lightning.index.candidates import TOGETHER, Candidates
from rag_lightning.index.index import FAISS_FILE, FaissIndex, Floats, Rows, faiss, ordered

LARGE = 1 << 27
"""Bytes of all vectors that a processor's cache does not hold."""
AT_ONCE = 64
"""Queries whose candidates are held at a time."""


class FlatIndex(FaissIndex):
    """4 * D bytes a vector; exact.

    FAISS reads all vectors again for every query, from memory where there are many. Of those one matrix product tells
    here which can be among the best, and FAISS scores these: bit by bit what it gives a query that comes alone.
    """

    kind = "flat"
    _candidates: Candidates | None = None

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexFlatIP."""
        return faiss.IndexFlatIP(dim)

    @classmethod
    def mapped(cls, folder: Path, vectors: Floats) -> Self:
        """What `save` wrote, left in its file, and the memory-mapped vectors [N, D] it was built over; both are shared.

        Products read the vectors: in FAISS's file numbers stand at an odd address, and numpy copies those first.

        Raises:
            ArtifactError: FAISS cannot read the file, or it holds another number or width of vectors.
        """
        index = cls.load(folder, IndexConfig("flat"), mapped=True)
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


class SQ8Index(FaissIndex):
    """D bytes a vector; every number is rounded to 8 bits between the smallest and largest of its column."""

    kind = "sq8"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexScalarQuantizer of 8 bits."""
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
