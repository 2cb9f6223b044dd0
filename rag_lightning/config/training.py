"""The sections of a configuration that say how something is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

from rag_lightning.config.bounds import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share
from rag_lightning.config.fields import Dtype, Section, setting
from rag_lightning.core.errors import ConfigError

Decay = Literal["linear", "polynomial"]
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")


@dataclass(frozen=True)
class Optimisation(Section):
    """What every training has.

    Args:
        steps: Optimiser steps; 0 skips the stage.
        batch_size: Examples of a step.
        lr: Peak learning rate.
        warmup: Steps of linear warm-up; the rate then falls linearly to zero at the last step.
        weight_decay: Weight decay of AdamW, on matrices only.
        clip: Limit of the gradient norm.
        dtype: Autocast type; log-probs are float32 in any case.
    """

    steps: NonNegativeInt = 50
    batch_size: PositiveInt = 12
    lr: NonNegativeFloat = 2e-4
    warmup: NonNegativeInt = 10
    weight_decay: NonNegativeFloat = 0.01
    clip: NonNegativeFloat = 1.0
    dtype: Dtype = "auto"


@dataclass(frozen=True)
class TrainConfig(Optimisation):
    """Training of the formulation: retriever and generator end to end, or the closed-book generator.

    Args:
        batch_size: Questions of a step; with trainer.accumulate_grad_batches or trainer.devices, of each part and
            process of it.
        lr: Peak learning rate of the generator.
        warmup: Steps of linear warm-up; the rate then falls as `decay` says.
        k: Passages of a question in training.
        retriever_lr: Peak learning rate of the query encoder; 0 freezes it.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        decay: After the warm-up: linear falls to zero at the last step; polynomial is fairseq's,
            (lr - end_lr) * left ** power + end_lr, left being the share of the steps after the warm-up that remains.
        power: Exponent of polynomial decay; 1, fairseq's default, is a straight line.
        end_lr: The generator's rate at the end of polynomial decay, below lr; the other rates end at the same share.
        label_smoothing: Label smoothing; 0 is the plain likelihood.
        eval_every: Steps between dev evaluations; the best dev score's checkpoint is kept. 0: none, the last is kept.
        eval_limit: Dev examples of such an evaluation, 0 for all.
        patience: Evaluations without a better dev score after which training ends; 0 trains all steps.
        checkpoint_encoder: Keep only the inputs of the generator's encoder layers (decoder-only: of all layers) and
            compute their activations again in the backward pass: less memory, more time, the same result.
        retrieve_ahead: Search for the passages of a step while the step before it is trained on, with the query encoder
            as it was then; doc_scores are this step's own. No effect where no query encoder searches.
        trainer: Anything else for Lightning's Trainer (accumulate_grad_batches, devices, strategy, precision, …).
    """

    PATH: ClassVar[str] = "train"
    STAGES: ClassVar[tuple[str, ...]] = ("model",)

    k: PositiveInt = 3
    retriever_lr: NonNegativeFloat = 5e-5
    scale_lr: NonNegativeFloat = 6e-2
    decay: Decay = "linear"
    power: PositiveFloat = 1.0
    end_lr: NonNegativeFloat = 0.0
    label_smoothing: Share = 0.0
    eval_every: NonNegativeInt = 25
    eval_limit: NonNegativeInt = 200
    patience: NonNegativeInt = 0
    checkpoint_encoder: bool = setting(False, digest="never")
    retrieve_ahead: bool = False
    trainer: Mapping[str, Any] = setting({})

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of bounds, or that contradict each other."""
        super().__post_init__()
        processes(self.PATH, self)
        accumulation(self.PATH, self)
        if self.decay == "linear" and (self.power != 1 or self.end_lr):
            raise ConfigError("train.power and end_lr shape polynomial decay; set train.decay=polynomial")
        if self.decay == "polynomial" and (self.end_lr >= self.lr > 0 or self.end_lr > self.lr):
            raise ConfigError(f"train.end_lr={self.end_lr}: polynomial decay needs it below lr={self.lr}")
        if self.patience and not self.eval_every:
            raise ConfigError(f"train.patience={self.patience} counts evaluations; set train.eval_every above 0")


