"""Stamps of large files: size, modification time and inode, by which a file that was hashed in a place is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_sealed, write_sealed

STAMPS = ".stamps.json"
"""File in an artifact's folder with the stamps of its large files, where there are some."""


def stamp_of(path: Path) -> list[int]:
    """Size, modification time and inode; empty for no file."""
    if not path.is_file():
        return []
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def read_stamps(folder: Path) -> dict[str, Any]:
    """Name -> stamp of the large files that were found right in this place; none where the file is damaged."""
    try:
        return read_sealed(folder / STAMPS) if (folder / STAMPS).exists() else {}
    except DataError:
        return {}


def write_stamps(folder: Path, stamps: Mapping[str, list[int]]) -> None:
    """Write the stamps, if there are some."""
    if stamps:
        write_sealed(folder / STAMPS, stamps)
