"""Numbers under which a training would do nothing, never end, or go backwards."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import inf, nan
from typing import Any

import pytest

from rag_lightning.config.training import (
    COST,
    BiencoderConfig,
    ReaderConfig,
    RetrieverWarmupConfig,
    TrainConfig,
    accumulation,
    check_off,
    check_one_batch,
    check_retriever_training,
    check_training,
    processes,
    recipe_settings,
)
from rag_lightning.core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", -1), ("batch_size", 0), ("batch_size", -3), ("k", 0), ("warmup", -5), ("eval_every", -1),
        ("eval_limit", -1), ("lr", -1.0), ("lr", nan), ("retriever_lr", inf), ("scale_lr", nan), ("weight_decay", nan),
        ("patience", -1), ("end_lr", nan), ("power", -1.0), ("clip", -1.0),
        ("label_smoothing", 2.0), ("label_smoothing", nan),
    ],
)  # fmt: skip
def test_a_number_that_trains_nothing_for_ever_or_backwards_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"train.{name}={value} must be"):
        check_training("train", replace(TrainConfig(), **{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("window", 0), ("window_share", 1.5), ("copy_scale", nan)])
def test_those_of_the_reader_warm_up_too(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"warmup\.{name}="):
        check_training("warmup", replace(ReaderConfig(), **{name: value}))  # type: ignore[arg-type]


def test_the_defaults_are_fine() -> None:
    for config in (
        TrainConfig(),
        TrainConfig(steps=0, label_smoothing=0.1),
        ReaderConfig(),
        RetrieverWarmupConfig(),
    ):
        check_training("any", config)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"power": 2.0}, "decay=polynomial"),
        ({"decay": "polynomial", "power": 0.0}, "power above 0"),
        ({"decay": "polynomial", "end_lr": 2e-4}, "end_lr below lr"),
        ({"patience": 3, "eval_every": 0}, "patience=3 counts evaluations"),
        ({"trainer": {"devices": "auto"}}, "devices='auto'"),
        ({"trainer": {"devices": 0}}, "devices=0"),
        ({"trainer": {"num_nodes": 2}}, "num_nodes=2"),
        ({"trainer": {"devices": 2, "strategy": "fsdp"}}, "strategy='fsdp'"),
        ({"trainer": {"accumulate_grad_batches": 0}}, "accumulate_grad_batches=0"),
    ],
)
def test_settings_that_do_not_go_together_are_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"train.*{says}"):
        check_training("train", replace(TrainConfig(), **fields))


def test_what_several_processes_and_batches_are() -> None:
    config = TrainConfig(trainer={"devices": 2, "strategy": "ddp", "accumulate_grad_batches": 4})
    assert (processes("train", config), accumulation("train", config)) == (2, 4)
    check_training("train", config)
    with pytest.raises(ConfigError, match=r"biencoder\.trainer: .* it is one batch"):
        check_one_batch("biencoder", config)
    check_one_batch("biencoder", TrainConfig())


def test_later_fields_leave_digests_as_they_were_until_they_are_used() -> None:
    later = {"decay", "power", "end_lr", "patience", "retrieve_ahead"}
    assert asdict(TrainConfig()).keys() - recipe_settings(asdict(TrainConfig())).keys() == later | set(COST)
    assert recipe_settings(asdict(TrainConfig(retrieve_ahead=True)))["retrieve_ahead"] is True
    used = recipe_settings(asdict(TrainConfig(decay="polynomial", patience=2)))
    assert (used["decay"], used["patience"]) == ("polynomial", 2) and "power" not in used


def test_what_a_training_takes_is_no_part_of_its_digest() -> None:
    assert COST == ("checkpoint_encoder",)
    for config in (TrainConfig, ReaderConfig):
        used, plain = (recipe_settings(asdict(config(checkpoint_encoder=on))) for on in (True, False))
        assert used == plain


@pytest.mark.parametrize("name", ["checkpoint_encoder", "retrieve_ahead"])
@pytest.mark.parametrize("config", [RetrieverWarmupConfig, BiencoderConfig])
def test_switches_of_the_generators_training_are_refused_where_it_takes_no_part(config: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=f"biencoder.{name}=true has nothing to work on here"):
        check_retriever_training("biencoder", config(**{name: True}))
    check_off("warmup", ReaderConfig(checkpoint_encoder=True), "retrieve_ahead")
