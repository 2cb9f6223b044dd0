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
from rag_lightning.core.config import DecodingConfig, ExperimentConfig, Strategy, to_dict
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Example
from rag_lightning.core.trainer_config import check_training, recipe_settings
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.generator import opening
from rag_lightning.generator.opening import Writer
from rag_lightning.index.index import check_k
from rag_lightning.modules.batches import Item, Lesson
from rag_lightning.modules.fitting import fit
from rag_lightning.modules.live_retrieval import LiveRetrieval
from rag_lightning.modules.predictor import Predictor, Question
from rag_lightning.modules.rag import RagModule
from rag_lightning.modules.reader import ReaderModule
from rag_lightning.modules.training import Evaluator, Scorer, TrainedModule
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import classes, corpus, embed, examples, index, retriever_warmup, targets, warmup
from rag_lightning.stages.objective import objectives, values
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task

VERSION = 1
RAG_FILE = "rag.json"
EVALUATED_TOGETHER = 20


def build(workspace: Workspace) -> Artifact:
    """The trained model of the configured formulation."""
    config = workspace.config
    check_training("train", config.train)
    classes.labels(config)  # a head for a task without labels is refused before anything is built
    inputs = {"reader": warmup.build(workspace).digest, "examples": examples.build(workspace).digest}
    settings: dict[str, Any] = {
        "formulation": config.formulation,
        "train": recipe_settings(to_dict(config.train)) | {"dtype": resolve_dtype(config.train.dtype)},
        "generator": classes.generator_settings(config),
        "seed": config.seed,
    }
    if get_task(config.task.name).mine:
        inputs["targets"] = targets.build(workspace).digest
    if config.formulation != "closed_book":
        inputs["vectors"] = embed.build(workspace).digest
        name = "retriever" if config.retriever_warmup.steps else "query_model"
        inputs[name] = retriever_warmup.start(workspace).digest
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
    result: dict[str, Any] = {"steps": 0, "dev_score": None}
    if config.train.steps:
        lesson = Lesson(items, config.train.batch_size)
        result = fit(module, [lesson], config.train, folder, seed=config.seed, dev=together)
    generator.save(folder / "generator")
    info = {"formulation": config.formulation, **result, "items": len(items)}
    if isinstance(module, RagModule):
        module.retrieval.encoder.model.save_pretrained(folder / "query_encoder")
        module.retrieval.encoder.tokenizer.save_pretrained(folder / "query_encoder")
        info["score_scale"] = module.retrieval.learnt_scale("train.scale_lr")
    write_json(folder / RAG_FILE, info)
    return info


def make_module(workspace: Workspace, generator: Writer) -> TrainedModule:
    """The LightningModule of the formulation, with its evaluation on dev."""
    config = workspace.config
    if config.formulation == "closed_book":
        module: TrainedModule = ReaderModule(generator, config.train, config.seed)
        module.evaluator = evaluator(config, generator, None, None)
        return module
    store = corpus.open_store(workspace)
    check_k(config.train.k, len(store))
    start = retriever_warmup.start(workspace)
    encoder = TextEncoder(config.encoder, start.source, "query")
    searched = index.open_index(index.flat(workspace))
    live = LiveRetrieval(encoder, searched, embed.open_vectors(workspace), store, start.score_scale)
    module = RagModule(config.formulation, generator, live, config.train, config.seed)
    module.evaluator = evaluator(config, generator, live, store)
    return module


def training_items(workspace: Workspace) -> list[Item]:
    """(question, target) pairs, each a training example of its own.

    Targets are those the example names or stage `targets` found, else the answers; of answers that are copied, those
    that stand in a gold passage, at least the first.
    """
    store, task = corpus.open_store(workspace), get_task(workspace.config.task.name)
    items = []
    for example in targets.training_examples(workspace):
        wanted: Sequence[str] = example.targets or example.answers
        if task.extractive and not example.targets:
            gold = [store[store.row(passage_id)] for passage_id in islice(example.gold_passage_ids, 5)]
            wanted = warmup.standing_answers(example, gold)
        items += [Item(example.query, target, kind=warmup.kind_of(workspace)) for target in wanted]
    return items


def evaluator(
    config: ExperimentConfig, generator: Writer, live: LiveRetrieval | None, store: PassageStore | None
) -> Evaluator:
    """The task's objective on dev with the weights as they are, k as in training.

    Decoding is greedy (RAG-Token, closed book) or Thorough; labels are classified.
    """
    metric = objectives(get_task(config.task.name))[0]
    strategy: Strategy = "thorough" if config.formulation == "rag_sequence" else "greedy"
    decoding = DecodingConfig(
        strategy="classify" if generator.classes else strategy,
        k=config.train.k,
        max_length=config.decoding.max_length,
    )

    def start() -> Scorer:
        encodings = Encodings(generator, resolve_dtype(config.decoding.dtype))
        predictor = Predictor(config.formulation, encodings, decoding, store)

        def score(batch: Sequence[Example]) -> list[float]:
            found = predictor.predict(_retrieved(batch, live, config.train.k))
            return values(metric, [prediction.text for prediction in found], batch)

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
    earlier = info.pop("dev_em", None)  # what models of version 0.1 call it
    return {"dev_score": earlier} | info


def load_generator(workspace: Workspace) -> Writer:
    """The trained generator, with its head if the configuration has one."""
    folder, config = build(workspace).path / "generator", workspace.config
    return opening.load_generator(folder, config.generator).set_classes(classes.labels(config), folder).eval()


def load_query_encoder(workspace: Workspace) -> TextEncoder:
    """The trained query encoder."""
    return TextEncoder(workspace.config.encoder, build(workspace).path / "query_encoder", "query").eval()


def run(config: ExperimentConfig) -> None:
    """Train and say what came out."""
    workspace = Workspace(replace(config))
    artifact = build(workspace)
    workspace.announce(f"{read_info(artifact)}: {artifact.path}")
