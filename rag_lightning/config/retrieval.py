"""The sections of a configuration for retrieval: encoders, index, BM25, retriever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from rag_lightning.config.bounds import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share
from rag_lightning.config.fields import InferenceDtype, KindSection, Section, setting
from rag_lightning.config.registries import INDEX_KINDS, RETRIEVERS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import Registry, check_name

SEARCHING = ("targets", "biencoder", "retriever_warmup", "reader", "model", "rankings")
"""Stages that encode queries."""
Stored = Literal["float32", "float16"]
EMBEDDING = ("vectors", "biencoder")
"""Stages that encode passages."""


@dataclass(frozen=True)
class EncoderConfig(Section):
    """The query and passage encoders.

    Args:
        model: Query encoder: `mini` for the embedded MiniLM, else the folder or hub name of an encoder or a RAG model.
        passage_model: Passage encoder, empty for the same as `model`.
        passage_vectors: File of the passages' vectors (.npy, .npz, parquet) of another project's encoder, in place of
            passage_model; empty to embed the corpus.
        passage_ids: File with the passage id of each of these vectors; empty for the file's own, else the order of the
            corpus.
        pooling: Pooling of the token states into one vector: the first token's, their mean, or DPR's pooler output.
        normalize: Scale vectors to unit length.
        query_prefix: Text that is put before every query.
        passage_prefix: Text that is put before every passage.
        max_query_length: Largest number of tokens of a query; longer ones are truncated.
        max_passage_length: Largest number of tokens of title and text of a passage; longer ones are truncated.
        score_scale: Initial factor of inner products in the softmax of p(z|x); training learns it.
        dtype: Type of the passage encoder's weights; auto uses bfloat16 if the CPU or GPU supports it, float16 is for
            GPUs.
        tokens_per_batch: Tokens per batch of passages, with padding; affects time and memory only.
        stored: Type of the numbers in the file of vectors; float16 halves it, and indexes, refinement and training read
            the rounded vectors.
        engine: What embeds the corpus: process for this one; ray for actors on the cluster of RAY_ADDRESS or a local
            one, with the same vectors. It affects time only.
        workers: Number of actors of engine ray, each of one core with a copy of the encoder; affects time only.
        worker_gpus: GPUs of each of these actors, which may be a part of one; affects time only.
    """

    PATH: ClassVar[str] = "encoder"
    STAGES: ClassVar[tuple[str, ...]] = ("vectors", *SEARCHING)

    model: str = setting("mini", digest="by content")
    passage_model: str = setting("", digest="by content")
    passage_vectors: str = setting("", stages=("vectors",), digest="by content")
    passage_ids: str = setting("", stages=("vectors",), digest="by content")
    pooling: Literal["cls", "mean", "pooler"] = "mean"
    normalize: bool = True
    query_prefix: str = setting("", stages=SEARCHING)
    passage_prefix: str = setting("", stages=EMBEDDING)
    max_query_length: PositiveInt = setting(64, stages=SEARCHING)
    max_passage_length: PositiveInt = setting(256, stages=EMBEDDING)
    score_scale: PositiveFloat = setting(20.0, stages=("biencoder", "retriever_warmup", "model", "rankings"))
    dtype: InferenceDtype = setting("auto", stages=("vectors",))
    tokens_per_batch: PositiveInt = setting(4096, digest="never")
    stored: Stored = setting("float32", stages=("vectors",), digest="unless default")
    engine: Literal["process", "ray"] = setting("process", stages=("vectors",), digest="never")
    workers: PositiveInt = setting(1, stages=("vectors",), digest="never")
    worker_gpus: NonNegativeFloat = setting(0.0, stages=("vectors",), digest="never")


@dataclass(frozen=True)
class IndexConfig(KindSection):
    """The FAISS index over the vectors, by inner product.

    Args:
        kind: Kind of index.
        threads: FAISS's threads in building and searching; 0 for OMP_NUM_THREADS, else all cores.
        search_mb: Memory in MB for the candidates of a search; more queries are searched in batches.
        options: Values of the kinds' own fields.
    """

    PATH: ClassVar[str] = "index"
    STAGES: ClassVar[tuple[str, ...]] = ("index",)
    REGISTRY: ClassVar[Registry] = INDEX_KINDS

    kind: str = "flat"
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: NonNegativeInt = setting(0, digest="never")
    search_mb: PositiveInt = setting(512, digest="never")


@dataclass(frozen=True)
class BM25Config(Section):
    """Lexical retrieval (bm25s).

    Args:
        k1: Saturation of the term frequency.
        b: Strength of length normalisation.
        stemmer: Name of a Snowball stemmer; auto for that of corpus.language, empty for no stemming.
        score_scale: Factor of BM25 scores in the softmax of p(z|x); 0 fits it on dev.
    """

    PATH: ClassVar[str] = "bm25"
    STAGES: ClassVar[tuple[str, ...]] = ("bm25",)

    k1: NonNegativeFloat = 0.9
    b: Share = 0.4
    stemmer: str = "auto"
    score_scale: NonNegativeFloat = setting(0.0, stages=("model", "rankings"))


@dataclass(frozen=True)
class RetrieverConfig(KindSection):
    """Retrieval of passages, in training and at prediction.

    Args:
        kind: Kind of retriever; none for closed_book.
        k_max: Number of passages to retrieve for each question; a smaller k uses the first k of them.
        trained_with: Kind of retriever in training; `same` for `kind`. Another kind tests a model with a retriever it
            was not trained with.
        train: Train the query encoder and score_scale; false is the same as train.retriever_lr=0 and train.scale_lr=0.
        null_document: bias adds an empty passage to those of every question, with a logit that is learnt at the rate
            train.scale_lr; the paper found no gain (appendix F).
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
    """The kind of retriever in training."""
    if config.trained_with != "same":
        return config.trained_with
    return retriever_kind(config.kind).trained_as or config.kind


def training_retriever(config: RetrieverConfig) -> Any:
    """The kind of retriever in training, with its values."""
    return replace(config, kind=training_kind(config)).made()


def trains_encoder(config: RetrieverConfig) -> bool:
    """Whether the retriever of training searches with the query encoder."""
    return bool(retriever_kind(training_kind(config)).encodes)


def is_swapped(config: RetrieverConfig) -> bool:
    """Whether the retriever at test is of another kind than in training."""
    return training_kind(config) != config.kind


def check_retriever(config: RetrieverConfig, formulation: str) -> None:
    """Raise ConfigError if the formulation needs passages and the retriever cannot provide them."""
    if formulation == "closed_book":
        return
    if training_kind(config) == "none":
        raise ConfigError(f"retriever.kind=none: {formulation} needs passages; set another kind, or closed_book")
    if trained := retriever_kind(training_kind(config)).trained_as:
        raise ConfigError(f"retriever.trained_with={training_kind(config)}: is for search alone; train with {trained}")
    if config.train and retriever_kind(training_kind(config)).scale == "configured":
        raise ConfigError(
            f"retriever.kind={training_kind(config)}: query vectors that are given have no encoder to train; "
            "set retriever.train=false"
        )
    if formulation == "fid" and config.null_document != "none":
        raise ConfigError(f"retriever.null_document={config.null_document}: fid has no p(z|x); use none")
    if config.null_document != "none" and is_swapped(config):
        raise ConfigError(
            f"retriever.null_document={config.null_document}: its logit is learnt beside the scores of "
            f"{training_kind(config)}, not of retriever.kind={config.kind}; set retriever.null_document=none"
        )
