"""Indexes: FAISS search by inner product over vectors; rows are corpus rows.

Never search in a process that was forked after a search in its parent: FAISS hangs there; spawn instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.fields import Section
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.arrays import gathered
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.files import UNREADABLE
from rag_lightning.core.registry import LazyModule
from rag_lightning.index import building
from rag_lightning.index.checks import check_lengths, check_queries, check_rows, check_vectors
from rag_lightning.index.faiss_files import by_inner_product, faiss_threads, file_bytes, in_batches, ordered, read_faiss

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Report = Callable[[int, int], None]
FAISS_FILE, INFO_FILE, METRIC = "index.faiss", "index.json", "inner_product"
SEARCH = ("rankings",)
"""The stage that reads the fields of a search, which do not affect the index file."""
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


@dataclass(frozen=True)
class IndexKind(Section):
    """Base class of the kinds of index: building, search parameters and size.

    Its fields are part of section `index`; fields that affect only the search are read by stage `rankings`.

    Attributes:
        title: Name in tables.
        deterministic: Whether builds over any number of threads give the same file, byte by byte.
        opened_as: Class that searches it.
    """

    PATH: ClassVar[str] = "index"
    STAGES: ClassVar[tuple[str, ...]] = ("index",)
    title: ClassVar[str]
    deterministic: ClassVar[bool] = True

    def empty(self, count: int, dim: int) -> Any:
        """An untrained FAISS index for `count` vectors of width `dim`.

        Raises:
            ConfigError: values that do not fit the vectors.
        """
        raise NotImplementedError

    @property
    def reads_vectors(self) -> bool:
        """Whether its search reads the vectors, too."""
        return False

    def search_parameters(self, index: Any, k: int) -> Any:
        """FAISS's search parameters, or None."""
        return None

    def bytes(self, count: int, dim: int) -> int:
        """Computed size of its file for `count` vectors of width `dim`, without headers of some hundred bytes.

        Raises:
            ConfigError: as `empty`.
        """
        return file_bytes(self.empty(count, dim), count)

    def rules(self, count: int, dim: int) -> str:
        """What the rules of thumb give for it, in words.

        Raises:
            ConfigError: as `empty`.
        """
        return str(building.rules_of(self.empty(count, dim), count))

    @property
    def opened_as(self) -> type[FaissIndex]:
        """The class that searches this kind."""
        return FaissIndex

    def fill(self, index: Any, vectors: Floats, report: Report, folder: Path | None) -> Any:
        """Train FAISS's empty index and add all vectors; see `building.fill`."""
        return building.fill(index, vectors, report, folder)


