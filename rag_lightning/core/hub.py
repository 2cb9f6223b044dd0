"""Models and data sets that `--scale paper` needs from the hub, and access to the hub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.core.errors import AssetError

HUB = ("huggingface.co", 443)
HUB_REVISION = "main"
"""Branch that is downloaded; the manifest records its commit."""


@dataclass(frozen=True)
class HubAsset:
    """A model or data set of the hub that `--scale paper` needs; sizes in GB (10^9 bytes).

    Args:
        name: Repository on the hub.
        kind: "model" or "dataset".
        download: Size of the download.
        ram: Memory in use.
        disk: Disk space after unpacking.
        basis: Source of the three numbers.
    """

    name: str
    kind: str
    download: float
    ram: float
    disk: float
    basis: str


_WEIGHTS = "derived: 4 bytes for each of the 516M to 626M parameters (paper, appendix G)"

PAPER_ASSETS: tuple[HubAsset, ...] = (
    HubAsset("facebook/rag-token-nq", "model", 2.1, 2.1, 2.1, _WEIGHTS),
    HubAsset("facebook/rag-sequence-nq", "model", 2.1, 2.1, 2.1, _WEIGHTS),
    HubAsset("facebook/rag-token-base", "model", 2.1, 2.1, 2.1, _WEIGHTS),
    HubAsset("facebook/rag-sequence-base", "model", 2.1, 2.1, 2.1, _WEIGHTS),
    HubAsset("facebook/bart-large", "model", 1.6, 1.6, 1.6, "derived: 406M parameters x 4 bytes"),
    HubAsset("facebook/dpr-question_encoder-single-nq-base", "model", 0.4, 0.4, 0.4, "derived: 110M x 4 bytes"),
    HubAsset("facebook/dpr-ctx_encoder-single-nq-base", "model", 0.4, 0.4, 0.4, "derived: 110M x 4 bytes"),
    HubAsset(
        "facebook/wiki_dpr",
        "dataset",
        116.0,
        64.6,
        116.0,
        "derived: 21,015,324 passages x (about 650 bytes of text + 768 x 4 bytes) + the 38 GB HNSW128_SQ8 index; "
        "memory of the flat index",
    ),
    HubAsset("google-research-datasets/nq_open", "dataset", 0.1, 0.1, 0.1, "estimate: under 100 MB of text"),
)


def describe_paper_scale() -> str:
    """One line with the download, disk and memory of `--scale paper`, estimated from published counts."""
    download = sum(asset.download for asset in PAPER_ASSETS)
    disk = sum(asset.disk for asset in PAPER_ASSETS)
    ram = max(asset.ram for asset in PAPER_ASSETS if asset.kind == "dataset") + 2.1
    names = ", ".join(asset.name for asset in PAPER_ASSETS)
    return (
        f"scale 'paper' needs about {download:.0f} GB of download, {disk:.0f} GB of disk and {ram:.0f} GB of memory "
        f"(estimates) for {names} at revision {HUB_REVISION}"
    )


def hub_reachable(timeout: float = 1.5) -> bool:
    """Whether a connection to the hub opens within `timeout` seconds (name look-up included); nothing is sent."""
    probe = f"import socket; socket.create_connection({HUB!r}, {timeout}).close()"
    try:
        # A name look-up has no time limit of its own, so it runs where it can be stopped.
        done = subprocess.run([sys.executable, "-S", "-c", probe], capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def require_hub(name: str) -> None:
    """Raise AssetError, with the requirements of scale paper for what it needs, unless the hub can be reached."""
    if not hub_reachable():
        of_scale = name in {asset.name for asset in PAPER_ASSETS}
        remedy = describe_paper_scale() if of_scale else "give a folder that holds it, or run it once with a network"
        raise AssetError(f"the hub cannot be reached, so {name!r} cannot be loaded; {remedy}")


def check_repository(name: str, kind: str) -> None:
    """Raise AssetError for what cannot be a repository: a file, or a path to a folder that is not there.

    >>> check_repository("facebook/bart-large", "model")
    """
    if Path(name).is_file():
        raise AssetError(f"{kind} {name!r}: is a file; expected a folder, or OWNER/NAME on the hub")
    if not _REPOSITORY.fullmatch(name) or Path(name).suffix in _FILES:
        raise AssetError(f"{kind} {name!r}: no such folder, and no OWNER/NAME on the hub; check the path")


_REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_FILES = {".npy", ".npz", ".faiss", ".index", ".parquet", ".arrow", ".jsonl", ".json", ".tsv", ".csv", ".gz", ".zst"}


def resolve_commit(name: str, kind: str, revision: str = HUB_REVISION) -> str:
    """The current commit of a revision, for manifests; with HF_HUB_OFFLINE the commit in the local cache.

    Args:
        name: Repository on the hub.
        kind: "model" or "dataset".
        revision: Branch or tag.

    Raises:
        AssetError: the hub cannot be reached, or has no such repository; or the name is a path.
    """
    check_repository(name, kind)
    if offline() and (cached := cached_commit(name, kind, revision)):
        return cached
    require_hub(name)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=10)
    except (HfHubHTTPError, OSError) as error:
        raise AssetError(f"{kind} {name!r}: the hub does not have it, or did not answer ({error})") from error
    return str(found.sha)


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids access to the hub, as on the nodes of a cluster."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("1", "on", "true", "yes")


def cached_commit(name: str, kind: str, revision: str = HUB_REVISION) -> str | None:
    """The commit of a revision in the local cache of the hub, None if it is not there.

    Args:
        name: Repository on the hub.
        kind: "model" or "dataset".
        revision: Branch or tag.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    reference = Path(HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}" / "refs" / revision
    return reference.read_text(encoding="utf-8").strip() if reference.is_file() else None


def download_model(name: str, commit: str) -> Path:
    """Folder of a model at one commit (configuration, tokenizer, safetensors), downloaded or from the cache."""
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.model", "*.safetensors"]
    return Path(snapshot_download(name, revision=commit, allow_patterns=patterns))


def downloaded_model(name: str, commit: str) -> Path | None:
    """Folder of a model at one commit in the local cache of the hub, None if it is not there."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots" / commit
    return folder if (folder / "config.json").is_file() else None
