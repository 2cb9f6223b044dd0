"""Exact search: every inner product, in full (`flat`) or in 8 bits a number (`sq8`)."""

from __future__ import annotations

from typing import Any

from rag_lightning.core.config import IndexConfig
from rag_lightning.index.index import FaissIndex, faiss


class FlatIndex(FaissIndex):
    """4 * D bytes a vector; exact."""

    kind = "flat"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexFlatIP."""
        return faiss.IndexFlatIP(dim)


class SQ8Index(FaissIndex):
    """D bytes a vector; every number is rounded to 8 bits between the smallest and largest of its column."""

    kind = "sq8"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexScalarQuantizer of 8 bits."""
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
