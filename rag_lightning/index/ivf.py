"""Inverted file over k-means cells (Jégou et al. 2011), with vectors uncompressed or as codes.

RaBitQ: https://arxiv.org/abs/2405.12497. OPQ: https://arxiv.org/abs/1311.4055.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rag_lightning.config.bounds import NonNegativeInt, PositiveInt
from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError
from rag_lightning.index import building
from rag_lightning.index.codes import CompressedKind, fitting_parts
from rag_lightning.index.faiss_files import faiss_threads
from rag_lightning.index.index import SEARCH, Floats, IndexKind, Report, faiss

LEAST_PER_CELL = 39
"""FAISS warns if k-means has fewer points per cell."""
OPQ_ROUNDS = 10
"""Rounds in which OPQ improves its rotation; FAISS's 50 take five times as long."""
OPQ_BYTES = 40 << 20
"""Size of the vectors that a rotation is trained on; FAISS holds about eight copies of them."""


@dataclass(frozen=True)
class IVFFlat(IndexKind):
    """Inverted file over k-means cells with uncompressed vectors; 4 * D + 8 bytes per vector.

    Args:
        nlist: Number of cells; 0 for about 4 * sqrt(N).
        nprobe: Number of cells that a search visits.
    """

    title: ClassVar[str] = "inverted file"
    code: ClassVar[str] = "Flat"
    nlist: NonNegativeInt = 0
    nprobe: PositiveInt = setting(32, stages=SEARCH)

    def empty(self, count: int, dim: int) -> Any:
        """An inverted file of FAISS.

        Raises:
            ConfigError: more cells than vectors.
        """
        return self._made(self.code, count, dim)

    def search_parameters(self, index: Any, k: int) -> Any:
        """nprobe, at most nlist."""
        return faiss.SearchParametersIVF(nprobe=self._probed(index))

    def cells(self, count: int) -> int:
        """The number of cells: nlist, or about 4 * sqrt(N), limited by the points that k-means needs per cell.

        Raises:
            ConfigError: more cells than vectors.
        """
        if self.nlist > count:
            raise ConfigError(f"index.nlist={self.nlist}: there are only {count} vectors; choose fewer cells, or 0")
        return self.nlist or max(1, min(round(4 * math.sqrt(count)), count // LEAST_PER_CELL))

    def _probed(self, index: Any) -> int:
        return min(self.nprobe, int(faiss.extract_index_ivf(index).nlist))

    def _made(self, code: str, count: int, dim: int) -> Any:
        index = faiss.index_factory(dim, f"IVF{self.cells(count)},{code}", faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1
        return index


@dataclass(frozen=True)
class IVFSQ8(IVFFlat, CompressedKind):
    """Inverted file with 8 bits per number; D + 8 bytes per vector."""

    title: ClassVar[str] = "inverted file, 8 bits a number"
    code: ClassVar[str] = "SQ8"


@dataclass(frozen=True)
class IVFPQ(IVFFlat, CompressedKind):
    """Inverted file with product-quantised vectors; PQ48x8 takes 48 + 8 bytes per vector.

    Args:
        pq: FAISS's name of the product quantizer.
    """

    title: ClassVar[str] = "inverted file, product-quantised"
    pq: str = "PQ48x8np"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexIVFPQ.

        Raises:
            ConfigError: a quantizer that does not divide the width, or has more centroids than there are vectors.
        """
        quantizer(self.pq, count, dim)
        index = self._made(self.pq, count, dim)
        index.pq.cp.min_points_per_centroid = 1
        return index


@dataclass(frozen=True)
class OPQIVFPQ(IVFPQ):
    """Inverted file with product-quantised vectors after a rotation that suits them (Ge et al. 2013)."""

    title: ClassVar[str] = "inverted file, rotated and product-quantised"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexPreTransform of an OPQMatrix and an IndexIVFPQ.

        Raises:
            ConfigError: as IVFPQ.
        """
        parts, _ = quantizer(self.pq, count, dim)
        rotation = faiss.OPQMatrix(dim, parts)
        rotation.niter = OPQ_ROUNDS
        rotation.max_train_points = OPQ_BYTES // (4 * dim)
        return faiss.IndexPreTransform(rotation, super().empty(count, dim))

    def fill(self, index: Any, vectors: Floats, report: Report, folder: Path | None) -> Any:
        """Train on one thread, because the products of the rotation depend on their number, then fill as usual."""
        rotation = faiss.downcast_VectorTransform(index.chain.at(0))
        rotation.pq = codes = faiss.ProductQuantizer(vectors.shape[1], *quantizer(self.pq, *vectors.shape))
        codes.cp.min_points_per_centroid = 1  # FAISS would warn in every round
        with faiss_threads(1):
            building.train(index, vectors, folder)
        rotation.pq = None  # FAISS does not own it
        del codes
        return super().fill(index, vectors, report, folder)

    def search_parameters(self, index: Any, k: int) -> Any:
        """Those of the inverted file."""
        return faiss.SearchParametersPreTransform(index_params=super().search_parameters(index, k))


@dataclass(frozen=True)
class IVFRaBitQ(IVFFlat, CompressedKind):
    """Inverted file with RaBitQ codes (Gao and Long 2024); D / 8 + 16 bytes per vector.

    Args:
        qb: Bits per number of a query, 1 to 8; 0 searches with queries that are not compressed, which is slower.
    """

    title: ClassVar[str] = "inverted file, RaBitQ"
    code: ClassVar[str] = "RaBitQ"
    qb: NonNegativeInt = setting(8, stages=SEARCH)

    def __post_init__(self) -> None:
        """Raise ConfigError for more bits than 8."""
        super().__post_init__()
        if self.qb > 8:
            raise ConfigError(f"index.qb={self.qb}: must be 1 to 8, or 0 for queries as they are")

    def search_parameters(self, index: Any, k: int) -> Any:
        """nprobe and qb."""
        return faiss.IVFRaBitQSearchParameters(nprobe=self._probed(index), qb=self.qb)


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
        fitting = f"PQ{fitting_parts(parts, dim)}x{bits}np"
        raise ConfigError(f"index.pq={name}: {parts} parts do not divide the vector size {dim}; use {fitting}")
    if count < 2**bits:
        raise ConfigError(f"index.pq={name} needs at least {2**bits} vectors, there are {count}; use index.kind=flat")
    return parts, bits
