"""FAISS files of other projects: what they search by, their vectors, and whether they are what we would build.

Inner product may be searched as L2 over vectors with one more number, sqrt(phi - |x|^2), which makes all of them
equally long (DPR's HNSW; Neyshabur and Srebro 2015, https://arxiv.org/abs/1410.5518). Vectors of one length rank alike
by both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file
from rag_lightning.index.faiss_files import INSIDE, faiss, read_faiss
from rag_lightning.index.index import Floats

LOSSLESS = ("IndexFlat", "IndexFlatIP", "IndexFlatL2", "IndexHNSWFlat", "IndexIVFFlat")
"""FAISS's classes that keep vectors as they were added."""
EQUAL = 1e-3
"""Relative difference up to which squared lengths are equal."""
BLOCK = 1 << 14
HEADER = struct.Struct("<4siqqqBi")
"""What an index file begins with: its class, D, N, two numbers without meaning, is it trained, metric (FAISS's
impl/index_write.cpp)."""
METRICS = {0: "inner product", 1: "L2"}
"""FAISS's METRIC_INNER_PRODUCT and METRIC_L2."""
BINARY = b"IB"
"""FAISS's names of indexes of binary vectors begin so."""
FLAT = (b"IxFI", b"IxF2", b"IxFl")
WIDEST = 1 << 20
LINKS = 1 << 24
"""Number of links read at a time."""
FACTS = ("nlist", "by_residual", "pq.M", "pq.nbits", "sq.qtype", "hnsw.efConstruction")


@dataclass(frozen=True)
class ForeignIndex:
    """A FAISS file.

    Args:
        path: The file.
        index: FAISS's index, without a map of ids around it.
        ids: [N] ids of the map, None without one or where they count from 0.
        augmented: Whether it is DPR's L2 index, with one more number a vector.
        around: FAISS's index as it was read, which owns the memory of `index`.
    """

    path: Path
    index: Any
    ids: NDArray[np.int64] | None
    augmented: bool
    around: Any

    @property
    def name(self) -> str:
        """FAISS's name of its class."""
        return type(self.index).__name__

    @property
    def by_inner_product(self) -> bool:
        """Whether it searches by inner product as it is."""
        return int(self.index.metric_type) == int(faiss.METRIC_INNER_PRODUCT)

    @property
    def lossless(self) -> bool:
        """Whether its vectors can be read back as they were added."""
        return self.name in LOSSLESS

    def blocks(self) -> Iterator[Floats]:
        """Its vectors in their order, [any, D], without the number that DPR added.

        Raises:
            DataError: it ranks by L2 distance, and its vectors are not of one length.
        """
        first = None
        for start, block in self.stored():
            if not self.by_inner_product:
                squares = np.square(block, dtype=np.float64).sum(axis=1)
                first = squares[0] if first is None else first
                other = np.flatnonzero(~(np.abs(squares - first) <= EQUAL * first))
                if len(other):
                    problem = (
                        "ranks by L2 distance, and its vectors differ in length, so that inner products rank otherwise"
                    )
                    hint = "add the vectors to an index of inner products, or give them with embed --vectors"
                    raise DataError(self.path, problem, row=start + int(other[0]) + 1, hint=hint)
            yield block[:, :-1] if self.augmented else block

    def rows(self, wanted: NDArray[np.int64]) -> Floats:
        """[any, D] the vectors of some rows, as far as the index keeps them."""
        with self._readable():
            return np.stack([self.index.reconstruct(int(row)) for row in wanted])

    def coded(self, vectors: Floats) -> Floats:
        """[any, D] what its codes make of vectors; NaN where FAISS's class does not say."""
        try:
            found: Floats = self.index.sa_decode(self.index.sa_encode(np.ascontiguousarray(vectors)))
        except RuntimeError:
            found = np.full_like(vectors, np.nan)
        return found

    def stored(self) -> Iterator[tuple[int, Floats]]:
        """(row of the first, its vectors as they were added) block by block.

        Raises:
            DataError: it keeps no vectors, or not by row.
        """
        with self._readable():
            for start in range(0, self.index.ntotal, BLOCK):
                yield start, self.index.reconstruct_n(start, min(BLOCK, self.index.ntotal - start))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """The index with what inverted lists need to be read by row, which is taken away again."""
        inverted = faiss.try_extract_index_ivf(self.index)
        try:
            if inverted is not None:
                inverted.make_direct_map()
            yield
        except RuntimeError as error:
            problem = "cannot be read row by row: its rows are not 0 to N - 1, or it keeps no vectors"
            raise DataError(self.path, problem, hint="give the vectors themselves: embed --vectors") from error
        finally:
            if inverted is not None:
                inverted.set_direct_map_type(faiss.DirectMap.NoMap)

    def differences(self, ours: Any) -> list[str]:
        """What sets it apart from an empty index of ours, in words; empty where it is what we would have built."""
        return _differences(ours, self.index)


def open_foreign(path: Path, count: int, dim: int) -> ForeignIndex:
    """Read a FAISS file over `count` passages, whose vectors are `dim` wide.

    Raises:
        DataError: as `read_foreign`, of another number or width of vectors, or neither by inner product nor by L2.
    """
    found = read_foreign(path)
    if found.index.metric_type not in METRICS:
        hint = "add the vectors to an index of inner products, or give them with embed --vectors"
        raise DataError(path, f"ranks by {_metric(found.index)}, unlike every index of inner products", hint=hint)
    index, augmented = found.index, not found.by_inner_product and found.index.d == dim + 1
    if index.ntotal != count or index.d != dim + augmented:
        held = f"holds {index.ntotal:,} vectors of width {index.d}"
        problem = f"{held}; the corpus has {count:,} passages, and the encoder gives width {dim}"
        raise DataError(path, problem, field="shape", hint="give the corpus and the encoder that it was made with")
    return replace(found, augmented=augmented)


