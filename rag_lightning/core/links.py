"""Symbolic links and leftovers: what the project writes stays in its folders, and what a kill left there goes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

import psutil

from rag_lightning.core.errors import DataError

TEMPORARY = ".tmp"
"""End of the name of a file that is being written, behind the number of its process."""


def open_lock(path: Path) -> IO[bytes]:
    """Open the file of a lock, a new one where there is none; what is in it stays.

    Raises:
        DataError: the file is a link.
    """
    return open(path, "ab", opener=no_link)


def no_link(path: str, flags: int) -> int:
    """The `opener` of `open` for a file of ours that is opened in place.

    Raises:
        DataError: the file is a link.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP or not os.path.islink(path):
            raise
        raise _linked(Path(path)) from error


def make_folder(path: Path, root: Path) -> Path:
    """Create a folder below `root`, and return it.

    Raises:
        DataError: as `check_unlinked`.
    """
    check_unlinked(path, root)
    path.mkdir(parents=True, exist_ok=True)
    return path


def check_unlinked(path: Path, root: Path) -> None:
    """Check that what is written to a path stays below `root`, which may be a link itself, to another disk.

    Raises:
        DataError: the path, or a folder between it and `root`, is a link.
    """
    for part in (path, *path.parents):
        if part == root:
            return
        if part.is_symlink():
            raise _linked(part)


def _linked(path: Path) -> DataError:
    return DataError(path, "is a link, and nothing is written through one", hint="remove it, or put a copy there")


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and its folders, in order of name; links are followed, each folder is visited once."""
    found, seen = list[Path](), set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place, name) for name in names]
    return sorted(found)


def remove_leftovers(folder: Path) -> None:
    """Remove the files below a folder that processes were writing which live no more; links are not followed."""
    for path in folder.rglob(f"*{TEMPORARY}"):
        number = path.name.removesuffix(TEMPORARY).rpartition(".")[2]
        if number.isdecimal() and not path.is_dir() and not psutil.pid_exists(int(number)):
            path.unlink(missing_ok=True)
