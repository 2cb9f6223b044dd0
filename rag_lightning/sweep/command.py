"""Command `sweep`: quick checks before the imports of heavy packages."""

from __future__ import annotations

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.hub import require_hub


def run(config: SweepConfig, status: bool = False) -> None:
    """Run a sweep, or show what it has done and is doing.

    Raises:
        AssetError: scale paper, and the hub cannot be reached.
        DataError: the status of a sweep that was never started.
    """
    if status:
        from rag_lightning.sweep.status import show_status

        show_status(config)
        return
    if config.experiment.scale == "paper":
        require_hub(config.experiment.encoder.model)
    from rag_lightning.sweep.run import run as run_sweep

    run_sweep(config)
