"""The learning rate of a step: linear warm-up, then linear or polynomial decay.

The authors' sample script (finetune_rag.sh) trains with polynomial decay, the option of that name in fairseq
(`polynomial_decay`, end_learning_rate 0, power 1 by default) and transformers (lr_end 1e-7).
"""

from __future__ import annotations

from rag_lightning.core.trainer_config import TrainerConfig


def rate_factor(step: int, config: TrainerConfig) -> float:
    """Share of its peak rate that every parameter group is trained at.

    Args:
        step: Optimiser steps done before this one.
        config: steps, warmup, and the decay.

    Returns:
        0 to 1; the smaller of the rising line (step + 1) / warmup and the decay.
    """
    rising = (step + 1) / max(config.warmup, 1)
    falling = (config.steps - step) / max(config.steps - config.warmup, 1)
    if config.decay == "polynomial":
        end = config.end_lr / config.lr if config.lr else 0.0
        falling = (1 - end) * min(max(falling, 0.0), 1.0) ** config.power + end
    return max(min(rising, falling, 1.0), 0.0)
