"""The HNSW graph, hierarchical navigable small world (Malkov and Yashunin 2016, https://arxiv.org/abs/1603.09320)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError
from rag_lightning.index import building
from rag_lightning.index.codes import MOST_LINKS, CompressedKind
from rag_lightning.index.index import SEARCH, Floats, IndexKind, Report, faiss


@dataclass(frozen=True)
class HNSW(IndexKind):
    """HNSW graph; 4 * D bytes per vector and about 8 * m for its links.

    Args:
        m: Number of links per node.
        ef_construction: Size of the candidate list while building.
        ef_search: Size of the candidate list while searching; at least k is used.
    """

    title: ClassVar[str] = "HNSW graph"
    m: PositiveInt = 32
    ef_construction: PositiveInt = 200
    ef_search: PositiveInt = setting(128, stages=SEARCH)

    def __post_init__(self) -> None:
        """Raise ConfigError for fewer than two links, which cannot connect a graph, or too many."""
        super().__post_init__()
        if not 2 <= self.m <= MOST_LINKS:
            raise ConfigError(f"index.m={self.m}: must be 2 to {MOST_LINKS:,}")

    def empty(self, count: int, dim: int) -> Any:
        """An IndexHNSWFlat."""
        return self._constructing(faiss.IndexHNSWFlat(dim, self.m, faiss.METRIC_INNER_PRODUCT))

    def _constructing(self, index: Any) -> Any:
        index.hnsw.efConstruction = self.ef_construction
        return index

    def fill(self, index: Any, vectors: Floats, report: Report, folder: Path | None) -> Any:
        """Add all vectors in one call: FAISS orders the nodes of a call by level; blocks would give another graph."""
        building.train(index, vectors, folder)
        index.add(np.ascontiguousarray(vectors))
        report(len(vectors), len(vectors))
        return index

    def search_parameters(self, index: Any, k: int) -> Any:
        """ef_search, at least k."""
        return faiss.SearchParametersHNSW(efSearch=max(self.ef_search, k))


@dataclass(frozen=True)
class HNSWSQ8(HNSW, CompressedKind):
    """HNSW graph over 8 bits per number, the paper's 36 GB kind; D bytes per vector and about 8 * m for its links."""

    title: ClassVar[str] = "HNSW graph, 8 bits a number"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexHNSWSQ of 8 bits."""
        bits = faiss.ScalarQuantizer.QT_8bit
        return self._constructing(faiss.IndexHNSWSQ(dim, bits, self.m, faiss.METRIC_INNER_PRODUCT))
