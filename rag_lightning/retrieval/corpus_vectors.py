"""Vectors of a file as those of a corpus: its ids put them into the order of the passages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.retrieval import Stored
from rag_lightning.core.arrays import new_array
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import replace_file
from rag_lightning.corpus.store import PassageStore
from rag_lightning.retrieval.embed import Progress
from rag_lightning.retrieval.vector_checks import finite
from rag_lightning.retrieval.vector_files import VectorFile


def corpus_order(store: PassageStore, ids: Iterable[str] | None, source: Path) -> NDArray[np.int64] | None:
    """[N] the corpus row of each vector; None where that is their order already.

    Raises:
        DataError: an id that the corpus does not hold, one that is there twice, or too few or too many.
    """
    if ids is None:
        return None
    order, taken = np.empty(len(store), dtype=np.int64), np.zeros(len(store), dtype=bool)
    count = 0
    for count, name in enumerate(ids, 1):
        row = store.find(name)
        if row is None:
            problem = f"is no passage of the corpus, which has {len(store):,}"
            raise DataError(
                source, problem, row=count, field="id", value=name, hint="give the corpus they were made for"
            )
        if taken[row]:
            raise DataError(source, "is there twice", row=count, field="id", value=name)
        order[count - 1], taken[row] = row, True
    if count < len(store):
        missing = store[int(np.flatnonzero(~taken)[0])].passage_id
        raise DataError(source, f"has {count:,} ids for {len(store):,} passages", field="id", value=f"no {missing}")
    return None if np.array_equal(order, np.arange(len(store))) else order


def write_vectors(
    given: VectorFile, order: NDArray[np.int64] | None, path: Path, report: Progress, stored: Stored = "float32"
) -> None:
    """Write the vectors in the order of the corpus, as float32 or rounded to float16.

    Raises:
        DataError: a vector that is not finite, zero or too large for float16, or fewer than the file announced.
    """
    written = path.with_name(path.name + ".tmp")
    try:
        _write(given, order, written, report, stored)
        replace_file(written, path)
    finally:
        written.unlink(missing_ok=True)  # of vectors that are refused


def _write(given: VectorFile, order: NDArray[np.int64] | None, path: Path, report: Progress, stored: Stored) -> None:
    out, start = new_array(path, given.shape, stored), 0
    for block in given.blocks():
        vectors, stop = finite(given.path, block, start), start + len(block)
        if stored == "float16":
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
                vectors = finite(given.path, vectors.astype(np.float16), start)
        if len(zero := np.flatnonzero(~vectors.any(axis=1))):
            row = start + int(zero[0]) + 1
            raise DataError(given.path, "vector is zero, and would score 0", row=row, hint="compute it again")
        out[slice(start, stop) if order is None else order[start:stop]] = vectors
        start = stop
        report(stop, given.shape[0])
    if start != given.shape[0]:
        raise DataError(given.path, f"holds {start:,} vectors instead of {given.shape[0]:,}", hint="write it again")
    out.flush()
