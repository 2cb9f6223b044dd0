"""Building FAISS indexes from vectors that may be larger than memory: rules of thumb, training and adding.

Vectors are read block by block. Training reads a seeded sample of them. An inverted file of many vectors is added in
parts, each a file of its own, so that an interrupted build continues after its last part; the parts together are byte
by byte the index of one build.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core import seeds
from rag_lightning.core.arrays import reserve
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import replace_file
from rag_lightning.core.registry import LazyModule
from rag_lightning.index.checks import BLOCK, UNIT
from rag_lightning.index.faiss_files import ROW, innermost

faiss: Any = LazyModule("faiss")
Vectors = NDArray[np.float32]
PARTS, TRAINED = "parts", "trained.faiss"
PART_BYTES = 1 << 28
"""Size of a part of an inverted file."""
POINTS_PER_CELL, POINTS_PER_CODE, LEAST_POINTS = 64, 256, 1 << 16
"""Vectors to train on: per cell of an inverted file, per entry of a codebook, and for anything else. FAISS asks for 30
to 256 per cell, and uses at most 256 per entry."""


@dataclass(frozen=True)
class Rules:
    """What the rules of thumb give for a number of vectors.

    Args:
        training: Number of vectors to train on; 0 where nothing is trained.
        nlist: Number of cells, 0 without.
        codes: Parts and bits of a product quantizer, such as `48 x 8 bits`; empty without.
    """

    training: int
    nlist: int
    codes: str

    def __str__(self) -> str:
        parts = [f"nlist {self.nlist:,}"] if self.nlist else []
        parts += [self.codes] if self.codes else []
        return ", ".join([*parts, f"trained on {self.training:,} vectors" if self.training else "not trained"])


def rules_of(index: Any, count: int) -> Rules:
    """The rules of thumb for an empty FAISS index that is to hold `count` vectors."""
    inner = innermost(index)
    nlist, quantizer = int(getattr(inner, "nlist", 0)), getattr(inner, "pq", None)
    entries = int(quantizer.ksub) if quantizer is not None else 0
    wanted = max(POINTS_PER_CELL * nlist, POINTS_PER_CODE * entries, LEAST_POINTS)
    codes = f"{quantizer.M} x {quantizer.nbits} bits" if quantizer is not None else ""
    return Rules(0 if index.is_trained else min(count, wanted), nlist, codes)


def train(index: Any, vectors: Vectors, folder: Path | None = None) -> None:
    """Train a FAISS index on as many vectors as the rules of thumb say.

    Args:
        index: The index; nothing is done if it is trained.
        vectors: [N, D], may be memory-mapped.
        folder: Folder for a temporary file of the sample; None for that of the system.

    Raises:
        ConfigError: FAISS cannot train it on these vectors: too few.
    """
    if index.is_trained:
        return
    try:
        with _sample(vectors, rules_of(index, len(vectors)).training, folder) as sample:
            _train_cells(index, sample)
            index.train(sample)
    except RuntimeError as error:
        reason = " ".join(str(error).split(": ")[-1].split())
        problem = f"FAISS cannot train {type(index).__name__} on {len(vectors):,} vectors ({reason})"
        raise ConfigError(f"{problem}; choose fewer cells or bits, or index.kind=flat") from error


def _train_cells(index: Any, sample: Vectors) -> None:
    """Train the cells of an inverted file whose codes are of residuals, where vectors are not of length 1.

    FAISS's centres are of length 1 for inner products. The residual of a much shorter vector would be little but its
    centre, and the code would lose the vector; so the centres get the mean length, which leaves the cells as they are.
    """
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is None or not inverted.by_residual or not inverted.cp.spherical:
        return
    length = float(np.linalg.norm(sample[:LEAST_POINTS], axis=1).mean())
    if abs(length - 1) <= UNIT:
        return
    for transform in map(faiss.downcast_VectorTransform, _chain(index)):
        if not transform.is_trained:
            transform.train(sample)
        sample = transform.apply(sample)
    inverted.train_q1(len(sample), faiss.swig_ptr(np.ascontiguousarray(sample)), False, inverted.metric_type)
    centres = inverted.quantizer.reconstruct_n(0, inverted.nlist) * np.float32(length)
    inverted.quantizer.reset()
    inverted.quantizer.add(centres)


def _chain(index: Any) -> list[Any]:
    """The transforms in front of an index."""
    chain = getattr(faiss.downcast_index(index), "chain", None)
    return [chain.at(place) for place in range(chain.size())] if chain is not None else []


@contextmanager
def _sample(vectors: Vectors, count: int, folder: Path | None) -> Iterator[Vectors]:
    """Some vectors [count, D], drawn once for all builds, in a file: it may be larger than memory."""
    if count >= len(vectors):
        yield np.ascontiguousarray(vectors)
        return
    rows = np.sort(seeds.generator(0, "training of an index").choice(len(vectors), count, replace=False))
    with tempfile.TemporaryFile(dir=folder) as file:
        reserve(file.fileno(), 4 * count * vectors.shape[1], folder or Path(tempfile.gettempdir()))
        sample = np.memmap(file, np.float32, "w+", shape=(count, vectors.shape[1]))
        for start in range(0, count, BLOCK):
            sample[start : start + BLOCK] = vectors[rows[start : start + BLOCK]]
        yield np.asarray(sample)


def fill(index: Any, vectors: Vectors, report: Callable[[int, int], None], folder: Path | None = None) -> Any:
    """Train FAISS's index and add all vectors, block by block; returns the filled index.

    Args:
        index: An empty index.
        vectors: [N, D], may be memory-mapped.
        report: Called with (number of added vectors, total).
        folder: Folder for parts, from which an interrupted build continues; None to build in one go.

    Raises:
        ConfigError: as `train`.
    """
    rows = _part_rows(index)
    if folder is None or not rows or len(vectors) <= rows:
        train(index, vectors, folder)
        _reserve(index, len(vectors))
        for start in range(0, len(vectors), BLOCK):
            index.add(np.ascontiguousarray(vectors[start : start + BLOCK]))
            report(min(start + BLOCK, len(vectors)), len(vectors))
        return index
    parts = folder / PARTS
    parts.mkdir(exist_ok=True)
    if not (parts / TRAINED).exists():
        train(index, vectors, folder)
        _write(index, parts / TRAINED)
    files = {start: parts / f"{start:012d}.faiss" for start in range(0, len(vectors), rows)}
    for start, file in files.items():
        stop = min(start + rows, len(vectors))
        if not file.exists():
            _write(_filled(parts / TRAINED, vectors, range(start, stop)), file)
        report(stop, len(vectors))
    joined = _joined(parts / TRAINED, list(files.values()))
    shutil.rmtree(parts)
    return joined


def _reserve(index: Any, count: int) -> None:
    """Room for all codes at once: a list that grows by half is in memory twice."""
    held = innermost(index)
    if isinstance(held, faiss.IndexFlatCodes) and isinstance(held.codes, faiss.MaybeOwnedVectorUInt8):
        held.codes.resize(count * int(held.code_size))
        held.codes.resize(0)  # keeps the room


def _part_rows(index: Any) -> int:
    """Number of vectors of a part; 0 for an index that has no inverted lists in memory."""
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is None or not isinstance(faiss.downcast_InvertedLists(inverted.invlists), faiss.ArrayInvertedLists):
        return 0
    return max(BLOCK, PART_BYTES // (int(inverted.code_size) + ROW) // BLOCK * BLOCK)


def _write(index: Any, path: Path) -> None:
    written = path.with_name(path.name + ".tmp")
    faiss.write_index(index, str(written))
    replace_file(written, path)


def _filled(trained: Path, vectors: Vectors, rows: range) -> Any:
    index = faiss.read_index(str(trained))
    for start in range(rows.start, rows.stop, BLOCK):
        stop = min(start + BLOCK, rows.stop)
        index.add_with_ids(np.ascontiguousarray(vectors[start:stop]), np.arange(start, stop))
    return index


def _joined(trained: Path, files: list[Path]) -> Any:
    """The trained index with the inverted lists of all parts, one behind the other; holds one part beside them."""
    index = faiss.read_index(str(trained))
    lists = faiss.extract_index_ivf(index).invlists
    sizes = np.array([_list_sizes(faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)) for file in files])
    for number, size in enumerate(sizes.sum(axis=0).tolist()):
        lists.resize(number, size)
    starts = np.cumsum(sizes, axis=0) - sizes
    for file, first in zip(files, starts.tolist(), strict=True):
        part = faiss.extract_index_ivf(read := faiss.read_index(str(file)))
        for number, (start, size) in enumerate(zip(first, _list_sizes(read), strict=True)):
            ids, codes = part.invlists.get_ids(number), part.invlists.get_codes(number)
            lists.update_entries(number, start, size, ids, codes)
    total = int(sizes.sum())
    index.ntotal = faiss.extract_index_ivf(index).ntotal = total
    return index


def _list_sizes(index: Any) -> list[int]:
    inverted = faiss.extract_index_ivf(index)
    return [inverted.invlists.list_size(number) for number in range(inverted.nlist)]
