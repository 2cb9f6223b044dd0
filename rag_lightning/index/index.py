"""Indexes: FAISS search by inner product over vectors; rows are corpus rows.

Never search in a process that was forked after a search in its parent: FAISS hangs there; spawn instead.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.fields import Section
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError
from rag_lightning.core.files import UNREADABLE
from rag_lightning.core.registry import LazyModule

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Report = Callable[[int, int], None]
FAISS_FILE, INFO_FILE = "index.faiss", "index.json"
SEARCH = ("rankings",)
"""The stage that reads the fields of a search, which do not affect the index file."""
BLOCK = 1 << 16
"""Number of vectors checked and added at a time, so that a memory-mapped array is never fully in memory."""


faiss: Any = LazyModule("faiss")


class Index(Protocol):
    """A search for the rows of the vectors with the largest inner products."""

    @property
    def ntotal(self) -> int:
        """Number of vectors in the index."""

    @property
    def dim(self) -> int:
        """Size of a vector."""

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """queries [Q, D] -> (scores [Q, k] descending, rows [Q, k]); missing results have row -1, score -inf."""


def check_k(k: int, ntotal: int) -> None:
    """Raise ConfigError unless 1 <= k <= ntotal."""
    if not 1 <= k <= ntotal:
        raise ConfigError(f"k is {k}, but the corpus has {ntotal} passages; choose 1 <= k <= {ntotal}")


def check_vectors(vectors: NDArray[Any], dim: int | None = None, source: Path | str = "vectors") -> None:
    """Check [N, D] float32 vectors block by block.

    Raises:
        DataError: not two-dimensional, empty, not float32, not of size `dim`, or not finite (names the row, from 0).
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
    """Set FAISS's number of threads (0: unchanged) in a block; torch's number is independent of it."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def ordered(scores: NDArray[Any], rows: NDArray[Any], k: int) -> tuple[Floats, Rows]:
    """The best k of [Q, any] in descending order of score, ties by row; row -1 has score -inf."""
    scores = np.where(rows < 0, -np.inf, scores).astype(np.float32)
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1).astype(np.int64)


@dataclass(frozen=True)
class IndexKind(Section):
    """Base class of the kinds of index: building, search parameters and size.

    Its fields are part of section `index`; fields that affect only the search are read by stage `rankings`.

    Attributes:
        title: Name in tables.
        opened_as: Class that searches it.
    """

    PATH: ClassVar[str] = "index"
    STAGES: ClassVar[tuple[str, ...]] = ("index",)
    title: ClassVar[str]

    def empty(self, count: int, dim: int) -> Any:
        """An untrained FAISS index for `count` vectors of width `dim`.

        Raises:
            ConfigError: values that do not fit the vectors.
        """
        raise NotImplementedError

    def search_parameters(self, index: Any, k: int) -> Any:
        """FAISS's search parameters, or None."""
        return None

    def bytes(self, count: int, dim: int) -> int:
        """Computed size of its file for `count` vectors of width `dim`, without headers of some hundred bytes.

        Raises:
            ConfigError: as `empty`.
        """
        raise NotImplementedError

    @property
    def opened_as(self) -> type[FaissIndex]:
        """The class that searches this kind."""
        return FaissIndex

    def fill(self, index: Any, vectors: Floats, report: Report) -> None:
        """Train FAISS's index on all vectors and add them, block by block."""
        if not index.is_trained:
            index.train(np.ascontiguousarray(vectors))
        for start in range(0, len(vectors), BLOCK):
            index.add(np.ascontiguousarray(vectors[start : start + BLOCK]))
            report(min(start + BLOCK, len(vectors)), len(vectors))


