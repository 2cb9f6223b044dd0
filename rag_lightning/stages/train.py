"""Stage `train`: a formulation trained from the reader -> artifacts/model.

Files: `generator/` and `query_encoder/` (plain transformers folders), `rag.json` (formulation, score_scale),
`history.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.core.artifacts import Artifact, Recipe, write_json
from rag_lightning.core.config import DecodingConfig, ExperimentConfig, Strategy, to_dict
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Example
from rag_lightning.core.trainer_config import check_training, processes, recipe_settings
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.generator import opening
from rag_lightning.generator.opening import Writer
from rag_lightning.index.index import check_k
from rag_lightning.modules.batches import Item, Lesson
from rag_lightning.modules.evaluation import Evaluator, Scorer
from rag_lightning.modules.fitting import fit
from rag_lightning.modules.launch import launch
from rag_lightning.modules.live_retrieval import LiveRetrieval
from rag_lightning.modules.monitoring import RetrievalMonitor, alarm
from rag_lightning.modules.predictor import Predictor, Question
from rag_lightning.modules.rag import RagModule
from rag_lightning.modules.reader import ReaderModule
from rag_lightning.modules.training import TrainedModule
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import classes, corpus, embed, examples, index, retriever_warmup, targets, warmup
from rag_lightning.stages.evidence import known_evidence_hits
from rag_lightning.stages.objective import objectives, values
from rag_lightning.stages.workspace import Workspace, ignore, say
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
        name = "retriever" if config.retriever_warmup.steps or config.biencoder.steps else "query_model"
        inputs[name] = retriever_warmup.start(workspace).digest
        settings["encoder"] = to_dict(config.encoder)
    recipe = Recipe("model", settings, inputs, VERSION)
    return workspace.store.build(recipe, lambda folder: _make(workspace, folder), resumable=True)


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    count = processes("train", config.train)
    if count == 1 or not config.train.steps:
        return train_here(workspace, folder)
    launch(_train_as_one_of, count, (config, folder), folder)
    info: dict[str, Any] = json.loads((folder / RAG_FILE).read_text(encoding="utf-8"))
    return info


def _train_as_one_of(rank: int, config: ExperimentConfig, folder: Path) -> None:
    """What every process of a distributed training does; the first one speaks."""
    train_here(Workspace(config, say if rank == 0 else ignore), folder)


def train_here(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """Train in this process, with those of its kind if there are any; the first one writes the folder."""
    config = workspace.config
    generator = warmup.load(workspace)
    dev = examples.read(workspace, "dev")[: config.train.eval_limit or None]
    module = make_module(workspace, generator, dev)
    items = training_items(workspace)
    cut = cut_targets(generator, items, config.generator.max_target_length)
    if cut:
        limit = config.generator.max_target_length
        workspace.announce(f"{cut} of {len(items)} training targets are cut to generator.max_target_length={limit}")
    together = [dev[i : i + EVALUATED_TOGETHER] for i in range(0, len(dev), EVALUATED_TOGETHER)]
    result: dict[str, Any] = {"steps": 0, "dev_score": None}
    if config.train.steps:
        lesson = Lesson(items, config.train.batch_size)
        result = fit(
            module, [lesson], config.train, folder, seed=config.seed, dev=together, announce=workspace.announce
        )
    info = {"formulation": config.formulation, **result, "items": len(items), "targets_cut": cut}
    if module.global_rank == 0:
        info |= _save(module, generator, folder)
        write_json(folder / RAG_FILE, info)
    return info


def _save(module: TrainedModule, generator: Writer, folder: Path) -> dict[str, Any]:
    """The trained parts as plain folders; score_scale."""
    generator.save(folder / "generator")
    if not isinstance(module, RagModule):
        return {}
    module.retrieval.encoder.model.save_pretrained(folder / "query_encoder")
    module.retrieval.encoder.tokenizer.save_pretrained(folder / "query_encoder")
    return {"score_scale": module.retrieval.learnt_scale("train.scale_lr")}


def make_module(workspace: Workspace, generator: Writer, dev: Sequence[Example]) -> TrainedModule:
    """The LightningModule of the formulation, with its evaluation on dev and what watches retrieval there."""
    config = workspace.config
    if config.formulation == "closed_book":
        module: TrainedModule = ReaderModule(generator, config.train, config.seed)
        module.evaluator = evaluator(config, generator, None, None, None)
        return module
    store = corpus.open_store(workspace)
    check_k(config.train.k, len(store))
    start = retriever_warmup.start(workspace)
    encoder = TextEncoder(config.encoder, start.source, "query")
    searched = index.open_mapped(index.flat(workspace))
    live = LiveRetrieval(encoder, searched, embed.open_vectors(workspace), store, start.score_scale)
    module = RagModule(config.formulation, generator, live, config.train, config.seed)
    monitor = None
    if config.train.steps and config.train.eval_every:
        # the encoder as it is now, before a resume point gives it other weights
        frozen = {question.example.example_id: question.rows for question in _retrieved(dev, live, config.train.k)}
        evidence = partial(known_evidence_hits, get_task(config.task.name), store)
        monitor = RetrievalMonitor(frozen, config.train.k, len(store), evidence, workspace.announce)
    module.monitor = monitor
    module.evaluator = evaluator(config, generator, live, store, monitor)
    return module


def cut_targets(generator: Writer, items: Sequence[Item], limit: int) -> int:
    """How many targets have more tokens than `limit`, the end token counted; a label is one class or token."""
    texts = [item.target for item in items if item.kind != "label"]
    rows = generator.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return sum(len(row) >= limit for row in rows)


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
    config: ExperimentConfig,
    generator: Writer,
    live: LiveRetrieval | None,
    store: PassageStore | None,
    monitor: RetrievalMonitor | None,
) -> Evaluator:
    """The task's objective on dev with the weights as they are, k as in training; the monitor sees what is retrieved.

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
            asked = _retrieved(batch, live, config.train.k)
            found = predictor.predict(asked)
            if monitor is not None:
                monitor.observe(asked, found)
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


def alarms(info: Mapping[str, Any]) -> list[str]:
    """What the info of a trained model warns of, one line each."""
    collapsed = info.get("collapsed_at")
    return [alarm(collapsed)] if collapsed else []


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
