"""Location of the files that the project ships: experiments, sweeps, published numbers, templates."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDERS = ("experiments", "sweeps", "reports")
_PACKAGE = Path(__file__).resolve().parents[1]
_IN_WHEEL = _PACKAGE / "shipped"
HOME = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent
"""The folder that holds FOLDERS: package data of an installed wheel, else the checkout (pyproject.toml: `sources`)."""


def find_shipped(path: str | Path) -> Path:
    """The given path if it exists, else the project's own file or folder of that name.

    The working folder takes precedence: a user's file replaces the project's. A path that is neither is returned
    unchanged.

    >>> find_shipped("no/such/file").as_posix()
    'no/such/file'
    """
    given = Path(path)
    if os.path.exists(given) or ".." in given.parts or given.parts[:1] not in [(folder,) for folder in FOLDERS]:
        return given
    shipped = HOME / given
    return shipped if os.path.exists(shipped) else given


def find_configs(words: Sequence[str]) -> Iterator[str]:
    """The words of a command line, with `find_shipped` applied to the values of `--config`."""
    before = ""
    for word in words:
        if before == "--config":
            yield str(find_shipped(word))
        elif word.startswith("--config="):
            yield f"--config={find_shipped(word.removeprefix('--config='))}"
        else:
            yield word
        before = word
