"""Exact search: every inner product, in full (`flat`) or in 8 bits a number (`sq8`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag_lightning.core.config import IndexConfig
from rag_lightning.index.index import BLOCK, FaissIndex, Floats, Rows, faiss, ordered

LARGE = 1 << 27
"""Bytes of all vectors that a processor's cache does not hold."""
IN_CACHE = 1024
"""Vectors that several queries meet while they are in the processor's cache."""
PER_HIT = 16
"""Vectors of a block at least, for each hit that is kept of it."""
AT_ONCE = 64
"""Queries whose hits in all blocks are held at a time."""


class FlatIndex(FaissIndex):
    """4 * D bytes a vector; exact.

    FAISS reads all vectors again for every query, from memory where there are many. Of those a block meets AT_ONCE
    queries here before the next is read: the same inner products, bit by bit.
    """

    kind = "flat"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexFlatIP."""
        return faiss.IndexFlatIP(dim)

    def _found(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        size = max(IN_CACHE, PER_HIT * k)
        if len(queries) == 1 or self.ntotal <= size or 4 * self.ntotal * self.dim < LARGE:
            return super()._found(queries, k)
        parts = [self._scan(queries[start : start + AT_ONCE], k, size) for start in range(0, len(queries), AT_ONCE)]
        scores, rows = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(rows)

    def _scan(self, queries: Floats, k: int, size: int) -> tuple[Floats, Rows]:
        """Blocks of `size` vectors; what cannot be among the best any more is dropped every BLOCK vectors."""
        scores, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        for start in range(0, self.ntotal, BLOCK):
            stop = min(start + BLOCK, self.ntotal)
            found = [self._block(queries, k, first, min(first + size, stop)) for first in range(start, stop, size)]
            more = [np.concatenate(part, axis=1) for part in zip(*found, strict=True)]
            scores, rows = ordered(np.hstack([scores, more[0]]), np.hstack([rows, more[1]]), k)
        return scores, rows

    def _block(self, queries: Floats, k: int, start: int, stop: int) -> tuple[Floats, Rows]:
        among = faiss.SearchParameters(sel=faiss.IDSelectorRange(start, stop))
        found: tuple[Floats, Rows] = self.faiss_index.search(queries, k, params=among)
        return found


class SQ8Index(FaissIndex):
    """D bytes a vector; every number is rounded to 8 bits between the smallest and largest of its column."""

    kind = "sq8"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexScalarQuantizer of 8 bits."""
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
