"""Where `rag-lightning sweep` begins: what can be refused at once is refused before anything heavy is imported."""

from __future__ import annotations

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.hub import require_hub


def run(config: SweepConfig) -> None:
    """Run a sweep.

    Raises:
        AssetError: scale paper where the hub cannot be reached.
    """
    if config.experiment.scale == "paper":
        require_hub(config.experiment.encoder.model)
    from rag_lightning.sweep.run import run as run_sweep

    run_sweep(config)
