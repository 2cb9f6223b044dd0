"""Arrays of artifacts: NumPy files that a stage wrote, or somebody who shares a folder."""

from __future__ import annotations

import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rag_lightning.core.compression import ZIP_DAMAGE
from rag_lightning.core.errors import ArtifactError

DAMAGE = (*ZIP_DAMAGE, ValueError, TypeError, MemoryError, SyntaxError, tokenize.TokenError)
"""Errors of NumPy about a damaged header or archive."""


def open_array(path: Path, dtype: DTypeLike, ndim: int, shape: tuple[int, ...] = ()) -> NDArray[Any]:
    """The array in a .npy file of an artifact, memory-mapped.

    Args:
        path: The file.
        dtype: Type of its numbers.
        ndim: Number of its axes.
        shape: Its shape; empty for any.

    Raises:
        ArtifactError: damaged, of Python objects, or of another type or shape; nothing in it was run.
    """
    remedy = f"remove the folder {path.parent} and run again"
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise ArtifactError(f"{path}: is no array of numbers ({error}); {remedy}") from error
    if not isinstance(found, np.ndarray) or found.dtype != np.dtype(dtype) or found.ndim != ndim or not found.size:
        held = f"{list(found.shape)} of {found.dtype}" if isinstance(found, np.ndarray) else "an archive"
        raise ArtifactError(f"{path}: holds {held}, not {np.dtype(dtype)} with {ndim} axes; {remedy}")
    if shape and found.shape != shape:
        raise ArtifactError(f"{path}: has shape {list(found.shape)}, not {list(shape)}; {remedy}")
    return found
