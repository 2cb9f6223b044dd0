"""Numbers under which a training would do nothing, never end, or go backwards."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.trainer_config import (
    RetrieverWarmupConfig,
    TrainerConfig,
    WarmupConfig,
    check_training,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", -1), ("batch_size", 0), ("batch_size", -3), ("k", 0), ("warmup", -5), ("eval_every", -1),
        ("eval_limit", -1), ("lr", -1.0), ("lr", nan), ("retriever_lr", inf), ("scale_lr", nan), ("weight_decay", nan),
        ("clip", -1.0), ("label_smoothing", 2.0), ("label_smoothing", nan),
    ],
)  # fmt: skip
def test_a_number_that_trains_nothing_for_ever_or_backwards_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"train.{name}={value} must be"):
        check_training("train", replace(TrainerConfig(), **{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("window", 0), ("window_share", 1.5), ("copy_scale", nan)])
def test_those_of_the_reader_warm_up_too(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"warmup\.{name}="):
        check_training("warmup", replace(WarmupConfig(), **{name: value}))  # type: ignore[arg-type]


def test_the_defaults_are_fine() -> None:
    for config in (
        TrainerConfig(),
        TrainerConfig(steps=0, label_smoothing=0.1),
        WarmupConfig(),
        RetrieverWarmupConfig(),
    ):
        check_training("any", config)
