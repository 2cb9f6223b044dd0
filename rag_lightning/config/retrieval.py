"""The sections of a configuration that say how passages are found: encoders, index, BM25, retriever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from rag_lightning.config.bounds import NonNegativeFloat, PositiveFloat, PositiveInt, Share
from rag_lightning.config.fields import Dtype, KindSection, Section, setting
from rag_lightning.config.registries import INDEX_KINDS, RETRIEVERS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import Registry, check_name

SEARCHING = ("targets", "biencoder", "retriever_warmup", "model", "rankings")
"""Stages that encode queries."""
EMBEDDING = ("vectors", "biencoder")
"""Stages that encode passages."""


@dataclass(frozen=True)
class EncoderConfig(Section):
    """The query and passage encoders.

    Args:
        model: The query encoder: `mini` for the embedded MiniLM, or folder or hub name, also of a RAG checkpoint.
        passage_model: The passage encoder, empty for the same as `model`.
        pooling: How token states become one vector.
        normalize: Scale vectors to unit length.
        query_prefix: Text before every query.
        passage_prefix: Text before every passage.
        max_query_length: Tokens of a query, the rest is cut.
        max_passage_length: Tokens of title and passage together, the rest is cut.
        score_scale: Factor of inner products before the softmax of p(z|x); learnt in training.
        dtype: Type of the passage encoder's weights; auto takes bfloat16 where the CPU or GPU has it.
        tokens_per_batch: Padded tokens of a batch of passages; time and memory only.
    """

    PATH: ClassVar[str] = "encoder"
    STAGES: ClassVar[tuple[str, ...]] = ("vectors", *SEARCHING)

    model: str = setting("mini", digest="by content")
    passage_model: str = setting("", digest="by content")
    pooling: Literal["cls", "mean", "pooler"] = "mean"
    normalize: bool = True
    query_prefix: str = setting("", stages=SEARCHING)
    passage_prefix: str = setting("", stages=EMBEDDING)
    max_query_length: PositiveInt = setting(64, stages=SEARCHING)
    max_passage_length: PositiveInt = setting(256, stages=EMBEDDING)
    score_scale: PositiveFloat = setting(20.0, stages=("biencoder", "retriever_warmup", "model", "rankings"))
    dtype: Dtype = setting("auto", stages=("vectors",))
    tokens_per_batch: PositiveInt = setting(4096, digest="never")


@dataclass(frozen=True)
class IndexConfig(KindSection):
    """The FAISS index over the vectors, by inner product.

    Args:
        kind: Which index.
        options: Values of the kinds' own fields.
    """

    PATH: ClassVar[str] = "index"
    STAGES: ClassVar[tuple[str, ...]] = ("index",)
    REGISTRY: ClassVar[Registry] = INDEX_KINDS

    kind: str = "flat"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BM25Config(Section):
    """Lexical retrieval (bm25s).

    Args:
        k1: Term frequency saturation.
        b: Length normalisation.
        stemmer: Snowball language of the stemmer, empty for none.
        score_scale: Factor of BM25 scores before the softmax of p(z|x); 0 tunes it on dev.
    """

    PATH: ClassVar[str] = "bm25"
    STAGES: ClassVar[tuple[str, ...]] = ("bm25",)

    k1: NonNegativeFloat = 0.9
    b: Share = 0.4
    stemmer: str = "english"
    score_scale: NonNegativeFloat = setting(0.0, stages=("model", "rankings"))


@dataclass(frozen=True)
class RetrieverConfig(KindSection):
    """How passages are found, in training and at prediction.

    Args:
        kind: What finds them; none is closed book.
        k_max: Passages retrieved once; every smaller k is a prefix of them.
        trained_with: What finds the passages of training: `same` for the same kind, or another, for which `kind` is
            swapped in at test.
        train: False trains neither query encoder nor score_scale, as train.retriever_lr=0 and train.scale_lr=0 do.
        null_document: bias adds an empty passage to those of every question, at a learnt logit beside theirs (trained
            at train.scale_lr); the paper's appendix F saw no gain and dropped it.
        options: Values of the kinds' own fields.
    """

    PATH: ClassVar[str] = "retriever"
    STAGES: ClassVar[tuple[str, ...]] = ("model",)
    REGISTRY: ClassVar[Registry] = RETRIEVERS

    kind: str = setting("dense", stages=("rankings",))
    k_max: PositiveInt = setting(20, stages=("bm25_scale", "rankings"))
    trained_with: str = "same"
    train: bool = True
    null_document: Literal["none", "bias"] = "none"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown kind, or a value out of bounds."""
        super().__post_init__()
        check_name("retriever.trained_with", self.trained_with, ["same", *self.REGISTRY])


def retriever_kind(name: str) -> Any:
    """The class of a kind of retriever (retrieval/retriever.py)."""
    return RETRIEVERS.get(name)


def training_kind(config: RetrieverConfig) -> str:
    """What finds the passages of training."""
    return config.kind if config.trained_with == "same" else config.trained_with


def trains_encoder(config: RetrieverConfig) -> bool:
    """Whether what finds the passages of training searches with the query encoder."""
    return bool(retriever_kind(training_kind(config)).encodes)


def is_swapped(config: RetrieverConfig) -> bool:
    """Whether another retriever works at test than in training."""
    return training_kind(config) != config.kind


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
