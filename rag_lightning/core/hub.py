"""What `--scale paper` needs from the hub, and whether the hub can be reached at all."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

HUB = ("huggingface.co", 443)
HUB_REVISION = "main"
"""Until the first download; the commit it resolves to is what the manifest records."""


@dataclass(frozen=True)
class HubAsset:
    """A model or data set of the hub that `--scale paper` needs; sizes in GB (10^9 bytes).

    Args:
        name: Repository on the hub.
        kind: "model" or "dataset".
        download: Size of what is downloaded.
        ram: Memory it needs in use.
        disk: Space it needs once unpacked.
        basis: Where the three numbers come from.
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
        38.0,
        116.0,
        "derived: 21,015,324 passages x (about 650 bytes of text + 768 x 4 bytes) + the 38 GB HNSW128_SQ8 index",
    ),
    HubAsset("google-research-datasets/nq_open", "dataset", 0.1, 0.1, 0.1, "estimate: under 100 MB of text"),
)


def describe_paper_scale() -> str:
    """One line: what `--scale paper` would download and need, all of it estimated from published counts."""
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
