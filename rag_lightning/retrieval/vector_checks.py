"""Whether vectors that others computed are finite, and those of our passages and encoder: some are encoded again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.errors import DataError
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import Floats

if TYPE_CHECKING:  # readers of vectors need no torch
    from rag_lightning.retrieval.encoders import TextEncoder

SAMPLE = 32
"""Number of passages that are encoded again."""
NEAR = 0.05
"""Largest |found - expected| / |expected| of a vector, which half precision and another type of weights keep to."""
BLOCK = 1 << 16


def check_sample(vectors: Floats, store: PassageStore, encoder: TextEncoder, source: Path) -> float:
    """Encode some passages again, the first and the last among them; returns the largest relative error.

    Raises:
        DataError: a vector that is not that of its passage; the message says what seems to be the reason.
    """
    rows = np.unique(np.linspace(0, len(store) - 1, SAMPLE).astype(np.int64))
    expected = encoder.encode_texts([store[int(row)] for row in rows])
    errors = relative_errors(vectors[rows], expected)
    at = int(errors.argmax())
    if errors[at] > NEAR:
        name, row = store[int(rows[at])].passage_id, int(rows[at]) + 1
        problem = f"is not the vector that the encoder gives for its passage (relative error {errors[at]:.2f})"
        raise DataError(source, problem, row=row, field="id", value=name, hint=_reason(vectors, rows[at], expected[at]))
    return float(errors[at])


def finite(path: Path, block: NDArray[Any], start: int) -> Floats:
    """[any, D] of any float type as float32.

    Args:
        path: The file, for the error.
        block: Some of its vectors.
        start: Row of the first, from 0.

    Raises:
        DataError: a number that is not finite, or too large for float32.
    """
    with np.errstate(over="ignore"):
        vectors: Floats = np.asarray(block, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise DataError(path, "vector is not finite as float32", row=start + int(bad[0]) + 1, hint="compute it again")
    return vectors


def relative_errors(found: Floats, expected: Floats) -> NDArray[np.float64]:
    """[any, D] twice -> [any] |found - expected| / |expected|."""
    apart: NDArray[np.float64] = np.linalg.norm(found.astype(np.float64) - expected, axis=1)
    lengths: NDArray[np.float64] = np.maximum(np.linalg.norm(expected, axis=1), 1e-12)
    return apart / lengths


def _reason(vectors: Floats, row: np.int64, expected: Floats) -> str:
    """Why a vector is another one: the order, the length of all, or the encoder."""
    parts = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
    errors = np.concatenate([relative_errors(part, np.broadcast_to(expected, part.shape)) for part in parts])
    if errors.min() <= NEAR:
        return f"that vector is row {int(errors.argmin()) + 1}: the order is not that of the corpus; give --ids FILE"
    found = vectors[row]
    cosine = float(found @ expected / max(np.linalg.norm(found) * np.linalg.norm(expected), 1e-12))
    if cosine > 1 - NEAR**2:
        return "only its length differs: set encoder.normalize as it was when they were made"
    return "set encoder.passage_model, pooling, normalize and passage_prefix as they were when they were made"
