"""The configuration of one experiment, a cell (or row) of a paper table: the fields of its YAML and command line.

Every stage reads the same `ExperimentConfig`; each field declares which stages' digests it is part of (`fields.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rag_lightning.config.bounds import Device, Name, PositiveInt
from rag_lightning.config.data import CorpusConfig, Split, TargetsConfig, TaskConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.fields import Section, setting
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.presets import SystemName, TrainPreset, check_expanded
from rag_lightning.config.retrieval import BM25Config, EncoderConfig, IndexConfig, RetrieverConfig
from rag_lightning.config.training import BiencoderConfig, ReaderConfig, RetrieverWarmupConfig, TrainConfig

Formulation = Literal["rag_token", "rag_sequence", "closed_book", "fid"]
SPLIT = ("rankings", "predictions", "scores")
SEEDED = ("biencoder", "retriever_warmup", "reader", "model", "rankings", "scores")


@dataclass(frozen=True)
class ExperimentConfig(Section):
    """One cell (or row) of a paper table.

    Args:
        name: Name of the experiment, for messages and files.
        system: Preset of formulation, retriever and decoding (config/presets.py lists the values); custom sets nothing.
            A field that is given takes precedence; a value that contradicts the preset is an error.
        train_preset: Preset of the training fields that are not given: recipe (ours: losses on distractors, and no
            warm-up of the retriever), plain (ours: the paper's likelihood alone, after a warm-up of the retriever),
            paper (the values the paper states), authors (those of the authors' script), or ours (plain at scale paper,
            recipe at the others); config/presets.py lists the values.
        scale: Size of data and models: mini or mini-long, embedded, for two CPU cores; or paper, those of the hub.
        formulation: Model to train: rag_token, rag_sequence, closed_book (no retrieval), or fid (fusion in decoder: all
            passages are read together, and its retriever is not trained).
        init_from: Trained model (folder, or digest of a model artifact) to start training from instead of the warm-ups;
            the paper starts WebQuestions and CuratedTREC from its NQ model. Empty for the warm-ups.
        split: Split to predict and score.
        seed: Seed of every random choice.
        device: Device of all models, for embedding, training, decoding, reranking and exact search: auto (first CUDA
            device, else mps, else CPU), cpu, cuda, cuda:N or mps. Predictions of different classes of devices (cpu,
            cuda, mps) are kept apart.
        folder: Folder that holds artifacts, assets, runs and reports.
        tracking_uri: MLflow tracking URI; empty for an SQLite file in `folder`.
        devices: Processes of each machine, one a device, that share embedding and prediction; the result is the same.
            Training has its own number, which makes its steps larger: train.trainer.
        num_nodes: Machines that share embedding and prediction; the command is started on each (docs/scale.md).
        task: The task and its data.
        corpus: The corpus of passages.
        encoder: The query and passage encoders.
        index: The FAISS index.
        bm25: Lexical retrieval.
        retriever: Retrieval of passages, in training and at prediction.
        generator: The generator, seq2seq or decoder-only.
        targets: The search for training targets in passages, for tasks whose answers are patterns.
        biencoder: Training of both encoders before the corpus is embedded; skipped if steps is 0.
        retriever_warmup: Training of the query encoder before RAG training; skipped if steps is 0.
        reader: Training of the reader, from which every formulation starts; skipped if steps is 0.
        train: Training of the formulation.
        decoding: The decoding of predictions from log-probs.
    """

    STAGES: ClassVar[tuple[str, ...]] = ()

    name: Name = setting("experiment", digest="never")
    system: SystemName = setting("custom", digest="never")
    train_preset: TrainPreset = setting("ours", digest="never")
    scale: Literal["mini", "mini-long", "paper"] = setting("mini", digest="never")
    formulation: Formulation = setting("rag_token", stages=("model",))
    init_from: str = setting("", stages=("model",), digest="by content")
    split: Split = setting("dev", stages=SPLIT)
    seed: int = setting(0, stages=SEEDED)
    device: Device = setting("auto", stages=("predictions",))
    folder: str = setting(".", digest="never")
    tracking_uri: str = setting("", digest="never")
    devices: PositiveInt = setting(1, digest="never")
    num_nodes: PositiveInt = setting(1, digest="never")
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
        """Raise ConfigError for a value out of bounds, or a preset, which only the reading of a file expands."""
        super().__post_init__()
        check_expanded(self)
