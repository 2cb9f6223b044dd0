"""Hierarchical navigable small world graph (Malkov and Yashunin 2016, https://arxiv.org/abs/1603.09320)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError
from rag_lightning.index.index import SEARCH, Floats, IndexKind, Report, faiss

LINK, NODE = 4, 12
"""Bytes of a link, and of a node's level and offset."""


@dataclass(frozen=True)
class HNSW(IndexKind):
    """4 * D bytes a vector and about 8 * m more for its links.

    Args:
        m: Links of a node.
        ef_construction: Candidates kept while building.
        ef_search: Candidates kept while searching.
    """

    title: ClassVar[str] = "HNSW graph"
    m: PositiveInt = 32
    ef_construction: PositiveInt = 200
    ef_search: PositiveInt = setting(128, stages=SEARCH)

    def __post_init__(self) -> None:
        """Raise ConfigError for fewer than two links, with which no graph is connected."""
        super().__post_init__()
        if self.m < 2:
            raise ConfigError(f"index.m={self.m}: must be at least 2")

    def empty(self, count: int, dim: int) -> Any:
        """An IndexHNSWFlat."""
        index = faiss.IndexHNSWFlat(dim, self.m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.ef_construction
        return index

    def fill(self, index: Any, vectors: Floats, report: Report) -> None:
        """One add of everything: FAISS orders the nodes of a call by level, so blocks would give another graph."""
        index.add(np.ascontiguousarray(vectors))
        report(len(vectors), len(vectors))

    def search_parameters(self, index: Any, k: int) -> Any:
        """ef_search, never below k."""
        return faiss.SearchParametersHNSW(efSearch=max(self.ef_search, k))

    def bytes(self, count: int, dim: int) -> int:
        """2 m links of a vector on the ground level, m on each level above; level l is reached with chance m ** -l."""
        return round(count * (4 * dim + LINK * (2 * self.m + self.m / (self.m - 1)) + NODE))
