"""The sections of a configuration that say how something is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rag_lightning.core.errors import ConfigError

Dtype = Literal["auto", "float32", "bfloat16"]
Decay = Literal["linear", "polynomial"]


@dataclass(frozen=True)
class TrainerConfig:
    """Optimisation of one training stage.

    Args:
        steps: Optimiser steps; 0 skips the stage.
        batch_size: Questions (RAG, closed book) or question-passage pairs (reader warm-up) of a step; with
            trainer.accumulate_grad_batches or trainer.devices, of each part and process of it.
        k: Passages of a question in training.
        lr: Peak learning rate of the generator.
        retriever_lr: Peak learning rate of the query encoder; 0 freezes it.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        warmup: Steps of linear warm-up; the rate then falls as `decay` says.
        decay: After the warm-up: linear falls to zero at the last step; polynomial is fairseq's,
            (lr - end_lr) * left ** power + end_lr, left being the share of the steps after the warm-up that remains.
        power: Of polynomial decay; 1, fairseq's default, is a straight line.
        end_lr: The generator's rate at the end of polynomial decay, below lr; the other rates end at the same share.
        weight_decay: AdamW's, on matrices only.
        clip: Gradient norm limit.
        label_smoothing: 0 is the plain likelihood.
        eval_every: Steps between dev evaluations; the best dev score's checkpoint is kept. 0: none, the last is kept.
        eval_limit: Dev examples of such an evaluation, 0 for all.
        patience: Evaluations without a better dev score after which training ends; 0 trains all steps.
        dtype: Autocast type; log-probs are float32 in any case.
        checkpoint_encoder: Keep only the inputs of the generator's encoder layers (decoder-only: of all layers) and
            compute their activations again in the backward pass: less memory, more time, the same result.
        retrieve_ahead: Search for the passages of a step while the step before it is trained on, with the query encoder
            as it was then; doc_scores are its own of this step. Nothing changes where no query encoder asks.
        trainer: Anything else for Lightning's Trainer (accumulate_grad_batches, devices, strategy, precision, …).
    """

    steps: int = 50
    batch_size: int = 12
    k: int = 3
    lr: float = 2e-4
    retriever_lr: float = 5e-5
    scale_lr: float = 6e-2
    warmup: int = 10
    decay: Decay = "linear"
    power: float = 1.0
    end_lr: float = 0.0
    weight_decay: float = 0.01
    clip: float = 1.0
    label_smoothing: float = 0.0
    eval_every: int = 25
    eval_limit: int = 200
    patience: int = 0
    dtype: Dtype = "auto"
    checkpoint_encoder: bool = False
    retrieve_ahead: bool = False
    trainer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WarmupConfig(TrainerConfig):
    """Optimisation of the reader warm-up, which begins with short windows of passages.

    Args:
        steps: Optimiser steps; 0 skips the stage.
        batch_size: Question-passage pairs of a step.
        k: Not used: one passage a question.
        lr: Peak learning rate of the generator.
        retriever_lr: Not used: the retriever takes no part.
        warmup: Steps of linear warm-up; the rate then falls as `decay` says.
        eval_every: Steps between dev evaluations; 0: none, the last checkpoint is kept.
        window: Words around the answer that the first steps show instead of the whole passage.
        window_share: Share of the steps that show windows; 0 for none.
        rounds: Times that every train question is read, its passage drawn anew each time.
        copy_scale: Strength with which a warm-started decoder begins to write the tokens it attends to; 0 for none.
        task: Whose mini questions are read, empty for the task's own; tasks that name one and train alike share one
            reader, which has no generator.head and writes targets of the usual length.
        seed: Of the reader, null for the experiment's; trainings of several seeds that name one share one reader.
    """

    steps: int = 800
    batch_size: int = 16
    k: int = 1
    lr: float = 4e-4
    retriever_lr: float = 0.0
    warmup: int = 60
    eval_every: int = 0
    window: int = 24
    window_share: float = 0.65
    rounds: int = 1
    copy_scale: float = 3.0
    task: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class RetrieverWarmupConfig(TrainerConfig):
    """Optimisation of the query encoder on questions with known passages, before RAG training (as DPR comes trained).

    Args:
        steps: Optimiser steps; 0 skips the stage.
        batch_size: Questions of a step; the passages of the others are negatives of each.
        k: Passages the query encoder itself finds for a question at that step: its hard negatives.
        lr: Not used: the generator takes no part.
        retriever_lr: Peak learning rate of the query encoder.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        warmup: Steps of linear warm-up; the rate then falls as `decay` says.
        label_smoothing: There is none here; anything but 0 is refused.
        eval_every: Not used: the last checkpoint is kept.
    """

    steps: int = 100
    batch_size: int = 64
    k: int = 100
    lr: float = 0.0
    retriever_lr: float = 1e-4
    scale_lr: float = 2e-2
    eval_every: int = 0


@dataclass(frozen=True)
class BiencoderConfig(RetrieverWarmupConfig):
    """Optimisation of both encoders on questions with known passages (DPR), before the corpus is embedded.

    Args:
        steps: Optimiser steps; 0 skips the stage.
        batch_size: Questions of a step; the passages of the others are negatives of each.
        k: Hard negatives of a question: the first hits that hold no answer, or those of the file.
        lr: Not used: the generator takes no part.
        retriever_lr: Peak learning rate of both encoders.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        warmup: Steps of linear warm-up; the rate then falls as `decay` says.
        label_smoothing: There is none here; anything but 0 is refused.
        eval_every: Not used: the last checkpoint is kept.
        negatives: What finds hard negatives: bm25 as in DPR, or dense, the encoders as they come with exact search.
        files: Training data in DPR's biencoder JSON, instead of the task's train questions; empty for those.
    """

    steps: int = 0
    k: int = 1
    negatives: Literal["bm25", "dense"] = "bm25"
    files: tuple[str, ...] = ()


LEAST = {
    "steps": 0,
    "batch_size": 1,
    "k": 1,
    "warmup": 0,
    "eval_every": 0,
    "eval_limit": 0,
    "patience": 0,
    "rounds": 1,
    "window": 1,
}
RATES = ("lr", "retriever_lr", "scale_lr", "end_lr", "power", "weight_decay", "clip", "copy_scale")
SHARES = ("label_smoothing", "window_share")


def check_training(section: str, config: TrainerConfig) -> None:
    """Raise ConfigError, naming section and field, where a number would train nothing, for ever, or backwards."""
    for name, least in LEAST.items():
        if getattr(config, name, least) < least:
            raise ConfigError(f"{section}.{name}={getattr(config, name)} must be at least {least}")
    for name in RATES:
        value = getattr(config, name, 0.0)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{section}.{name}={value} must be a finite number, at least 0")
    for name in SHARES:
        value = getattr(config, name, 0.0)
        if not 0 <= value <= 1:
            raise ConfigError(f"{section}.{name}={value} must be between 0 and 1")
    _check_schedule(section, config)
    processes(section, config)
    accumulation(section, config)


def _check_schedule(section: str, config: TrainerConfig) -> None:
    if config.decay == "linear" and (config.power != 1 or config.end_lr):
        raise ConfigError(f"{section}.power and end_lr shape polynomial decay; set {section}.decay=polynomial")
    if config.decay == "polynomial" and (
        config.power == 0 or config.end_lr >= config.lr > 0 or config.end_lr > config.lr
    ):
        raise ConfigError(
            f"{section}: polynomial decay needs power above 0 and end_lr below lr "
            f"(power={config.power}, end_lr={config.end_lr}, lr={config.lr})"
        )
    if config.patience and not config.eval_every:
        raise ConfigError(f"{section}.patience={config.patience} counts evaluations; set {section}.eval_every above 0")


LATER = {"decay": "linear", "power": 1.0, "end_lr": 0.0, "patience": 0, "retrieve_ahead": False, "seed": None}
"""Fields there were none of when the first models were trained, and what trains as before."""
COST = ("checkpoint_encoder",)
"""Fields that change what a training takes, and nothing of what comes out."""


def recipe_settings(section: Mapping[str, Any]) -> dict[str, Any]:
    """A training section, as plain values, for a digest: later fields are part of it only where they change it."""
    kept = {name: value for name, value in section.items() if name not in COST}
    return {name: value for name, value in kept.items() if name not in LATER or value != LATER[name]}


STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")


def processes(section: str, config: TrainerConfig) -> int:
    """How many processes train together (`trainer.devices`).

    Raises:
        ConfigError: no count, several machines, or a strategy that is not distributed data parallel.
    """
    count, nodes = config.trainer.get("devices", 1), config.trainer.get("num_nodes", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"{section}.trainer.devices={count!r} must be the number of processes, at least 1")
    if nodes != 1:
        raise ConfigError(f"{section}.trainer.num_nodes={nodes!r}: training runs on one machine; set devices alone")
    strategy = config.trainer.get("strategy", "auto")
    if count > 1 and strategy not in STRATEGIES:
        raise ConfigError(
            f"{section}.trainer.strategy={strategy!r}: several devices train with {' or '.join(STRATEGIES)}"
        )
    return count


def accumulation(section: str, config: TrainerConfig) -> int:
    """How many batches of every process make a step (`trainer.accumulate_grad_batches`).

    Raises:
        ConfigError: no count.
    """
    count = config.trainer.get("accumulate_grad_batches", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"{section}.trainer.accumulate_grad_batches={count!r} must be a number, at least 1")
    return count


def check_one_batch(section: str, config: TrainerConfig) -> None:
    """Raise ConfigError where a step would be several batches, though it learns to tell the passages of one apart."""
    if processes(section, config) * accumulation(section, config) > 1:
        raise ConfigError(
            f"{section}.trainer: the passages of other questions of a step are negatives of each, so it is one batch "
            f"of one process; leave out devices and accumulate_grad_batches, and raise {section}.batch_size"
        )


def check_off(section: str, config: TrainerConfig, *names: str) -> None:
    """Raise ConfigError where one of these switches is on, in a section that has nothing for it to work on."""
    for name in names:
        if getattr(config, name):
            raise ConfigError(
                f"{section}.{name}={str(getattr(config, name)).lower()} has nothing to work on here; leave it out"
            )


def check_retriever_training(section: str, config: RetrieverWarmupConfig) -> None:
    """`check_training` of a section that trains retrieval alone, whose loss has no label smoothing."""
    check_training(section, config)
    check_off(section, config, "checkpoint_encoder", "retrieve_ahead", "patience")
    check_one_batch(section, config)
    if config.label_smoothing:
        raise ConfigError(f"{section}.label_smoothing={config.label_smoothing}: there is none here; leave it 0")
