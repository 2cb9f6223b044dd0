"""The learning rate of every step, against transformers' polynomial schedule and the straight lines."""

from __future__ import annotations

import pytest
import torch
from transformers import get_polynomial_decay_schedule_with_warmup

from rag_lightning.config.training import TrainConfig
from rag_lightning.training.module import rate_factor


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize(("power", "end"), [(1.0, 0.0), (2.0, 1e-5), (0.5, 0.0)])
def test_polynomial_decay_is_that_of_fairseq(power: float, end: float, warmup: int) -> None:
    config = TrainConfig(steps=12, warmup=warmup, lr=1e-3, decay="polynomial", power=power, end_lr=end)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
    schedule = get_polynomial_decay_schedule_with_warmup(optimizer, warmup, config.steps, lr_end=end, power=power)
    for step in range(config.steps + 1):
        if step >= warmup:  # ours rises one step earlier, so that the first step is not lost
            assert config.lr * rate_factor(step, config) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()


def test_power_1_is_the_straight_line() -> None:
    linear = TrainConfig(steps=20, warmup=4)
    curved = TrainConfig(steps=20, warmup=4, decay="polynomial")
    assert [rate_factor(s, linear) for s in range(25)] == pytest.approx([rate_factor(s, curved) for s in range(25)])
    assert [rate_factor(s, linear) for s in (0, 3, 4, 12, 20)] == pytest.approx([0.25, 1.0, 1.0, 0.5, 0.0])
