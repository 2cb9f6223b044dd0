"""Inverted file over k-means cells (Jégou et al. 2011), vectors in full or product-quantized."""

from __future__ import annotations

import math
import re
from typing import Any

from rag_lightning.config.experiment import IndexConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.index.index import FaissIndex, faiss

POINTS_PER_CELL = 39
"""Below this FAISS warns that k-means has too few points a cell."""


class IVFFlatIndex(FaissIndex):
    """4 * D + 8 bytes a vector."""

    kind = "ivf_flat"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexIVFFlat.

        Raises:
            ConfigError: more cells than vectors, or nprobe < 1.
        """
        return _make(f"IVF{cells(config, count)},Flat", config, dim)

    def search_parameters(self, k: int) -> Any:
        """nprobe, never above nlist."""
        return faiss.SearchParametersIVF(
            nprobe=min(self.config.nprobe, faiss.extract_index_ivf(self.faiss_index).nlist)
        )


class IVFPQIndex(IVFFlatIndex):
    """As many bytes a vector as the product quantizer says (PQ48x8: 48), and 8 for its row."""

    kind = "ivf_pq"

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An IndexIVFPQ.

        Raises:
            ConfigError: a quantizer that does not divide the width, or has more centroids than there are vectors.
        """
        quantizer(config.pq, count, dim)
        return _make(f"IVF{cells(config, count)},{config.pq}", config, dim)


def cells(config: IndexConfig, count: int) -> int:
    """nlist: as configured, or about 4 * sqrt(N) where that leaves k-means points enough.

    Raises:
        ConfigError: more cells than vectors.
    """
    if config.nlist > count or config.nlist < 0:
        raise ConfigError(f"index.nlist is {config.nlist}, but there are {count} vectors; choose fewer cells, or 0")
    return config.nlist or max(1, min(round(4 * math.sqrt(count)), count // POINTS_PER_CELL))


def quantizer(name: str, count: int, dim: int) -> tuple[int, int]:
    """(parts, bits of a part) of a product quantizer's FAISS name.

    Raises:
        ConfigError: no such name, parts that do not divide the width, or more centroids than there are vectors.
    """
    match = re.fullmatch(r"PQ(\d+)x(\d+)(np)?", name)
    if not match or int(match[1]) < 1 or not 1 <= int(match[2]) <= 16:
        raise ConfigError(f"index.pq is {name!r}; expected a FAISS name such as PQ48x8np")
    parts, bits = int(match[1]), int(match[2])
    if dim % parts:
        fitting = max(m for m in range(1, parts + 1) if dim % m == 0)
        raise ConfigError(
            f"index.pq {name!r}: {parts} parts do not divide vectors {dim} wide; PQ{fitting}x{bits}np does"
        )
    if count < 2**bits:
        raise ConfigError(f"index.pq {name!r} needs at least {2**bits} vectors, there are {count}; use kind flat")
    return parts, bits


def _make(factory: str, config: IndexConfig, dim: int) -> Any:
    if config.nprobe < 1:
        raise ConfigError(f"index.nprobe is {config.nprobe}; choose at least 1")
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    return index
