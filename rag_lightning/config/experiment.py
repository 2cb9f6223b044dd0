"""One experiment, a cell (or row) of a paper table: the sections of its YAML and its command line.

Every stage reads the same `ExperimentConfig`; each field says itself whose digest it is part of (`fields.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rag_lightning.config.data import CorpusConfig, TargetsConfig, TaskConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.fields import Section, setting
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.presets import SystemName, TrainPreset, check_expanded
from rag_lightning.config.retrieval import BM25Config, EncoderConfig, IndexConfig, RetrieverConfig
from rag_lightning.config.training import BiencoderConfig, ReaderConfig, RetrieverWarmupConfig, TrainConfig

Formulation = Literal["rag_token", "rag_sequence", "closed_book"]
SPLIT = ("rankings", "predictions", "scores")
SEEDED = ("biencoder", "retriever_warmup", "reader", "model", "rankings", "scores")


@dataclass(frozen=True)
class ExperimentConfig(Section):
    """One cell (or row) of a paper table.

    Args:
        name: Name of the experiment, used for its run folder.
        system: A word for what a system is made of, which stands for the fields that config/presets.py lists; those
            that are given win, unless they make it another system. custom stands for none.
        train_preset: Where fields of training that are not given come from: ours (the defaults), the paper's stated
            values, or the authors' sample script (config/presets.py says which field is which).
        scale: mini: embedded assets on two cores; paper: the hub's data and models.
        formulation: The model: rag_token, rag_sequence or closed_book.
        init_from: A trained model (folder or digest of an artifact) whose generator and query encoder training starts
            from, in place of the warm-ups; as the paper starts WebQuestions and CuratedTREC from its NQ model.
        split: What predict and score work on.
        seed: Seed of every random choice.
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
        reader: Training of the reader every formulation starts from; steps 0 for none.
        train: Training of the formulation.
        decoding: How predictions are made.
    """

    STAGES: ClassVar[tuple[str, ...]] = ()

    name: str = setting("experiment", digest="never")
    system: SystemName = setting("custom", digest="never")
    train_preset: TrainPreset = setting("ours", digest="never")
    scale: Literal["mini", "mini-long", "paper"] = setting("mini", digest="never")
    formulation: Formulation = setting("rag_sequence", stages=("model",))
    init_from: str = setting("", stages=("model",), digest="by content")
    split: Literal["dev", "test"] = setting("dev", stages=SPLIT)
    seed: int = setting(0, stages=SEEDED)
    folder: str = setting(".", digest="never")
    tracking_uri: str = setting("", digest="never")
    task: TaskConfig = field(default_factory=TaskConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    bm25: BM25Config = field(default_factory=BM25Config)
    retriever: RetrieverConfig = field(default_factory=RetrieverConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    biencoder: BiencoderConfig = field(default_factory=BiencoderConfig)
    retriever_warmup: RetrieverWarmupConfig = field(default_factory=RetrieverWarmupConfig)
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of bounds, or a preset's word, which is expanded where a file is read."""
        super().__post_init__()
        check_expanded(self)
