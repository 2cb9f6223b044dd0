"""Stage `train`: a formulation trained from the reader -> artifacts/model.

Files: `generator/` and `query_encoder/` (plain transformers folders), `rag.json` (formulation, score_scale),
`history.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.core.artifacts import Artifact, Recipe, write_json
from rag_lightning.core.config import DecodingConfig, ExperimentConfig, to_dict
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Example
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.index.index import check_k
from rag_lightning.metrics.answers import em
from rag_lightning.modules.batches import Item, Lesson
from rag_lightning.modules.fitting import fit
from rag_lightning.modules.live_retrieval import LiveRetrieval
from rag_lightning.modules.predictor import Predictor, Question
from rag_lightning.modules.rag import RagModule
from rag_lightning.modules.reader import ReaderModule
from rag_lightning.modules.training import Evaluator, Scorer, TrainedModule
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import corpus, embed, examples, index, warmup
from rag_lightning.stages.workspace import Workspace

VERSION = 1
RAG_FILE = "rag.json"
EVALUATED_TOGETHER = 20


def build(workspace: Workspace) -> Artifact:
    """The trained model of the configured formulation."""
    config = workspace.config
    inputs = {"reader": warmup.build(workspace).digest, "examples": examples.build(workspace).digest}
    settings: dict[str, Any] = {
        "formulation": config.formulation,
        "train": to_dict(config.train) | {"dtype": resolve_dtype(config.train.dtype)},
        "generator": to_dict(config.generator),
        "seed": config.seed,
    }
    if config.formulation != "closed_book":
        inputs["vectors"] = embed.build(workspace).digest
        inputs["query_model"] = workspace.model_digest(config.encoder.model)
        settings["encoder"] = to_dict(config.encoder)
    recipe = Recipe("model", settings, inputs, VERSION)
    return workspace.store.build(recipe, lambda folder: _make(workspace, folder), resumable=True)


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    generator = warmup.load(workspace)
    module = make_module(workspace, generator)
    items = training_items(workspace)
    dev = examples.read(workspace, "dev")[: config.train.eval_limit or None]
    together = [dev[i : i + EVALUATED_TOGETHER] for i in range(0, len(dev), EVALUATED_TOGETHER)]
    result: dict[str, Any] = {"steps": 0, "dev_em": None}
    if config.train.steps:
        lesson = Lesson(items, config.train.batch_size)
        result = fit(module, [lesson], config.train, folder, seed=config.seed, dev=together)
    generator.save(folder / "generator")
    info = {"formulation": config.formulation, **result, "items": len(items)}
    if isinstance(module, RagModule):
        module.retrieval.encoder.model.save_pretrained(folder / "query_encoder")
        module.retrieval.encoder.tokenizer.save_pretrained(folder / "query_encoder")
        info["score_scale"] = module.retrieval.score_scale
    write_json(folder / RAG_FILE, info)
    return info


def make_module(workspace: Workspace, generator: Seq2SeqGenerator) -> TrainedModule:
    """The LightningModule of the formulation, with its evaluation on dev."""
    config = workspace.config
    if config.formulation == "closed_book":
        module: TrainedModule = ReaderModule(generator, config.train, config.seed)
        module.evaluator = evaluator(config, generator, None, None)
        return module
    store = corpus.open_store(workspace)
    check_k(config.train.k, len(store))
    encoder = TextEncoder(config.encoder, workspace.model_source(config.encoder.model), "query")
    searched = index.open_index(index.flat(workspace))
    live = LiveRetrieval(encoder, searched, embed.open_vectors(workspace), store, config.encoder.score_scale)
    module = RagModule(config.formulation, generator, live, config.train, config.seed)
    module.evaluator = evaluator(config, generator, live, store)
    return module


def training_items(workspace: Workspace) -> list[Item]:
    """(question, answer) pairs: every answer that stands in a gold passage, else the first answer."""
    store = corpus.open_store(workspace)
    items = []
    for example in examples.read(workspace, "train"):
        gold = [store[store.row(passage_id)] for passage_id in islice(example.gold_passage_ids, 5)]
        items += [Item(example.query, answer) for answer in warmup.standing_answers(example, gold)]
    return items


def evaluator(
    config: ExperimentConfig, generator: Seq2SeqGenerator, live: LiveRetrieval | None, store: PassageStore | None
) -> Evaluator:
    """EM on dev with the weights as they are: greedy (RAG-Token, closed book) or Thorough, k as in training."""
    decoding = DecodingConfig(
        strategy="thorough" if config.formulation == "rag_sequence" else "greedy",
        k=config.train.k,
        max_length=config.decoding.max_length,
    )

    def start() -> Scorer:
        encodings = Encodings(generator, resolve_dtype(config.decoding.dtype))
        predictor = Predictor(config.formulation, encodings, decoding, store)

        def score(batch: Sequence[Example]) -> list[float]:
            found = predictor.predict(_retrieved(batch, live, config.train.k))
            return [em(p.text, example.answers) for p, example in zip(found, batch, strict=True)]

        return score

    return start


def _retrieved(batch: Sequence[Example], live: LiveRetrieval | None, k: int) -> list[Question]:
    if live is None:
        return [Question(example, (), ()) for example in batch]
    rows, scores = live.search([example.query for example in batch], k)
    kept = [np.flatnonzero(line >= 0) for line in rows]
    return [
        Question(example, tuple(map(int, rows[i][kept[i]])), tuple(map(float, scores[i][kept[i]])))
        for i, example in enumerate(batch)
    ]


def read_info(model: Artifact) -> dict[str, Any]:
    """rag.json of a trained model."""
    info: dict[str, Any] = json.loads((model.path / RAG_FILE).read_text(encoding="utf-8"))
    return info


def load_generator(workspace: Workspace) -> Seq2SeqGenerator:
    """The trained generator."""
    return Seq2SeqGenerator.load(build(workspace).path / "generator", workspace.config.generator).eval()


def load_query_encoder(workspace: Workspace) -> TextEncoder:
    """The trained query encoder."""
    return TextEncoder(workspace.config.encoder, build(workspace).path / "query_encoder", "query").eval()


def run(config: ExperimentConfig) -> None:
    """Train and say what came out."""
    workspace = Workspace(replace(config))
    artifact = build(workspace)
    workspace.announce(f"{read_info(artifact)}: {artifact.path}")
