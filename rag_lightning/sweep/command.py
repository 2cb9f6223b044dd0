"""Command `sweep`: quick checks before the imports of heavy packages."""

from __future__ import annotations

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.hub import require_hub


def run(config: SweepConfig) -> None:
    """Run a sweep.

    Raises:
        AssetError: scale paper, and the hub cannot be reached.
    """
    if config.experiment.scale == "paper":
        require_hub(config.experiment.encoder.model)
    from rag_lightning.sweep.run import run as run_sweep

    run_sweep(config)
