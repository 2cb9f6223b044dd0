"""The dataclasses that are the command line (each field's sentence is its help) and the YAML: one experiment, one file.

Every stage reads the same `ExperimentConfig`; a stage's digest covers only the sections that change its result.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rag_lightning.core.trainer_config import (
    BiencoderConfig,
    Dtype,
    RetrieverWarmupConfig,
    TrainerConfig,
    WarmupConfig,
)

Formulation = Literal["rag_token", "rag_sequence", "closed_book"]
Strategy = Literal["greedy", "beam", "thorough", "fast", "classify"]
IndexKind = Literal["flat", "hnsw", "ivf_flat", "ivf_pq", "sq8"]


@dataclass(frozen=True)
class TaskConfig:
    """What is asked.

    Args:
        name: Task, one of those `rag-lightning doctor` lists.
        dataset: Label of the data in every table and run; mini-nq and nq-subset are never called nq.
        source: `hub:` for the task's own data set of the hub, hub:NAME[:CONFIG] for another of its layout, or hub: and
            a local folder; empty for files or mini.
        train: Files of training examples, empty for the scale's own data.
        dev: File of development examples.
        test: File of test examples.
        limit: Keep at most this many examples of each of dev and test, 0 for all; for smoke runs.
        fallback: Keep rows that lack the kind of answer the task asks for with what they have instead, counted
            (msmarco: `answers` where there is no well-formed one).
    """

    name: str = "nq"
    dataset: str = "mini-nq"
    source: str = ""
    train: tuple[str, ...] = ()
    dev: str = ""
    test: str = ""
    limit: int = 0
    fallback: bool = False


@dataclass(frozen=True)
class CorpusConfig:
    """The passages.

    Args:
        source: `mini`, a file (DPR TSV, plain or .gz, or JSONL with id, title, text), or hub:NAME:CONFIG.
        limit: Keep at most this many passages, 0 for all; for smoke runs.
    """

    source: str = "mini"
    limit: int = 0


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
class RetrieverConfig:
    """How passages are found.

    Args:
        kind: dense searches the index with the query encoder, bm25 the words, none is closed book.
        k_max: Passages retrieved once; every smaller k is a prefix of them.
    """

    kind: Literal["dense", "bm25", "none"] = "dense"
    k_max: int = 20


@dataclass(frozen=True)
class GeneratorConfig:
    """The generator, seq2seq or decoder-only.

    Args:
        init: `warm_start` copies a BERT-family encoder into a BART; else a BART, a Llama (decoder-only, template
            prompt), or a RAG checkpoint of transformers whose generator is taken, by local folder or hub name.
        encoder: What warm_start copies: `mini`, a local folder or a hub name.
        decoder_layers: Layers of a warm-started decoder.
        template: Input text: ours (question never cut), hf_rag (transformers' exact string), or prompt (decoder-only
            models: passage, question, "Answer:"; question never cut).
        max_source_length: Tokens of question and passage together.
        max_target_length: Tokens of a target, end included.
        dropout: Of the generator while it trains.
        head: How a label is predicted: label_token writes it as one token, class_head reads the decoder's last state
            after the claim was fed to it; none writes text.
        verbalisers: One word of one token for each of the task's labels, in their order; empty takes the known ones.
        mismatch: allow opens a RAG checkpoint that was trained as another formulation or with another template.
    """

    init: str = "warm_start"
    encoder: str = "mini"
    decoder_layers: int = 3
    template: Literal["ours", "hf_rag", "prompt"] = "ours"
    max_source_length: int = 176
    max_target_length: int = 24
    dropout: float = 0.0
    head: Literal["none", "label_token", "class_head"] = "none"
    verbalisers: tuple[str, ...] = ()
    mismatch: Literal["refuse", "allow"] = "refuse"


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
        strategy: greedy and beam decode RAG-Token (and closed book); thorough and fast decode RAG-Sequence; classify
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
        scale: mini: embedded assets on two cores; paper: the hub's data and models.
        formulation: The model: rag_token, rag_sequence or closed_book.
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
    scale: Literal["mini", "mini-long", "paper"] = "mini"
    formulation: Formulation = "rag_sequence"
    split: Literal["dev", "test"] = "dev"
    seed: int = 0
    folder: str = "."
    tracking_uri: str = ""
    task: TaskConfig = TaskConfig()
    corpus: CorpusConfig = CorpusConfig()
    encoder: EncoderConfig = EncoderConfig()
    index: IndexConfig = IndexConfig()
    bm25: BM25Config = BM25Config()
    retriever: RetrieverConfig = RetrieverConfig()
    generator: GeneratorConfig = GeneratorConfig()
    targets: TargetsConfig = TargetsConfig()
    biencoder: BiencoderConfig = field(default_factory=BiencoderConfig)
    retriever_warmup: RetrieverWarmupConfig = field(default_factory=RetrieverWarmupConfig)
    warmup: WarmupConfig = field(default_factory=WarmupConfig)
    train: TrainerConfig = field(default_factory=TrainerConfig)
    decoding: DecodingConfig = DecodingConfig()


@dataclass(frozen=True)
class SweepConfig:
    """One search space over finished stages, its budget and its objective.

    Args:
        name: Of the sweep: runs/<name>, reports/out/<name>, the MLflow parent run.
        experiment: What every trial shares.
        k: Passages marginalised over.
        retriever: An index kind (dense retrieval through it) or bm25.
        decoding: formulation/strategy.
        trials: Trials at most, equal ones are looked up and count.
        sampler: Optuna's: tpe, random, or grid (every point once, trials permitting).
        seed: Of the sampler.
        objective: Dev metric that is maximised, one that the task has for every example.
        always: Systems evaluated on dev and test beside the search, as formulation/strategy/retriever/k.
        storage: Optuna's storage URL, empty for sqlite beside the runs.
        alpha: Level of the test that calls a configuration worse than the best.
    """

    name: str = "nq"
    experiment: ExperimentConfig = ExperimentConfig()
    k: tuple[int, ...] = (1, 2, 5, 10, 20)
    retriever: tuple[str, ...] = ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8", "bm25")
    decoding: tuple[str, ...] = ("rag_token/greedy", "rag_token/beam", "rag_sequence/thorough", "rag_sequence/fast")
    trials: int = 24
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    seed: int = 0
    objective: str = "em"
    always: tuple[str, ...] = ("closed_book/greedy/none/0", "rag_sequence/thorough/bm25/5")
    storage: str = ""
    alpha: float = 0.05


def to_dict(config: Any) -> dict[str, Any]:
    """A config section as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain
