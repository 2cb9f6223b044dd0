"""The sections of a configuration for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

from rag_lightning.config.bounds import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share
from rag_lightning.config.fields import Dtype, Section, setting
from rag_lightning.config.trainer import accumulation, processes
from rag_lightning.core.errors import ConfigError

Decay = Literal["linear", "polynomial"]


@dataclass(frozen=True)
class Optimisation(Section):
    """Fields of every training.

    Args:
        steps: Number of optimiser steps; 0 skips the stage.
        batch_size: Examples per step.
        lr: Peak learning rate.
        warmup: Steps of linear warm-up; the learning rate then decays linearly to 0 at the last step.
        weight_decay: Weight decay of AdamW; it applies to matrices only.
        clip: Largest norm of the gradient; 0 for no clipping.
        dtype: Type of autocast; auto uses bfloat16 if the CPU or GPU supports it. Log-probs are always float32.
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
        batch_size: Questions per batch; a step has batch_size * trainer.accumulate_grad_batches * trainer.devices *
            trainer.num_nodes.
        lr: Peak learning rate of the generator.
        warmup: Steps of linear warm-up; the learning rates then follow `decay`.
        k: Passages per question in training.
        retriever_lr: Peak learning rate of the query encoder; 0 freezes it.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        decay: Decay of the learning rates after the warm-up: linear, to 0 at the last step; or polynomial, as fairseq:
            (lr - end_lr) * r ** power + end_lr, where r is the fraction of the steps after the warm-up that remain.
        power: Exponent of polynomial decay; 1, fairseq's default, is linear.
        end_lr: Final learning rate of the generator under polynomial decay, below lr; the other rates end at the same
            fraction of their peak.
        label_smoothing: Label smoothing; 0 for none.
        eval_every: Steps between evaluations on dev, of which the best checkpoint is kept; 0 keeps the last step's
            checkpoint, without evaluations.
        eval_limit: Number of dev examples in such an evaluation; 0 for all.
        patience: Number of evaluations without a better score after which training stops; 0 for no early stopping.
        targets: Training targets of a question: all its answers, each an example of its own, as in the paper (appendix
            D); or first, the first answer that stands in one of the k passages that the retriever finds before
            training (ours).
        answerable_only: Leave out questions without an answer in any of the k passages that the retriever finds before
            training; of targets that are not copied, without a gold passage among them. Ours.
        distractor_loss: Loss that is added for the passages read that do not hold the target: none, as in the paper;
            or KL(uniform || p) over the vocabulary, so that the generator is not sure of an answer that it does not
            see: spread_first at the first target token, spread_all as the mean over all target tokens. Ours.
        distractor_weight: Weight of distractor_loss, whose mean over the passages of each question it multiplies; no
            effect if distractor_loss is none. Ours.
        checkpoint_encoder: Gradient checkpointing of the generator's encoder (decoder-only: of all layers): less
            memory, more time, the same result.
        retrieve_ahead: Retrieve the passages of each step during the previous step, with the query encoder of that
            moment; doc_scores are computed with the current one. No effect if retrieval uses no query encoder.
        trainer: More arguments of Lightning's Trainer (accumulate_grad_batches, devices, num_nodes, strategy,
            precision, …).
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
    targets: Literal["all", "first"] = "all"
    answerable_only: bool = False
    distractor_loss: Literal["none", "spread_first", "spread_all"] = "none"
    distractor_weight: PositiveFloat = 0.5
    checkpoint_encoder: bool = setting(False, digest="never")
    retrieve_ahead: bool = False
    trainer: Mapping[str, Any] = setting({})

    def __post_init__(self) -> None:
        """Raise ConfigError for values that are out of bounds or contradict each other."""
        super().__post_init__()
        processes(self.PATH, self)
        accumulation(self.PATH, self)
        if self.decay == "linear" and (self.power != 1 or self.end_lr):
            raise ConfigError("train.power and train.end_lr belong to polynomial decay; set train.decay=polynomial")
        if self.decay == "polynomial" and (self.end_lr >= self.lr > 0 or self.end_lr > self.lr):
            raise ConfigError(f"train.end_lr={self.end_lr}: must be below train.lr={self.lr} for polynomial decay")
        if self.patience and not self.eval_every:
            raise ConfigError(f"train.patience={self.patience} counts evaluations on dev; set train.eval_every above 0")


@dataclass(frozen=True)
class ReaderConfig(Optimisation):
    """Training of the reader: the generator on single passages, the start of every formulation.

    The first steps show short windows of the passages.

    Args:
        batch_size: Question-passage pairs per step.
        label_smoothing: Label smoothing; 0 for none.
        checkpoint_encoder: Gradient checkpointing of the generator, as train.checkpoint_encoder: less memory, more
            time, the same result.
        trainer: More arguments of Lightning's Trainer (accumulate_grad_batches, precision, …).
        window: Number of words around the answer that a window holds.
        window_share: Fraction of the steps, the first ones, that show a window instead of the whole passage.
        rounds: Number of passages that are sampled for each training question.
        cloze: Steps that show cloze questions made from the corpus beside the training questions, at least as many:
            all, or only those with windows, after which the reader sees training questions alone. Ours.
        distractors: Fraction of the training questions that show a distractor: a passage that is neither gold nor
            holds an answer. Targets that are not copied have none, unless distractor_loss is a spread. Ours.
        distractor_retriever: Source of distractors: bm25, the first hit without an answer in its text, whose window is
            its beginning; or dense, one of the first hits of the pretrained encoders without an answer in text or
            title, whose window shares most words with the question. Ours.
        distractor_loss: Loss of a distractor: target, -log p of the gold answer all the same; or KL(uniform || p) over
            the vocabulary at the first target token (spread_first) or as the mean over all target tokens (spread_all),
            so that the reader is not sure of an answer that it does not see. Ours.
        copy_scale: Initial strength of copying in a decoder of generator.init=warm_start: how much it favours the
            tokens it attends to; 0 for none.
        task: Task whose mini questions train the reader; empty for the experiment's own. Experiments that name the same
            task share one reader; it has no generator.head and the default generator.max_target_length.
        seed: Seed of the reader; null for the experiment's. If set, experiments with different seeds share one reader.
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
    cloze: Literal["all", "windows"] = "all"
    distractors: Share = 0.15
    distractor_retriever: Literal["bm25", "dense"] = "bm25"
    distractor_loss: Literal["target", "spread_first", "spread_all"] = "target"
    copy_scale: NonNegativeFloat = 3.0
    task: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of bounds or without effect, or more than one process."""
        super().__post_init__()
        accumulation(self.PATH, self)
        if self.distractor_loss != "target" and not self.distractors:
            raise ConfigError(
                f"reader.distractor_loss={self.distractor_loss} has nothing to work on with reader.distractors=0; set "
                "reader.distractors above 0, or reader.distractor_loss=target"
            )
        if processes(self.PATH, self) > 1:
            raise ConfigError("reader.trainer.devices, num_nodes: the reader trains in one process; set them to 1")

    def training(self) -> TrainConfig:
        """The fields of the training loop."""
        own = {"label_smoothing", "checkpoint_encoder", "trainer"}
        made = TrainConfig(**_shared(self, own), k=1, retriever_lr=0.0, eval_every=0)
        return made if self.distractor_loss == "target" else replace(made, distractor_loss=self.distractor_loss)


@dataclass(frozen=True)
class RetrieverWarmupConfig(Optimisation):
    """Training of the query encoder on questions with known passages, before RAG training.

    Args:
        batch_size: Questions per step; the passages of each are negatives of the others (in-batch negatives).
        lr: Peak learning rate of the query encoder.
        k: Hard negatives per question: the passages that the query encoder retrieves at that step.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        positives: gold: gold passages; for questions without one, the first BM25 hits that hold an answer, as DPR.
            bm25: those hits for all questions, so that no passage label is used.
    """

    PATH: ClassVar[str] = "retriever_warmup"
    STAGES: ClassVar[tuple[str, ...]] = ("retriever_warmup",)

    steps: NonNegativeInt = 100
    batch_size: PositiveInt = 64
    lr: NonNegativeFloat = 1e-4
    k: PositiveInt = 100
    scale_lr: NonNegativeFloat = 2e-2
    positives: Literal["gold", "bm25"] = "gold"

    def __post_init__(self) -> None:
        """Raise ConfigError for values that are out of bounds or train nothing."""
        super().__post_init__()
        if self.steps and self.lr == self.scale_lr == 0:
            raise ConfigError("retriever_warmup: lr=0 and scale_lr=0 train nothing; set retriever_warmup.steps=0")

    def training(self) -> TrainConfig:
        """The fields of the training loop."""
        return TrainConfig(**_shared(self, {"k", "scale_lr"}) | {"lr": 0.0}, retriever_lr=self.lr, eval_every=0)


@dataclass(frozen=True)
class BiencoderConfig(Optimisation):
    """Training of both encoders on questions with known passages (DPR), before the corpus is embedded.

    Args:
        batch_size: Questions per step; the passages of each are negatives of the others (in-batch negatives).
        lr: Peak learning rate of both encoders.
        k: Hard negatives per question: the best-ranked passages without an answer, or those of `files`.
        scale_lr: Peak learning rate of the logarithm of score_scale; 0 freezes it.
        negatives: Retriever of hard negatives: bm25, as in DPR; or dense, exact search with the pretrained encoders.
        files: Training data in DPR's biencoder JSON; empty for the task's training questions.
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
        """Raise ConfigError for values that are out of bounds or train nothing."""
        super().__post_init__()
        if self.steps and self.lr == 0:
            raise ConfigError("biencoder.lr=0 trains nothing; set biencoder.steps=0")

    def training(self) -> TrainConfig:
        """The fields of the training loop."""
        return TrainConfig(**_shared(self, {"k", "scale_lr"}) | {"lr": 0.0}, retriever_lr=self.lr, eval_every=0)


def _shared(config: Optimisation, own: set[str]) -> dict[str, Any]:
    names = {one.name for one in fields(Optimisation)} | own
    return {name: getattr(config, name) for name in names}
