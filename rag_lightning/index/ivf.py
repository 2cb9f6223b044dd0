"""Inverted file over k-means cells (Jégou et al. 2011), vectors in full or product-quantized."""

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
"""Below this FAISS warns that k-means has too few points a cell."""
ROW = 8
"""Bytes of a row number in an inverted list."""


@dataclass(frozen=True)
class IVFFlat(IndexKind):
    """4 * D + 8 bytes a vector.

    Args:
        nlist: Cells; 0 for about 4 * sqrt(N).
        nprobe: Cells visited by a search.
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
        """nprobe, never above nlist."""
        return faiss.SearchParametersIVF(nprobe=min(self.nprobe, faiss.extract_index_ivf(index).nlist))

    def bytes(self, count: int, dim: int) -> int:
        """Vectors, rows and the centres of the cells."""
        return count * (4 * dim + ROW) + self.cells(count) * 4 * dim

    def cells(self, count: int) -> int:
        """nlist: as configured, or about 4 * sqrt(N) where that leaves k-means points enough.

        Raises:
            ConfigError: more cells than vectors.
        """
        if self.nlist > count:
            raise ConfigError(f"index.nlist={self.nlist}: there are {count} vectors; choose fewer cells, or 0")
        return self.nlist or max(1, min(round(4 * math.sqrt(count)), count // POINTS_PER_CELL))

    def _made(self, code: str, count: int, dim: int) -> Any:
        index = faiss.index_factory(dim, f"IVF{self.cells(count)},{code}", faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1
        return index


@dataclass(frozen=True)
class IVFPQ(IVFFlat):
    """As many bytes a vector as the product quantizer says (PQ48x8: 48), and 8 for its row.

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
        """Codes, rows, the centres of the cells and the codebook."""
        parts, bits = quantizer(self.pq, count, dim)
        codes = count * (-(-parts * bits // 8) + ROW)
        return codes + self.cells(count) * 4 * dim + (1 << bits) * 4 * dim


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
