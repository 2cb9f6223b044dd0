"""An index with some rows removed and others added: what a rebuild of an exact index finds, without the rebuild."""

from __future__ import annotations

import numpy as np

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.numbering import Left
from rag_lightning.index.faiss_files import ordered
from rag_lightning.index.index import Floats, Index, Rows, build_index


class UpdatedIndex:
    """A base index without its removed rows, then a flat index over the added vectors (the delta).

    Rows are numbered as in a rebuild: what is left of the base in its order, then the added ones. Of the base as many
    more rows are searched as were removed, so that it is for few of them.

    Args:
        base: The base index.
        left: The rows of the base that are left.
        added: [M, D] float32, finite; M may be 0.
    """

    def __init__(self, base: Index, left: Left, added: Floats) -> None:
        self._base, self._left = base, left
        self._delta = build_index(IndexConfig("flat"), added) if len(added) else None
        self.ntotal, self.dim = len(left) + len(added), base.dim

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """As `Index.search`.

        Raises:
            ConfigError: k < 1.
            DataError: as that of the base.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; choose at least 1")
        scores, rows = self._base.search(queries, min(k + len(self._left.removed), self._base.ntotal))
        found = [(scores, self._left.numbered(rows))]
        if self._delta is not None:
            scores, rows = self._delta.search(queries, min(k, self._delta.ntotal))
            found.append((scores, np.where(rows < 0, -1, rows + len(self._left))))
        found.append((np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)))
        scores, rows = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        # row -1 is missing and stands last
        return ordered(scores, rows, k)
