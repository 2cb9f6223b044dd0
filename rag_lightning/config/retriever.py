"""The section of a configuration that says how passages are found, in training and at prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from rag_lightning.config.training import TrainerConfig
from rag_lightning.core.errors import ConfigError

RetrieverKind = Literal["dense", "bm25", "oracle", "random", "none"]
ENCODING = ("dense", "oracle")
"""Kinds that ask with the query encoder."""


@dataclass(frozen=True)
class RetrieverConfig:
    """How passages are found.

    Args:
        kind: dense searches the index with the query encoder, bm25 the words; oracle puts a gold passage first and lets
            dense rank the others; random draws passages by seed and question; none is closed book.
        k_max: Passages retrieved once; every smaller k is a prefix of them.
        trained_with: What finds the passages of training: the same kind, or another, for which `kind` is swapped in at
            test.
        train: False trains neither query encoder nor score_scale, as train.retriever_lr=0 and train.scale_lr=0 do.
        null_document: bias adds an empty passage to those of every question, at a learnt logit beside theirs (trained
            at train.scale_lr); the paper's appendix F saw no gain and dropped it.
    """

    kind: RetrieverKind = "dense"
    k_max: int = 20
    trained_with: Literal["same", "dense", "bm25", "oracle", "random"] = "same"
    train: bool = True
    null_document: Literal["none", "bias"] = "none"


def training_kind(config: RetrieverConfig) -> RetrieverKind:
    """What finds the passages of training."""
    return config.kind if config.trained_with == "same" else config.trained_with


def is_swapped(config: RetrieverConfig) -> bool:
    """Whether another retriever works at test than in training."""
    return training_kind(config) != config.kind


def retriever_settings(config: RetrieverConfig) -> dict[str, Any]:
    """The section for a digest or a run's name, as it was before a retriever could be trained with: `kind` alone is
    dense training.
    """
    settings: dict[str, Any] = {"kind": config.kind, "k_max": config.k_max}
    if training_kind(config) not in ("dense", "none"):
        settings["trained_with"] = training_kind(config)
    if not config.train:
        settings["train"] = False
    if config.null_document != "none":
        settings["null_document"] = config.null_document
    return settings


def check_retriever(config: RetrieverConfig, formulation: str) -> None:
    """Raise ConfigError unless a model with passages can be trained and asked; nothing is checked of closed book."""
    if formulation == "closed_book":
        return
    if training_kind(config) == "none":
        raise ConfigError(f"retriever.kind=none retrieves nothing, and {formulation} needs passages; use closed_book")
    if config.null_document != "none" and is_swapped(config):
        raise ConfigError(
            f"retriever.null_document={config.null_document} is a logit beside the scores of "
            f"{training_kind(config)} retrieval, and retriever.kind={config.kind} has others; use none"
        )


def applied_rates(train: TrainerConfig, config: RetrieverConfig) -> TrainerConfig:
    """The optimisation with a rate of 0 for what the retriever has not, or does not train.

    What asks without a query encoder finds the same a step ahead, so retrieve_ahead is none of its settings.
    """
    kind = training_kind(config)
    scaled = config.train and (kind != "random" or config.null_document != "none")
    return replace(
        train,
        retriever_lr=train.retriever_lr if config.train and kind in ENCODING else 0.0,
        scale_lr=train.scale_lr if scaled else 0.0,
        retrieve_ahead=train.retrieve_ahead and kind in ENCODING,
    )
