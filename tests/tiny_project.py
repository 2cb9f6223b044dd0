"""A user's project small enough to be swept in a test: 64 passages, 64 questions, a random BERT."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.data import CorpusConfig, TaskConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.retrieval import EncoderConfig, IndexConfig, RetrieverConfig
from rag_lightning.config.training import ReaderConfig, RetrieverWarmupConfig, TrainConfig
from rag_lightning.stages import score
from rag_lightning.stages.workspace import Workspace

ANSWERS = ("paris", "rome", "porto", "novo")
"""Words of one piece in the tiny BERT's vocabulary."""
PLACES = 64
SPLITS = {"train": range(40), "dev": range(40, 52), "test": range(52, 64)}
K_MAX = 5


def place(number: int) -> str:
    """A name of its own for every number: b0a, b1b, …"""
    return f"b{number}{'abcdefgh'[number % 8]}"


def passages() -> list[dict[str, str]]:
    """One passage a place."""
    return [
        {
            "id": f"p{i}",
            "title": place(i),
            "text": f"the capital of {place(i)} is {ANSWERS[i % 4]}. the river in {place(i)} is {place(i)[::-1]}.",
        }
        for i in range(PLACES)
    ]


def questions(split: str) -> list[dict[str, object]]:
    """One question a place, its passage named."""
    return [
        {
            "id": f"q{i}",
            "question": f"what is the capital of {place(i)}",
            "answers": [ANSWERS[i % 4]],
            "gold_passage_id": f"p{i}",
        }
        for i in SPLITS[split]
    ]


def write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_data(folder: Path) -> None:
    """corpus.jsonl, train.jsonl, dev.jsonl and test.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "corpus.jsonl", passages())
    for split in SPLITS:
        write_lines(folder / f"{split}.jsonl", questions(split))


def experiment(root: Path, data: Path, bert: Path) -> ExperimentConfig:
    """Everything in float32, so that results are the same on every machine."""
    return ExperimentConfig(
        folder=str(root),
        formulation="rag_token",
        task=TaskConfig(
            dataset="tiny",
            train=(str(data / "train.jsonl"),),
            dev=str(data / "dev.jsonl"),
            test=str(data / "test.jsonl"),
        ),
        corpus=CorpusConfig(source=str(data / "corpus.jsonl")),
        encoder=EncoderConfig(model=str(bert), max_query_length=24, max_passage_length=48, dtype="float32"),
        index=IndexConfig(options={"m": 8, "ef_construction": 40, "ef_search": 16, "nlist": 4, "nprobe": 2}),
        retriever=RetrieverConfig(k_max=K_MAX),
        generator=GeneratorConfig(encoder=str(bert), decoder_layers=2, max_source_length=60, max_target_length=4),
        retriever_warmup=RetrieverWarmupConfig(steps=3, batch_size=4, k=8, warmup=1, dtype="float32"),
        reader=ReaderConfig(steps=80, batch_size=16, lr=2e-3, warmup=8, dtype="float32"),
        train=TrainConfig(steps=4, batch_size=4, k=2, lr=1e-3, warmup=1, eval_every=2, dtype="float32"),
        decoding=DecodingConfig(options={"num_beams": 2, "max_length": 4}, dtype="float32"),
    )


def sweep(root: Path, data: Path, bert: Path) -> SweepConfig:
    """Four trials over every kind of index that fits 64 vectors."""
    return SweepConfig(
        name="tiny",
        experiment=experiment(root, data, bert),
        space={
            "decoding": ("rag_token/greedy", "rag_token/beam", "rag_sequence/thorough", "rag_sequence/fast"),
            "retriever": ("flat", "hnsw", "ivf_flat", "sq8", "bm25"),
            "k": (1, 2, 5),
        },
        trials=4,
        always=({"decoding": "closed_book/greedy"}, {"decoding": "rag_token/greedy", "retriever": "bm25", "k": 2}),
        trivial=False,
    )


def moved(config: SweepConfig, root: Path) -> SweepConfig:
    """The same sweep kept elsewhere."""
    return replace(config, experiment=replace(config.experiment, folder=str(root)))


def barely_trained(root: Path, bert: Path) -> ExperimentConfig:
    """The experiment of a new project whose model is trained in a second: for what a model answers, not how well."""
    write_data(root / "data")
    base = experiment(root, root / "data", bert)
    return replace(
        base,
        retriever_warmup=replace(base.retriever_warmup, steps=0),
        reader=replace(base.reader, steps=2),
        train=replace(base.train, steps=1, eval_every=1),
        decoding=replace(base.decoding, k=3),
    )


def predicted_alone(config: ExperimentConfig, root: Path) -> bytes:
    """The predictions of one process with the model that several have made in a project's folder."""
    shutil.copytree(root / "artifacts", root / "alone" / "artifacts")
    for kind in ("predictions", "scores", "pairs"):
        shutil.rmtree(root / "alone" / "artifacts" / kind, ignore_errors=True)
    artifact = score.build(Workspace(replace(config, folder=str(root / "alone"))), "test")
    (predictions,) = (root / "alone" / "artifacts" / "predictions").glob("*/predictions.jsonl")
    assert artifact.path.exists()
    return predictions.read_bytes()
