"""Arrays of artifacts: NumPy files that a stage wrote, or somebody who shares a folder."""

from __future__ import annotations

import errno
import os
import tokenize
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rag_lightning.core.compression import ZIP_DAMAGE
from rag_lightning.core.errors import DISK_ERRORS, ArtifactError

DAMAGE = (*ZIP_DAMAGE, ValueError, TypeError, MemoryError, SyntaxError, tokenize.TokenError)
"""Errors of NumPy about a damaged header or archive."""
BLOCK = 512
"""Bytes of a block of `st_blocks`."""


class Halves:
    """An array of float16 numbers that is read as float32: what is taken of it is converted, and nothing else is.

    It stands where code reads rows or blocks of a memory-mapped array [N, D].
    """

    dtype = np.dtype(np.float32)

    def __init__(self, halves: NDArray[np.float16]) -> None:
        self._halves, self.shape, self.ndim, self.size = halves, halves.shape, halves.ndim, halves.size

    def __len__(self) -> int:
        return len(self._halves)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        """Rows or numbers as float32."""
        return np.asarray(self._halves[key], dtype=np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float32]:
        """The whole array in memory."""
        return self._halves.astype(dtype or np.float32)


def gathered(vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The float32 vectors that rows name, and the rows in them: FAISS reads no other type.

    Args:
        vectors: [N, D]; Halves are read where a row names them, other vectors are returned as they are.
        rows: Any shape; -1 (nothing found) may stand for any row.
    """
    halves: Any = vectors
    if not isinstance(halves, Halves):
        return vectors, rows
    wanted, places = np.unique(np.maximum(rows, 0), return_inverse=True)
    return halves[wanted], places.reshape(rows.shape).astype(np.int64)


def open_floats(path: Path) -> NDArray[np.float32]:
    """Vectors [N, D] of an artifact, memory-mapped, stored as float32 or float16 and read as float32.

    Raises:
        ArtifactError: as `open_array`.
    """
    try:
        halves = np.load(path, mmap_mode="r", allow_pickle=False).dtype == np.float16
    except (*DAMAGE, AttributeError):
        halves = False
    if halves:
        return cast("NDArray[np.float32]", Halves(open_array(path, np.float16, 2)))
    return open_array(path, np.float32, 2)


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


def new_array(path: Path, shape: tuple[int, int], dtype: DTypeLike = np.float32) -> np.memmap[Any, np.dtype[Any]]:
    """A new .npy file of numbers, memory-mapped, to be filled; its room on the disk is reserved.

    Raises:
        OSError: the disk has no room for it; the file is removed.
    """
    try:
        made = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
        with path.open("r+b") as handle:
            reserve(handle.fileno(), path.stat().st_size, path)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return made


def reserve(descriptor: int, size: int, path: Path) -> None:
    """Reserve the room of a file that is written through a map: a disk that is full then would end the process.

    Args:
        descriptor: The file, opened for writing.
        size: Its size in bytes.
        path: Its name, or that of its folder, for the error.

    Raises:
        OSError: the disk has no room.
    """
    disk = os.fstatvfs(descriptor)
    if size - BLOCK * os.fstat(descriptor).st_blocks > disk.f_bavail * disk.f_frsize:  # before the disk is filled
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in DISK_ERRORS:  # else a file system that reserves nothing
            raise OSError(error.errno, error.strerror, str(path)) from error
