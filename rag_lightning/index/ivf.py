"""Inverted file over k-means cells (Jégou et al. 2011), with uncompressed or product-quantised vectors."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from rag_lightning.config.bounds import NonNegativeInt, PositiveInt
from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError
from rag_lightning.index.index import SEARCH, IndexKind, faiss

POINTS_PER_CELL = 39
"""FAISS warns if k-means has fewer points per cell."""
ROW = 8
"""Bytes of a row number in an inverted list."""


@dataclass(frozen=True)
class IVFFlat(IndexKind):
    """Inverted file over k-means cells with uncompressed vectors; 4 * D + 8 bytes per vector.

    Args:
        nlist: Number of cells; 0 for about 4 * sqrt(N).
        nprobe: Number of cells that a search visits.
    """

    title: ClassVar[str] = "inverted file"
    nlist: NonNegativeInt = 0
    nprobe: PositiveInt = setting(32, stages=SEARCH)

    def empty(self, count: int, dim: int) -> Any:
        """An IndexIVFFlat.

        Raises:
            ConfigError: more cells than vectors.
        """
        return self._made("Flat", count, dim)

    def search_parameters(self, index: Any, k: int) -> Any:
        """nprobe, at most nlist."""
        return faiss.SearchParametersIVF(nprobe=min(self.nprobe, faiss.extract_index_ivf(index).nlist))

    def bytes(self, count: int, dim: int) -> int:
        """The size of vectors, rows and cell centres."""
        return count * (4 * dim + ROW) + self.cells(count) * 4 * dim

    def cells(self, count: int) -> int:
        """The number of cells: nlist, or about 4 * sqrt(N), limited by the points that k-means needs per cell.

        Raises:
            ConfigError: more cells than vectors.
        """
        if self.nlist > count:
            raise ConfigError(f"index.nlist={self.nlist}: there are only {count} vectors; choose fewer cells, or 0")
        return self.nlist or max(1, min(round(4 * math.sqrt(count)), count // POINTS_PER_CELL))

    def _made(self, code: str, count: int, dim: int) -> Any:
        index = faiss.index_factory(dim, f"IVF{self.cells(count)},{code}", faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1
        return index


@dataclass(frozen=True)
class IVFPQ(IVFFlat):
    """Inverted file with product-quantised vectors; PQ48x8 takes 48 + 8 bytes per vector.

    Args:
        pq: FAISS's name of the product quantizer.
    """

    title: ClassVar[str] = "inverted file, product-quantized"
    pq: str = "PQ48x8np"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexIVFPQ.

        Raises:
            ConfigError: a quantizer that does not divide the width, or has more centroids than there are vectors.
        """
        quantizer(self.pq, count, dim)
        return self._made(self.pq, count, dim)

    def bytes(self, count: int, dim: int) -> int:
        """The size of codes, rows, cell centres and codebook."""
        parts, bits = quantizer(self.pq, count, dim)
        codes = count * (-(-parts * bits // 8) + ROW)
        return codes + self.cells(count) * 4 * dim + (1 << bits) * 4 * dim


def quantizer(name: str, count: int, dim: int) -> tuple[int, int]:
    """(number of parts, bits per part) of a product quantizer from its FAISS name.

    Raises:
        ConfigError: an invalid name, parts that do not divide the width, or more centroids than there are vectors.
    """
    match = re.fullmatch(r"PQ(\d+)x(\d+)(np)?", name)
    if not match or int(match[1]) < 1 or not 1 <= int(match[2]) <= 16:
        raise ConfigError(f"index.pq={name}: must be a FAISS name such as PQ48x8np")
    parts, bits = int(match[1]), int(match[2])
    if dim % parts:
        fitting = max(m for m in range(1, parts + 1) if dim % m == 0)
        raise ConfigError(
            f"index.pq={name}: {parts} parts do not divide the vector size {dim}; use PQ{fitting}x{bits}np"
        )
    if count < 2**bits:
        raise ConfigError(f"index.pq={name} needs at least {2**bits} vectors, there are {count}; use index.kind=flat")
    return parts, bits
