"""Numbers under which a training would do nothing, never end, or go backwards."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.trainer import accumulation, devices_of, processes
from rag_lightning.config.training import BiencoderConfig, ReaderConfig, RetrieverWarmupConfig, TrainConfig
from rag_lightning.core.errors import ConfigError

SECTIONS = [TrainConfig, ReaderConfig, RetrieverWarmupConfig, BiencoderConfig]


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
    with pytest.raises(ConfigError, match=rf"^train\.{name}={value}: must be"):
        replace(TrainConfig(), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("window", 0), ("window_share", 1.5), ("copy_scale", nan)])
def test_those_of_the_reader_too(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^reader\.{name}="):
        replace(ReaderConfig(), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", SECTIONS)
def test_a_training_of_no_steps_is_no_mistake(cls: Any) -> None:
    assert cls(steps=0).steps == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"power": 2.0}, "decay=polynomial"),
        ({"end_lr": 1e-5}, "decay=polynomial"),
        ({"decay": "polynomial", "power": 0.0}, "power=0.0: must be above 0"),
        ({"decay": "polynomial", "end_lr": 2e-4}, "end_lr=0.0002: must be below train.lr"),
        ({"patience": 3, "eval_every": 0}, "patience=3 counts evaluations"),
        ({"trainer": {"devices": "auto"}}, "devices='auto'"),
        ({"trainer": {"devices": 0}}, "devices=0"),
        ({"trainer": {"num_nodes": "all"}}, "num_nodes='all'"),
        ({"trainer": {"num_nodes": 2, "strategy": "fsdp"}}, "strategy='fsdp'"),
        ({"trainer": {"devices": 2, "strategy": "fsdp"}}, "strategy='fsdp'"),
        ({"trainer": {"accumulate_grad_batches": 0}}, "accumulate_grad_batches=0"),
    ],
)
def test_settings_that_do_not_go_together_are_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"train.*{says}"):
        replace(TrainConfig(), **fields)


def test_what_several_processes_and_batches_are() -> None:
    config = TrainConfig(trainer={"devices": 2, "strategy": "ddp", "accumulate_grad_batches": 4})
    assert (processes("train", config), accumulation("train", config)) == (2, 4)
    nodes = TrainConfig(trainer={"devices": 4, "num_nodes": 2})
    assert (processes("train", nodes), devices_of("train", nodes)) == (8, (4, 2))


def test_the_reader_trains_in_one_process() -> None:
    assert accumulation("reader", ReaderConfig(trainer={"accumulate_grad_batches": 3})) == 3
    with pytest.raises(ConfigError, match=r"reader\.trainer\.devices, num_nodes: .* one process; set them to 1"):
        ReaderConfig(trainer={"devices": 2})


@pytest.mark.parametrize(
    ("cls", "fields", "section"),
    [(RetrieverWarmupConfig, {"lr": 0.0, "scale_lr": 0.0}, "retriever_warmup"), (BiencoderConfig, {"lr": 0.0}, "bi")],
)
def test_a_training_that_would_change_nothing_is_refused(cls: Any, fields: dict[str, Any], section: str) -> None:
    with pytest.raises(ConfigError, match=f"{section}.*trains? nothing; set .*steps=0"):
        cls(steps=1, **fields)
    assert cls(steps=0, **fields).steps == 0


@pytest.mark.parametrize("name", ["trainer", "checkpoint_encoder", "retrieve_ahead", "decay", "eval_every"])
@pytest.mark.parametrize("cls", [RetrieverWarmupConfig, BiencoderConfig])
def test_a_section_has_no_field_that_would_do_nothing(cls: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        cls(**{name: getattr(TrainConfig(), name)})


@pytest.mark.parametrize("cls", [ReaderConfig, RetrieverWarmupConfig, BiencoderConfig])
def test_what_a_section_gives_its_training_loop_is_what_it_says(cls: Any) -> None:
    config = cls(steps=7, batch_size=5, warmup=2, weight_decay=0.5, clip=0.25, dtype="float32", lr=0.125)
    loop = config.training()
    assert (loop.steps, loop.batch_size, loop.warmup, loop.weight_decay) == (7, 5, 2, 0.5)
    assert (loop.clip, loop.dtype, loop.eval_every) == (0.25, "float32", 0)
    rates = (0.125, 0.0) if cls is ReaderConfig else (0.0, 0.125)
    assert (loop.lr, loop.retriever_lr) == rates


@pytest.mark.parametrize(("section", "stage"), [("train", "model"), ("reader", "reader")])
def test_what_a_training_takes_is_no_part_of_its_digest(section: str, stage: str) -> None:
    config = ExperimentConfig()
    saving = replace(getattr(config, section), checkpoint_encoder=True)
    assert settings(replace(config, **{section: saving}), stage) == settings(config, stage)