@dataclass(frozen=True)
class ReaderConfig(Optimisation):
    """The reader: the generator's warm-up on single passages, which every formulation starts from.

    It begins with short windows of passages.

    Args:
        batch_size: Question-passage pairs of a step.
        label_smoothing: Label smoothing; 0 is the plain likelihood.
        checkpoint_encoder: As train.checkpoint_encoder: less memory, more time, the same result.
        trainer: Anything else for Lightning's Trainer (accumulate_grad_batches, precision, …).
        window: Words around the answer that the first steps show instead of the whole passage.
        window_share: Share of the steps that show windows; 0 for none.
        rounds: Times that every train question is read, its passage drawn anew each time.
        copy_scale: Strength with which a warm-started decoder begins to write the tokens it attends to; 0 for none.
        task: Task whose mini questions are read, empty for the task's own; tasks that name one and train alike share
            one reader, which has no generator.head and writes targets of the usual length.
        seed: Seed of the reader, null for the experiment's; trainings of several seeds that name one share one reader.
    """

    PATH: ClassVar[str] = "reader"
    STAGES: ClassVar[tuple[str, ...]] = ("reader",)

    steps: NonNegativeInt = 800
    batch_size: PositiveInt = 16
    lr: NonNegativeFloat = 4e-4
    warmup: NonNegativeInt = 60
    label_smoothing: Share = 0.0
    checkpoint_encoder: bool = setting(False, digest="never")
    trainer: Mapping[str, Any] = setting({})
    window: PositiveInt = 24
    window_share: Share = 0.65
    rounds: PositiveInt = 1
    copy_scale: NonNegativeFloat = 3.0
    task: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of bounds, or several processes."""
        super().__post_init__()
        accumulation(self.PATH, self)
        if processes(self.PATH, self) > 1:
            raise ConfigError("reader.trainer.devices: the reader trains in one process; only train takes more")

    def training(self) -> TrainConfig:
        """The same as settings of a training loop."""
        own = {"label_smoothing", "checkpoint_encoder", "trainer"}
        return TrainConfig(**_shared(self, own), k=1, retriever_lr=0.0, eval_every=0)


@dataclass(frozen=True)
class RetrieverWarmupConfig(Optimisation):
    """Training of the query encoder on questions with known passages, before RAG training (as DPR comes trained).

    Args:
        batch_size: Questions of a step; the passages of the others are negatives of each.
        lr: Peak learning rate of the query encoder.
        k: Passages the query encoder itself finds for a question at that step: its hard negatives.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
    """

    PATH: ClassVar[str] = "retriever_warmup"
    STAGES: ClassVar[tuple[str, ...]] = ("retriever_warmup",)

    steps: NonNegativeInt = 100
    batch_size: PositiveInt = 64
    lr: NonNegativeFloat = 1e-4
    k: PositiveInt = 100
    scale_lr: NonNegativeFloat = 2e-2

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of bounds, or that train nothing."""
        super().__post_init__()
        if self.steps and self.lr == self.scale_lr == 0:
            raise ConfigError("retriever_warmup trains nothing with lr=0 and scale_lr=0; set its steps=0")

    def training(self) -> TrainConfig:
        """The same as settings of a training loop."""
        return TrainConfig(**_shared(self, {"k", "scale_lr"}) | {"lr": 0.0}, retriever_lr=self.lr, eval_every=0)


@dataclass(frozen=True)
class BiencoderConfig(Optimisation):
    """Training of both encoders on questions with known passages (DPR), before the corpus is embedded.

    Args:
        batch_size: Questions of a step; the passages of the others are negatives of each.
        lr: Peak learning rate of both encoders.
        k: Hard negatives of a question: the first hits that hold no answer, or those of the file.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        negatives: What finds hard negatives: bm25 as in DPR, or dense, the pretrained encoders with exact search.
        files: Training data in DPR's biencoder JSON, instead of the task's train questions; empty for those.
    """

    PATH: ClassVar[str] = "biencoder"
    STAGES: ClassVar[tuple[str, ...]] = ("biencoder",)

    steps: NonNegativeInt = 0
    batch_size: PositiveInt = 64
    lr: NonNegativeFloat = 1e-4
    k: PositiveInt = 1
    scale_lr: NonNegativeFloat = 2e-2
    negatives: Literal["bm25", "dense"] = "bm25"
    files: tuple[str, ...] = setting((), digest="by content")

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of bounds, or that train nothing."""
        super().__post_init__()
        if self.steps and self.lr == 0:
            raise ConfigError("biencoder trains nothing with lr=0; set its steps=0")

    def training(self) -> TrainConfig:
        """The same as settings of a training loop."""
        return TrainConfig(**_shared(self, {"k", "scale_lr"}) | {"lr": 0.0}, retriever_lr=self.lr, eval_every=0)


class HasTrainer(Protocol):
    """A section with values for Lightning's Trainer."""

    @property
    def trainer(self) -> Mapping[str, Any]:
        """Name -> value."""


def processes(section: str, config: HasTrainer) -> int:
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


def accumulation(section: str, config: HasTrainer) -> int:
    """How many batches of every process make a step (`trainer.accumulate_grad_batches`).

    Raises:
        ConfigError: no count.
    """
    count = config.trainer.get("accumulate_grad_batches", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"{section}.trainer.accumulate_grad_batches={count!r} must be a number, at least 1")
    return count


def _shared(config: Optimisation, own: set[str]) -> dict[str, Any]:
    names = {one.name for one in fields(Optimisation)} | own
    return {name: getattr(config, name) for name in names}