class FaissIndex:
    """A built index of any kind: search with ordered ties, save and load.

    Attributes:
        vectors: The vectors [N, D] that it was built from, may be memory-mapped; None where it is searched without.
    """

    vectors: Floats | None = None

    def __init__(self, config: IndexConfig, index: Any) -> None:
        if not by_inner_product(index):
            raise ConfigError(f"index kind {config.kind!r} does not search by inner product")
        self.config, self.faiss_index = config, index
        self.kind: IndexKind = config.made()
        self._parameters: dict[tuple[IndexKind, int], Any] = {}  # by search; two threads may write the same

    @property
    def ntotal(self) -> int:
        """Number of vectors in the index."""
        return int(self.faiss_index.ntotal)

    @cached_property
    def dim(self) -> int:
        """Size of a vector."""
        return int(self.faiss_index.d)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """queries [Q, D] float32 -> (scores [Q, k] float32 descending, rows [Q, k] int64).

        Ties among FAISS's results are ordered by row; missing results have row -1, score -inf.

        Raises:
            ConfigError: k < 1.
            DataError: queries of another width or type, not finite, or zero.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; choose at least 1")
        check_queries(queries, self.dim)
        queries = np.ascontiguousarray(queries)
        if len(queries) == 1 and not self.config.threads:
            return self._found(queries, k)
        with faiss_threads(self.config.threads):
            return in_batches(self._found, queries, k, self.config.search_mb, self._wanted(k))

    def _wanted(self, k: int) -> int:
        """Number of candidates of a query."""
        return k if self._refine <= 1 else min(self._refine * k, max(k, self.ntotal))

    def _found(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Search for checked queries."""
        search = self.kind, self._wanted(k)
        if search not in self._parameters:
            self._parameters[search] = self.kind.search_parameters(self.faiss_index, search[1])
        scores, rows = self.faiss_index.search(queries, search[1], params=self._parameters[search])
        check_rows(rows, self.ntotal)
        return ordered(self._exact(queries, rows) if self._refine else scores, rows, k)

    @property
    def _refine(self) -> int:
        return int(getattr(self.kind, "refine", 0))

    def _exact(self, queries: Floats, rows: Rows) -> Floats:
        """Inner products [Q, any] of queries with the vectors of these rows; of row -1 any number."""
        vectors, rows = gathered(self._check_vectors(self.vectors), rows)
        scores = np.empty(rows.shape, np.float32)
        arrays = (faiss.swig_ptr(array) for array in (scores, queries, vectors, rows))
        faiss.fvec_inner_products_by_idx(*arrays, self.dim, len(queries), rows.shape[1])
        return scores

    def with_vectors(self, vectors: Floats | None) -> Self:
        """The index, which refines with the vectors [N, D] that it was built from.

        Raises:
            ArtifactError: it holds another number or width of vectors.
            ConfigError: None, but the index is to be refined.
        """
        if vectors is not None or self._refine:
            self.vectors = self._check_vectors(vectors)
        return self

    def _check_vectors(self, vectors: Floats | None) -> Floats:
        if vectors is None:
            needs = "needs the vectors that the index was built from; give them, or set 0"
            raise ConfigError(f"index.refine={self._refine}: {needs}")
        if vectors.shape != (self.ntotal, self.dim):
            held = f"{self.ntotal} vectors of width {self.dim}, not {vectors.shape}"
            raise ArtifactError(f"the index holds {held}; remove its folder and build it again")
        return vectors

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the index into a folder; returns its kind, ntotal, dim, bytes and metric."""
        faiss.write_index(self.faiss_index, str(file := folder / FAISS_FILE))
        info = {"kind": self.config.kind, "ntotal": self.ntotal, "dim": self.dim, "metric": METRIC}
        info["bytes"] = file.stat().st_size
        (folder / INFO_FILE).write_text(json.dumps({**info, "options": dict(self.config.options)}, indent=1) + "\n")
        return info

    @classmethod
    def read(cls, folder: Path, config: IndexConfig) -> Self:
        """A saved index, memory-mapped; it must not be added to, and its file not be cut while it is open.

        Raises:
            ArtifactError: FAISS cannot read the file.
        """
        try:
            index = read_faiss(folder / FAISS_FILE, mapped=True)
        except (RuntimeError, MemoryError, OSError) as error:
            raise ArtifactError(f"{folder / FAISS_FILE}: cannot be read; remove {folder} and build it again") from error
        return cls(config, index)


def build_index(
    config: IndexConfig,
    vectors: Floats,
    threads: int = 0,
    report: Report = lambda done, total: None,
    folder: Path | None = None,
    unit: bool = False,
) -> FaissIndex:
    """Build the configured index over vectors [N, D] float32 (may be memory-mapped); deterministic.

    Args:
        config: The kind and its options.
        vectors: Vectors; checked block by block.
        threads: FAISS's threads while building; 0 for those of the configuration.
        report: Called with (number of added vectors, total).
        folder: Folder for the parts of an inverted file, from which an interrupted build continues; None for none.
        unit: Whether all vectors must have length 1.

    Raises:
        DataError: see `check_vectors`; also a vector of length 0, or of another length than 1 if `unit`.
        ConfigError: values that do not fit the vectors.
    """
    check_vectors(vectors)
    check_lengths(vectors, unit)
    kind: IndexKind = config.made()
    with faiss_threads(threads or config.threads):
        try:
            filled = kind.fill(kind.opened_as(config, kind.empty(*vectors.shape)).faiss_index, vectors, report, folder)
        except RuntimeError as error:
            problem = " ".join(str(error).split(": ")[-1].split())
            raise ConfigError(f"index.kind={config.kind}: FAISS cannot build it ({problem})") from error
    return kind.opened_as(config, filled).with_vectors(vectors)


def load_index(folder: Path, config: IndexConfig | None = None, vectors: Floats | None = None) -> FaissIndex:
    """Load a saved index, memory-mapped.

    Args:
        folder: Folder of `FaissIndex.save`.
        config: Its kind and fields, of which those of a search may be others; None for those it was built with.
        vectors: The vectors that it was built from, to refine with; may be memory-mapped.

    Raises:
        ArtifactError: a file is missing or unreadable, the vectors are others, or it was built with other fields.
        ConfigError: `config` is of another kind, or refines without vectors.
    """
    built, shape = _read_config(folder)
    if config is not None:
        if config.kind != built.kind:
            raise ConfigError(f"{folder} holds an index of kind {built.kind!r}, not {config.kind!r}")
        _check_built(folder, built.made(), config.made())
        built = config
    read: FaissIndex = built.made().opened_as.read(folder, built)
    if (read.ntotal, read.dim) != shape:
        held = f"holds {read.ntotal:,} vectors of width {read.dim}, not {shape[0]:,} of {shape[1]:,}"
        raise ArtifactError(f"{folder / FAISS_FILE}: {held}; remove {folder} and build the index again")
    return read.with_vectors(vectors)


def _check_built(folder: Path, built: IndexKind, wanted: IndexKind) -> None:
    """Raise ArtifactError for another value of a field that a search does not choose, such as the place of a server."""
    for one in fields(built):
        found, value = (getattr(kind, one.name) for kind in (built, wanted))
        if found != value and one.metadata.get("stages") != SEARCH and one.metadata.get("digest") != "never":
            problem = f"holds an index of {one.name}={found!r}, not {value!r}; remove {folder} and build it again"
            raise ArtifactError(f"{folder / INFO_FILE}: {problem}")


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
