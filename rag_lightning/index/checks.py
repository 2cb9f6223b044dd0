"""Checks of vectors before they are searched or searched for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.errors import ArtifactError, ConfigError, DataError

BLOCK = 1 << 16
"""Number of vectors checked and added at a time, so that a memory-mapped array is never fully in memory."""
UNIT = 0.05
"""Largest difference of a length from 1, which imported vectors keep to as well."""


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


def check_lengths(vectors: NDArray[np.float32], unit: bool = False, source: Path | str = "vectors") -> None:
    """Check the lengths of vectors [N, D] block by block.

    Raises:
        DataError: a vector of length 0, which has no direction: its scores are 0, above all negative ones; one whose
            inner products vanish or overflow in float32; or, if `unit`, one of another length than 1.
    """
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        with np.errstate(over="ignore"):
            squares = np.einsum("nd,nd->n", block, block)
        if not squares.all() and (bad := np.flatnonzero(~block.any(axis=1))).size:
            problem = f"vector is zero, as {bad.size} of these are (rows count from 0)"
            raise DataError(source, problem, row=start + int(bad[0]), hint="its scores mean nothing: embed it again")
        if (bad := np.flatnonzero(~((squares > 0) & np.isfinite(squares)))).size:
            length = np.linalg.norm(block[bad[0]].astype(np.float64))
            problem = f"vector has length {length:.4g}, with which inner products are 0 or infinite in float32"
            raise DataError(source, problem, row=start + int(bad[0]), hint="scale the vectors, or embed them again")
        if unit and (bad := np.flatnonzero(~(np.abs(np.sqrt(squares) - 1) <= UNIT))).size:
            length = np.sqrt(squares[bad[0]])
            problem = f"vector has length {length:.4g}, but encoder.normalize makes all of length 1"
            raise DataError(source, problem, row=start + int(bad[0]), hint="embed the corpus again")


def check_half(vectors: NDArray[np.float32], source: Path | str = "vectors") -> None:
    """Raise DataError for a vector whose largest number is outside the range of float16: it would be infinite, or 0."""
    half = np.finfo(np.float16)
    least, most = float(half.tiny), float(half.max)
    for start in range(0, len(vectors), BLOCK):
        largest = np.abs(vectors[start : start + BLOCK]).max(axis=1)
        if (bad := np.flatnonzero(~((largest >= least) & (largest <= most)))).size:
            found = f"vector has {largest[bad[0]]:.4g} as its largest number"
            problem = f"{found}, and float16 holds {least:.2g} to {most:g}"
            raise DataError(source, problem, row=start + int(bad[0]), hint="scale the vectors, or use float32")


def check_k(k: int, ntotal: int) -> None:
    """Raise ConfigError unless 1 <= k <= ntotal."""
    if not 1 <= k <= ntotal:
        raise ConfigError(f"k is {k}, but the corpus has {ntotal} passages; choose 1 <= k <= {ntotal}")


def check_rows(rows: NDArray[np.int64], count: int) -> None:
    """Raise ArtifactError unless rows that an index gave are those of `count` vectors, or -1.

    A large file is hashed at its first opening alone: damage after it may name rows that no vector has.
    """
    if len(rows) == 1 and min(found := rows[0].tolist()) >= 0 and max(found) < count:
        return  # one query, in a third of the time
    if (rows + 1).view(np.uint64).max() > count:  # negative ones are large
        row = int(rows[(rows < -1) | (rows >= count)][0])
        problem = f"the index gives row {row:,}, but has {count:,} vectors: its file is damaged"
        raise ArtifactError(f"{problem}; `rag-lightning doctor --deep` names the folder, remove it and run again")


def check_queries(queries: NDArray[np.float32], dim: int) -> None:
    """Check queries [Q, D]; what is right costs one pass.

    Raises:
        DataError: as `check_vectors` and `check_lengths`.
    """
    if queries.ndim == 2 and queries.dtype == np.float32 and queries.shape[1] == dim and len(queries):
        if len(queries) == 1:  # as below, in a call that takes a fifth of the time
            if 0 < np.vdot(queries, queries) < np.inf:
                return
        elif (squares := np.einsum("nd,nd->n", queries, queries)).min() > 0 and squares.max() < np.inf:
            return  # not so for any NaN
    check_vectors(queries, dim, source="queries")
    check_lengths(queries, source="queries")