class FaissIndex:
    """A built index of any kind: search with ordered ties, save and load."""

    def __init__(self, config: IndexConfig, index: Any) -> None:
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ConfigError(f"index kind {config.kind!r} does not search by inner product")
        self.config = config
        self.kind: IndexKind = config.made()
        self.faiss_index = index

    @property
    def ntotal(self) -> int:
        """Number of vectors in the index."""
        return int(self.faiss_index.ntotal)

    @property
    def dim(self) -> int:
        """Size of a vector."""
        return int(self.faiss_index.d)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """queries [Q, D] float32 -> (scores [Q, k] float32 descending, rows [Q, k] int64).

        Ties among FAISS's results are ordered by row; missing results have row -1, score -inf.

        Raises:
            ConfigError: k < 1.
            DataError: queries of another width or type, or not finite.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; choose at least 1")
        check_vectors(queries, self.dim, source="queries")
        return self._found(np.ascontiguousarray(queries), k)

    def _found(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Search for checked queries."""
        parameters = self.kind.search_parameters(self.faiss_index, k)
        scores, rows = self.faiss_index.search(queries, k, params=parameters)
        return ordered(scores, rows, k)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the index into a folder; returns its kind, ntotal, dim, bytes and metric."""
        faiss.write_index(self.faiss_index, str(folder / FAISS_FILE))
        size = (folder / FAISS_FILE).stat().st_size
        info = {"kind": self.config.kind, "ntotal": self.ntotal, "dim": self.dim, "bytes": size}
        info["metric"] = "inner_product"
        (folder / INFO_FILE).write_text(json.dumps({**info, "options": dict(self.config.options)}, indent=1) + "\n")
        return info

    @classmethod
    def read(cls, folder: Path, config: IndexConfig, mapped: bool = False) -> Self:
        """Read a saved index; `mapped` maps the file instead of reading it into memory.

        Raises:
            ArtifactError: FAISS cannot read the file.
        """
        try:
            index = read_faiss(folder / FAISS_FILE, mapped)
        except (RuntimeError, MemoryError, OSError) as error:
            raise ArtifactError(f"{folder / FAISS_FILE}: cannot be read; remove {folder} and build it again") from error
        return cls(config, index)


def build_index(
    config: IndexConfig, vectors: Floats, threads: int = 0, report: Report = lambda done, total: None
) -> FaissIndex:
    """Build the configured index over vectors [N, D] float32 (may be memory-mapped); deterministic.

    Args:
        config: The kind and its options.
        vectors: Vectors; checked block by block.
        threads: FAISS's threads while building; 0 for the current number.
        report: Called with (number of added vectors, total).

    Raises:
        DataError: see `check_vectors`.
        ConfigError: values that do not fit the vectors.
    """
    check_vectors(vectors)
    kind: IndexKind = config.made()
    built = kind.opened_as(config, kind.empty(*vectors.shape))
    with faiss_threads(threads):
        kind.fill(built.faiss_index, vectors, report)
    return built


def load_index(folder: Path, config: IndexConfig | None = None) -> FaissIndex:
    """Load a saved index; only search fields are taken from `config`, the others from the file.

    Raises:
        ArtifactError: a file is missing or unreadable.
        ConfigError: `config` is of another kind.
    """
    built, shape = _read_config(folder)
    if config is not None:
        if config.kind != built.kind:
            raise ConfigError(f"{folder} holds an index of kind {built.kind!r}, not {config.kind!r}")
        own = dataclasses.fields(built.made())
        searched = {one.name for one in own if one.metadata.get("stages") == SEARCH}
        kept = {name: value for name, value in built.options.items() if name not in searched}
        changed = {name: value for name, value in config.options.items() if name in searched}
        built = IndexConfig(built.kind, kept | changed)
    kind: IndexKind = built.made()
    read = kind.opened_as.read(folder, built)
    if (read.ntotal, read.dim) != shape:
        held = f"holds {read.ntotal:,} vectors of width {read.dim}, not {shape[0]:,} of {shape[1]:,}"
        raise ArtifactError(f"{folder / FAISS_FILE}: {held}; remove {folder} and build the index again")
    return read


def read_faiss(path: Path, mapped: bool) -> Any:
    """Read a FAISS file with as much memory as it has bytes, whatever its header claims; `mapped` maps the file.

    Raises:
        RuntimeError, MemoryError: it is damaged, or claims more than it holds.
    """
    vectors, loops = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
    size = path.stat().st_size
    try:
        faiss.set_deserialization_vector_byte_limit(size)
        faiss.set_deserialization_loop_limit(size)
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    finally:
        faiss.set_deserialization_vector_byte_limit(vectors)
        faiss.set_deserialization_loop_limit(loops)


def _read_config(folder: Path) -> tuple[IndexConfig, tuple[int, int]]:
    """The configuration of a saved index, and its number and width of vectors."""
    file = folder / INFO_FILE
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        return IndexConfig(info["kind"], info["options"]), (int(info["ntotal"]), int(info["dim"]))
    except FileNotFoundError as error:
        raise ArtifactError(f"{file}: is missing; remove {folder} and build the index again") from error
    except (AttributeError, KeyError, TypeError, ConfigError, *UNREADABLE) as error:
        raise ArtifactError(f"{file}: truncated or damaged; remove {folder} and build the index again") from error
