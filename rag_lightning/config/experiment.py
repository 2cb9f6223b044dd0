"""The dataclasses that are the command line (each field's sentence is its help) and the YAML: one experiment, one file.

Every stage reads the same `ExperimentConfig`; a stage's digest covers only the sections that change its result.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rag_lightning.config.data import CorpusConfig, TaskConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.presets import SystemName, TrainPreset, check_expanded
from rag_lightning.config.retriever import RetrieverConfig
from rag_lightning.config.training import (
    BiencoderConfig,
    Dtype,
    RetrieverWarmupConfig,
    TrainerConfig,
    WarmupConfig,
)

Formulation = Literal["rag_token", "rag_sequence", "closed_book"]
Strategy = Literal["greedy", "beam", "thorough", "fast", "first_entity", "classify"]
IndexKind = Literal["flat", "hnsw", "ivf_flat", "ivf_pq", "sq8"]


@dataclass(frozen=True)
class EncoderConfig:
    """The query and passage encoders.

    Args:
        model: The query encoder: `mini` for the embedded MiniLM, or folder or hub name, also of a RAG checkpoint.
        passage_model: The passage encoder, empty for the same as `model`.
        pooling: How token states become one vector.
        normalize: Scale vectors to unit length.
        query_prefix: Put before every query.
        passage_prefix: Put before every passage.
        max_query_length: Tokens of a query, the rest is cut.
        max_passage_length: Tokens of title and passage together, the rest is cut.
        score_scale: Inner products are multiplied by this before the softmax of p(z|x); learnt in training.
        dtype: Of the passage encoder's weights; auto takes bfloat16 where the CPU or GPU has it.
        tokens_per_batch: Budget of padded tokens of one batch of passages.
    """

    model: str = "mini"
    passage_model: str = ""
    pooling: Literal["cls", "mean", "pooler"] = "mean"
    normalize: bool = True
    query_prefix: str = ""
    passage_prefix: str = ""
    max_query_length: int = 64
    max_passage_length: int = 256
    score_scale: float = 20.0
    dtype: Dtype = "auto"
    tokens_per_batch: int = 4096


@dataclass(frozen=True)
class IndexConfig:
    """A FAISS index over the vectors, by inner product.

    Args:
        kind: Which index.
        m: HNSW links of a node.
        ef_construction: HNSW candidates while building.
        ef_search: HNSW candidates while searching.
        nlist: IVF cells, 0 for about 4 * sqrt(N).
        nprobe: IVF cells visited by a search.
        pq: FAISS's name of the product quantizer of ivf_pq.
    """

    kind: IndexKind = "flat"
    m: int = 32
    ef_construction: int = 200
    ef_search: int = 128
    nlist: int = 0
    nprobe: int = 32
    pq: str = "PQ48x8np"


@dataclass(frozen=True)
class BM25Config:
    """Lexical retrieval (bm25s).

    Args:
        k1: Term frequency saturation.
        b: Length normalisation, 0 to 1.
        stemmer: Snowball language of the stemmer, empty for none.
        score_scale: BM25 scores are multiplied by this before the softmax of p(z|x); 0 tunes it on dev.
    """

    k1: float = 0.9
    b: float = 0.4
    stemmer: str = "english"
    score_scale: float = 0.0


@dataclass(frozen=True)
class TargetsConfig:
    """Where training targets are looked for, in tasks whose answers are not targets as they stand.

    Args:
        k: Passages of a training question that are searched, all where the corpus has fewer.
        retriever: What ranks them; dense asks the flat index with the query encoder as it is before training.
    """

    k: int = 1000
    retriever: Literal["bm25", "dense"] = "bm25"


@dataclass(frozen=True)
class DecodingConfig:
    """From log-probs to a string.

    Args:
        strategy: greedy and beam decode RAG-Token (and closed book); thorough and fast decode RAG-Sequence, where
            first_entity asks no generator: each passage says its first name that the question does not hold; classify
            ranks the task's labels under either, and needs a generator.head.
        num_beams: Beams of `beam`.
        passage_beams: Beams of each passage's own search in RAG-Sequence; 1 is greedy, as the paper's QA.
        k: Passages marginalised over.
        max_length: New tokens at most.
        pairs_per_batch: Question-passage pairs generated together.
        length_penalty: Ranks the hypotheses that were found by log p(y|x) / tokens ** length_penalty, the end token
            counted; 0 ranks by log p(y|x). Which are found, and the log-probs reported, do not depend on it.
        pair_store_mb: Bound of each file of known pair generations, in 10^6 bytes; the least recently used leave.
        dtype: Of the forward passes; auto takes bfloat16 where the CPU or GPU has it.
    """

    strategy: Strategy = "greedy"
    num_beams: int = 4
    passage_beams: int = 1
    k: int = 5
    max_length: int = 24
    pairs_per_batch: int = 256
    length_penalty: float = 0.0
    pair_store_mb: int = 512
    dtype: Dtype = "auto"


@dataclass(frozen=True)
class ExperimentConfig:
    """One cell (or row) of a paper table.

    Args:
        name: Of the experiment, used for its run folder.
        system: A word for what a system is made of, which stands for the fields that core/presets.py lists; those that
            are given win, unless they make it another system. custom stands for none.
        train_preset: Where fields of training that are not given come from: ours (the defaults), the paper's stated
            values, or the authors' sample script (core/presets.py says which field is which).
        scale: mini: embedded assets on two cores; paper: the hub's data and models.
        formulation: The model: rag_token, rag_sequence or closed_book.
        init_from: A trained model (folder or digest of an artifact) whose generator and query encoder training starts
            from, in place of the warm-ups; as the paper starts WebQuestions and CuratedTREC from its NQ model.
        split: What predict and score work on.
        seed: Of everything random.
        folder: Where artifacts, assets, runs and reports are kept.
        tracking_uri: MLflow store, empty for sqlite in `folder`.
        task: What is asked.
        corpus: The passages.
        encoder: The query and passage encoders.
        index: The FAISS index.
        bm25: Lexical retrieval.
        retriever: How passages are found.
        generator: The seq2seq model.
        targets: Where training targets are looked for, if the task asks for it.
        biencoder: Training of both encoders on known passages before the corpus is embedded; steps 0 for none.
        retriever_warmup: Training of the query encoder on known passages before RAG; steps 0 for none.
        warmup: Training of the reader every formulation starts from; steps 0 for none.
        train: Training of the formulation.
        decoding: How predictions are made.
    """

    name: str = "experiment"
    system: SystemName = "custom"
    train_preset: TrainPreset = "ours"
    scale: Literal["mini", "mini-long", "paper"] = "mini"
    formulation: Formulation = "rag_sequence"
    init_from: str = ""
    split: Literal["dev", "test"] = "dev"
    seed: int = 0
    folder: str = "."
    tracking_uri: str = ""
    task: TaskConfig = field(default_factory=TaskConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    encoder: EncoderConfig = EncoderConfig()
    index: IndexConfig = IndexConfig()
    bm25: BM25Config = BM25Config()
    retriever: RetrieverConfig = field(default_factory=RetrieverConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    targets: TargetsConfig = TargetsConfig()
    biencoder: BiencoderConfig = field(default_factory=BiencoderConfig)
    retriever_warmup: RetrieverWarmupConfig = field(default_factory=RetrieverWarmupConfig)
    warmup: WarmupConfig = field(default_factory=WarmupConfig)
    train: TrainerConfig = field(default_factory=TrainerConfig)
    decoding: DecodingConfig = DecodingConfig()

    def __post_init__(self) -> None:
        """Words are expanded where a file or the command line is read; here they must agree with the fields."""
        check_expanded(self)


def to_dict(config: Any) -> dict[str, Any]:
    """A config section as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain
