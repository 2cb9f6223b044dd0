"""What an index is: vectors in, (scores, rows) out. FAISS, inner product, rows are corpus rows.

Never search in a process that was forked after a search in its parent: FAISS hangs there; spawn instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.experiment import IndexConfig
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Report = Callable[[int, int], None]
faiss: Any = _faiss
"""FAISS without its type stubs, which lack names that exist."""
FAISS_FILE, INFO_FILE = "index.faiss", "index.json"
BLOCK = 1 << 16
"""Vectors checked and added at a time, so that a memory-mapped array is never held whole."""


class Index(Protocol):
    """Anything that finds the rows of the vectors with the largest inner products."""

    @property
    def ntotal(self) -> int:
        """Vectors in the index."""

    @property
    def dim(self) -> int:
        """Width of a vector."""

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """queries [Q, D] -> (scores [Q, k] descending, rows [Q, k]); nothing found: row -1, score -inf."""


def check_k(k: int, ntotal: int) -> None:
    """Raise ConfigError unless 1 <= k <= ntotal."""
    if not 1 <= k <= ntotal:
        raise ConfigError(f"k is {k}, but the corpus has {ntotal} passages; choose 1 <= k <= {ntotal}")


def check_vectors(vectors: NDArray[Any], dim: int | None = None, source: Path | str = "vectors") -> None:
    """Check [N, D] float32 vectors block by block.

    Raises:
        DataError: not two-dimensional, not float32, not `dim` wide, none, or NaN or infinite (names the row, from 0).
    """
    if vectors.ndim != 2 or vectors.shape[0] == 0:
        raise DataError(source, "must be [N, D] with N > 0", field="shape", value=vectors.shape)
    if vectors.dtype != np.float32:
        raise DataError(source, "must be float32", field="dtype", value=str(vectors.dtype))
    if dim is not None and vectors.shape[1] != dim:
        raise DataError(
            source, f"vectors are {vectors.shape[1]} wide instead of {dim}", field="shape", value=vectors.shape
        )
    for start in range(0, len(vectors), BLOCK):
        bad = np.flatnonzero(~np.isfinite(vectors[start : start + BLOCK]).all(axis=1))
        if len(bad):
            row = start + int(bad[0])
            raise DataError(source, "vector is not finite (rows count from 0)", row=row, hint="embed the corpus again")


@contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """FAISS uses `count` threads inside (0: as many as before); torch's count is its own."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def ordered(scores: NDArray[Any], rows: NDArray[Any], k: int) -> tuple[Floats, Rows]:
    """The best k of [Q, any number] in descending order of score, equal scores by row; a row of -1 scores -inf."""
    scores = np.where(rows < 0, -np.inf, scores).astype(np.float32)
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1).astype(np.int64)


class FaissIndex:
    """Shared by all kinds: build, checks, search with ordered ties, save and load.

    A kind says how its empty FAISS index is made and which parameters a search takes.
    """

    kind: ClassVar[str]

    def __init__(self, config: IndexConfig, index: Any) -> None:
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ConfigError(f"index kind {config.kind!r} does not search by inner product")
        self.config = config
        self.faiss_index = index

    @property
    def ntotal(self) -> int:
        """Vectors in the index."""
        return int(self.faiss_index.ntotal)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.faiss_index.d)

    @classmethod
    def empty(cls, config: IndexConfig, count: int, dim: int) -> Any:
        """An untrained FAISS index for `count` vectors of width `dim`."""
        raise NotImplementedError

    @classmethod
    def build(
        cls, config: IndexConfig, vectors: Floats, threads: int = 0, report: Report = lambda done, total: None
    ) -> Self:
        """Train on and add all vectors, telling `report` how many are in; the same vectors give the same index.

        Raises:
            DataError: see `check_vectors`.
            ConfigError: parameters this kind cannot be built with.
        """
        check_vectors(vectors)
        built = cls(config, cls.empty(config, *vectors.shape))
        with faiss_threads(threads):
            built._fill(vectors, report)
        return built

    def _fill(self, vectors: Floats, report: Report) -> None:
        if not self.faiss_index.is_trained:
            self.faiss_index.train(np.ascontiguousarray(vectors))
        for start in range(0, len(vectors), BLOCK):
            self.faiss_index.add(np.ascontiguousarray(vectors[start : start + BLOCK]))
            report(min(start + BLOCK, len(vectors)), len(vectors))

    def search_parameters(self, k: int) -> Any:
        """FAISS's search parameters for this kind, or None."""
        return None

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """queries [Q, D] float32 -> (scores [Q, k] float32 descending, rows [Q, k] int64).

        Equal scores are ordered by row among what FAISS returned; nothing found is row -1, score -inf.

        Raises:
            ConfigError: k < 1.
            DataError: queries of another width or type, or not finite.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; choose at least 1")
        check_vectors(queries, self.dim, source="queries")
        return self._found(np.ascontiguousarray(queries), k)

    def _found(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Checked queries -> as `search`."""
        scores, rows = self.faiss_index.search(queries, k, params=self.search_parameters(k))
        return ordered(scores, rows, k)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the index into a folder; returns its kind, ntotal, dim, bytes and metric."""
        faiss.write_index(self.faiss_index, str(folder / FAISS_FILE))
        size = (folder / FAISS_FILE).stat().st_size
        info = {"kind": self.kind, "ntotal": self.ntotal, "dim": self.dim, "bytes": size, "metric": "inner_product"}
        (folder / INFO_FILE).write_text(json.dumps({**info, "config": asdict(self.config)}, indent=1) + "\n")
        return info

    @classmethod
    def load(cls, folder: Path, config: IndexConfig, mapped: bool = False) -> Self:
        """Read what `save` wrote; `config` may change the search parameters, `mapped` leaves it in its file.

        Raises:
            ArtifactError: FAISS cannot read the file.
        """
        try:
            index = faiss.read_index(str(folder / FAISS_FILE), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
        except RuntimeError as error:
            raise ArtifactError(f"{folder / FAISS_FILE}: cannot be read; remove {folder} and build it again") from error
        return cls(config, index)
