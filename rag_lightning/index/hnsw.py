"""Hierarchical navigable small world graph (Malkov and Yashunin 2016, https://arxiv.org/abs/1603.09320)."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag_lightning.config.experiment import IndexConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.index.index import FaissIndex, Floats, Report, faiss


class HNSWIndex(FaissIndex):
    """4 * D bytes a vector and about 8 * m more for its links."""

    kind = "hnsw"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexHNSWFlat.

        Raises:
            ConfigError: m < 2, or a search or build width below 1.
        """
        if config.m < 2 or config.ef_construction < 1 or config.ef_search < 1:
            raise ConfigError(
                f"hnsw needs m >= 2, ef_construction >= 1 and ef_search >= 1 "
                f"(got {config.m}, {config.ef_construction}, {config.ef_search})"
            )
        index = faiss.IndexHNSWFlat(dim, config.m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = config.ef_construction
        return index

    def _fill(self, vectors: Floats, report: Report) -> None:
        # One add of everything: FAISS orders the nodes of a call by level, so blocks would give another graph.
        self.faiss_index.add(np.ascontiguousarray(vectors))
        report(len(vectors), len(vectors))

    def search_parameters(self, k: int) -> Any:
        """ef_search, never below k."""
        return faiss.SearchParametersHNSW(efSearch=max(self.config.ef_search, k))