def read_foreign(path: Path, mapped: bool = False) -> ForeignIndex:
    """Read a FAISS file, whatever it holds; `mapped` maps it instead of reading it into memory.

    Raises:
        DataError: missing, no FAISS index, damaged, or too short for what it says it holds.
    """
    check_file(path)
    hint = "give the file that faiss.write_index wrote; the names beside it (DPR's index_meta) go to --ids, as text"
    if not is_faiss(path):
        raise DataError(path, "is no FAISS index, or a damaged one", hint=hint)
    with path.open("rb") as handle:
        if handle.read(len(BINARY)) == BINARY:
            raise DataError(path, "is an index of binary vectors", hint="give one of float vectors")
        handle.seek(0)
        kind, width, count, *_ = HEADER.unpack(handle.read(HEADER.size))
    size = path.stat().st_size
    if count > size * 8 or (kind in FLAT and 4 * width * count > size):
        problem = f"claims {count:,} vectors of width {width}, too many for its {size:,} bytes"
        raise DataError(path, problem, hint="it is cut short or damaged: copy or write it again")
    try:
        index = around = read_faiss(path, mapped)
    except (RuntimeError, MemoryError) as error:
        raise DataError(path, "is no FAISS index, or a damaged one", hint=hint) from error
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None and inverted.invlists is None:  # FAISS would read them at address 0
        raise DataError(path, "is an inverted file without its lists", hint="write it again with them, in one file")
    if (links := _links(index)) is not None and links < index.ntotal - 1:
        problem = f"is a graph of {index.ntotal:,} vectors with {links:,} links, by which a search cannot reach them"
        raise DataError(path, problem, hint="build it again, and write it with faiss.write_index")
    ids = None
    while isinstance(index, faiss.IndexIDMap):
        ids, index = faiss.vector_to_array(index.id_map), faiss.downcast_index(index.index)
    if ids is not None and np.array_equal(ids, np.arange(index.ntotal)):
        ids = None
    return ForeignIndex(path, index, ids, augmented=False, around=around)


def is_faiss(path: Path) -> bool:
    """Whether a file begins as FAISS's indexes of float vectors do: four letters, a width and a number of vectors."""
    with path.open("rb") as handle:
        start = handle.read(HEADER.size)
    if len(start) < HEADER.size:
        return False
    kind, width, count, _, _, trained, metric = HEADER.unpack(start)
    named = kind.startswith(b"I") and kind.isascii()
    return named and 1 <= width <= WIDEST and count >= 0 and trained in (0, 1) and 0 <= metric < WIDEST


def _links(index: Any) -> int | None:
    """Number of links of a graph that a search can begin in; None if it is no graph."""
    found = faiss.downcast_index(index)
    if not hasattr(found, "hnsw"):
        inner = next((one for name in INSIDE if (one := getattr(found, name, None)) is not None), None)
        return None if inner is None else _links(inner)
    if found.hnsw.entry_point < 0:
        return 0
    count = found.hnsw.neighbors.size()
    if not count:
        return 0
    links = faiss.rev_swig_ptr(found.hnsw.neighbors.data(), count)
    return sum(int((links[start : start + LINKS] >= 0).sum()) for start in range(0, count, LINKS))


def _metric(index: Any) -> str:
    """What an index ranks by."""
    metric = int(index.metric_type)
    return METRICS.get(metric, f"FAISS's metric {metric}")


def _differences(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """What sets an index apart from ours, in words; where both are of one class, what sets their insides apart, too."""
    mine, other = _facts(ours), _facts(theirs)
    found = [
        f"{place}{name} {value}, not {mine[name]}" if name in mine else f"{place}{name} {value}"
        for name, value in other.items()
        if mine.get(name) != value
    ]
    if mine["class"] == other["class"]:
        for name in (*INSIDE, "quantizer"):
            inner, other_inner = (getattr(faiss.downcast_index(one), name, None) for one in (ours, theirs))
            if inner is not None and other_inner is not None:
                found += _differences(inner, other_inner, f"{place}{name} ")
    return found


def _facts(index: Any) -> dict[str, Any]:
    """What decides how an index is built, as far as its file tells."""
    kind = type(faiss.downcast_index(index)).__name__
    found: dict[str, Any] = {"class": "IndexFlat" if kind in ("IndexFlatIP", "IndexFlatL2") else kind}
    found["metric"] = _metric(index)
    for fact in FACTS:
        value = faiss.downcast_index(index)
        for name in fact.split("."):
            value = getattr(value, name, None)
        found |= {} if value is None else {fact: int(value)}
    if hasattr(index, "chain"):
        chain = (faiss.downcast_VectorTransform(index.chain.at(at)) for at in range(index.chain.size()))
        found["chain"] = ", ".join(f"{type(one).__name__} to {one.d_out}" for one in chain)
    if hasattr(index, "hnsw"):
        found["m"] = int(index.hnsw.nb_neighbors(1))
    return found
