"""Search over all vectors as codes: scalar-quantised, product-quantised for fast scanning, or by a factory string."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rag_lightning.config.bounds import NonNegativeInt
from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError
from rag_lightning.index.checks import check_half
from rag_lightning.index.faiss_files import INSIDE
from rag_lightning.index.index import SEARCH, Floats, IndexKind, Report, faiss

MOST_LINKS = 2048
"""Links per node of a graph, as Milvus bounds them; FAISS counts them in 32 bits, and overflows."""


@dataclass(frozen=True)
class CompressedKind(IndexKind):
    """Base class of the kinds that do not keep vectors as they are.

    Args:
        refine: Candidates per result that are scored again with the vectors themselves, so that the scores are exact
            inner products; 0 for none.
    """

    refine: NonNegativeInt = setting(0, stages=SEARCH, digest="unless default")

    @property
    def reads_vectors(self) -> bool:
        """Whether it refines."""
        return self.refine > 0


@dataclass(frozen=True)
class SQ8(CompressedKind):
    """8 bits per number, scaled to the range of its dimension; D bytes per vector."""

    title: ClassVar[str] = "8 bits a number"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexScalarQuantizer of 8 bits."""
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)


@dataclass(frozen=True)
class SQFP16(CompressedKind):
    """16-bit floating point numbers; 2 * D bytes per vector."""

    title: ClassVar[str] = "16 bits a number"

    def empty(self, count: int, dim: int) -> Any:
        """An IndexScalarQuantizer of half precision."""
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)

    def fill(self, index: Any, vectors: Floats, report: Report, folder: Path | None) -> Any:
        """As usual, but for numbers that 16 bits do not hold.

        Raises:
            DataError: a vector of such numbers.
        """
        check_half(vectors)
        return super().fill(index, vectors, report, folder)


@dataclass(frozen=True)
class PQFastScan(CompressedKind):
    """Product quantisation in 4 bits per part, scanned in registers (André et al. 2017, https://arxiv.org/abs/1704.07355).

    Args:
        parts: Number of parts of a vector, half a byte each; 0 for a quarter of its numbers.
    """

    title: ClassVar[str] = "fast-scan product quantisation"
    parts: NonNegativeInt = 0

    def empty(self, count: int, dim: int) -> Any:
        """An IndexPQFastScan.

        Raises:
            ConfigError: parts that do not divide the width, or fewer vectors than the 16 of a codebook.
        """
        parts = self.parts or next(dim // size for size in (4, 3, 2, 1) if dim % size == 0)
        if dim % parts:
            problem = f"does not divide the vector size {dim}; use {fitting_parts(parts, dim)}, or 0"
            raise ConfigError(f"index.parts={parts}: {problem}")
        if count < 16:
            raise ConfigError(
                f"index.kind=pq_fastscan needs at least 16 vectors, there are {count}; use index.kind=flat"
            )
        index = faiss.IndexPQFastScan(dim, parts, 4, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.min_points_per_centroid = 1
        return index


@dataclass(frozen=True)
class Factory(CompressedKind):
    """Any index that FAISS makes of a factory string, by inner product.

    Args:
        factory: FAISS's factory string, such as PCA64,IVF256,SQ8; its own search parameters apply.
    """

    title: ClassVar[str] = "factory string"
    deterministic: ClassVar[bool] = False
    factory: str = ""

    def empty(self, count: int, dim: int) -> Any:
        """What faiss.index_factory makes.

        Raises:
            ConfigError: no factory string, or one that FAISS refuses.
        """
        if not self.factory:
            raise ConfigError("index.kind=factory needs index.factory, FAISS's factory string such as IVF256,SQ8")
        try:
            made = faiss.index_factory(dim, self.factory, faiss.METRIC_INNER_PRODUCT)
        except (RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split(": ")[-1].split())
            raise ConfigError(f"index.factory={self.factory!r}: FAISS refuses it for width {dim} ({reason})") from error
        if problem := _unusable(made):
            raise ConfigError(f"index.factory={self.factory!r}: {problem}; choose another")
        return made


def fitting_parts(most: int, dim: int) -> int:
    """The largest number of parts, at most `most`, that divides the width of a vector."""
    return max(parts for parts in range(1, min(most, dim) + 1) if dim % parts == 0)


def _unusable(index: Any) -> str | None:
    """Why FAISS would abort, hang or find nothing with an index that its factory makes."""
    found = faiss.downcast_index(index)
    direct = faiss.ScalarQuantizer
    links = found.hnsw.nb_neighbors(0) // 2 if hasattr(found, "hnsw") else found.nsg.R if hasattr(found, "nsg") else 2
    if not 2 <= links <= MOST_LINKS:  # HNSW has twice as many on the lowest level
        return f"a graph has 2 to {MOST_LINKS:,} links per node"
    if hasattr(found, "nlist") and found.nlist < 1:
        return "an inverted file needs at least 1 cell"
    if hasattr(found, "sq") and found.sq.qtype in (direct.QT_8bit_direct, direct.QT_8bit_direct_signed):
        return "it keeps whole numbers alone, which vectors of an encoder are not"
    inside = (getattr(found, name, None) for name in (*INSIDE, "quantizer"))
    return next((problem for one in inside if one and (problem := _unusable(one))), None)
