"""Stage `train`: training of a formulation, starting from the reader -> artifacts/model.

Files: `generator/` and `query_encoder/` (plain transformers folders), `rag.json` (formulation, score_scale),
`history.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.digesting import effective_training, settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import check_generator
from rag_lightning.config.retrieval import check_retriever
from rag_lightning.config.trainer import devices_of, processes
from rag_lightning.core import seeds
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.console import detail, ignore, say, within
from rag_lightning.core.files import write_json
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Example
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.question import Question
from rag_lightning.generator import opening, trained_part
from rag_lightning.generator.opening import Writer
from rag_lightning.metrics.outcomes import judged_evidence_hits, objectives, score_texts
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import (
    answerable,
    beforehand,
    classes,
    corpus,
    examples,
    reader_items,
    targets,
    training_retrieval,
    training_start,
)
from rag_lightning.stages.training_start import GENERATOR, QUERY_ENCODER, RAG_FILE
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.fitting import fit
from rag_lightning.training.fusion import FusionModule
from rag_lightning.training.job import check_started, work_together
from rag_lightning.training.measures import Evaluator, Scorer
from rag_lightning.training.module import TrainedModule
from rag_lightning.training.rag import RagModule, ReaderModule
from rag_lightning.training.scaled_retrieval import ScaledRetrieval
from rag_lightning.training.watch import ALARMS, RetrievalMonitor
from rag_lightning.training.work import Work

EVALUATED_TOGETHER = 20
SETTING = "train.trainer."


def _check(workspace: Workspace) -> None:
    """Raise ConfigError for a head with a task without labels, or a retriever or examples that training cannot use."""
    check_retriever(workspace.config.retriever, workspace.config.formulation)
    check_generator(workspace.config.generator, workspace.config.formulation)
    classes.labels(workspace.config)
    answerable.check(workspace.config)


def _check_data(workspace: Workspace) -> None:
    """Check the data, and that this command runs on as many machines as train."""
    if workspace.config.train.steps:
        check_started(*devices_of("train", workspace.config.train), SETTING)
    beforehand.check(workspace)


def _settings(workspace: Workspace) -> dict[str, Any]:
    """The fields of the configuration, and the labels of the head."""
    return settings(workspace.config, "model") | {"labels": list(classes.labels(workspace.config))}


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    found = training_start.inputs(workspace) | {"examples": examples.STAGE.at(workspace)} | targets.mined(workspace)
    closed = workspace.config.formulation == "closed_book"
    return found if closed else found | training_retrieval.inputs(workspace)


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    if processes("train", config.train) == 1 or not config.train.steps:
        return train_here(workspace, folder)
    work_together(Work("train", config, folder, {}, *devices_of("train", config.train), setting=SETTING))
    info: dict[str, Any] = json.loads((folder / RAG_FILE).read_text(encoding="utf-8"))
    return info


def train_as_one_of(rank: int, config: ExperimentConfig, folder: Path, values: Mapping[str, Any]) -> None:
    """The work of one process of a distributed training; only the first one prints."""
    with within("training"):
        train_here(Workspace(config, say, detail) if rank == 0 else Workspace(config, ignore, ignore), folder)


def train_here(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """Train in this process, one of several or the only one; the first process writes the folder."""
    config = workspace.config
    generator = training_start.generator(workspace)
    trained_part.select(generator, config.generator, seeds.derive_seed(config.seed, "lora"))
    items, chosen = answerable.choose(workspace, training_items(workspace))
    cut = cut_targets(generator, items, config.generator.max_target_length)
    if cut:
        limit = config.generator.max_target_length
        workspace.announce(
            f"{cut} of {len(items)} training targets are truncated to generator.max_target_length={limit}"
        )
    dev = examples.read(workspace, "dev")[: config.train.eval_limit or None]
    module = make_module(workspace, generator, items, dev)
    together = [dev[i : i + EVALUATED_TOGETHER] for i in range(0, len(dev), EVALUATED_TOGETHER)]
    result: dict[str, Any] = {"steps": 0, "dev_score": None}
    if config.train.steps:
        lesson = Lesson(items, config.train.batch_size)
        result = fit(
            module,
            [lesson],
            config.train,
            folder,
            seed=config.seed,
            device=workspace.device,
            dev=together,
            announce=workspace.announce,
        )
    info = {"formulation": config.formulation, **result, "items": len(items), "targets_cut": cut, **chosen}
    if module.global_rank == 0:
        info |= _save(workspace, module, items, folder)
        write_json(folder / RAG_FILE, info)
    return info


def _save(workspace: Workspace, module: TrainedModule, items: Sequence[Item], folder: Path) -> dict[str, Any]:
    """Write the trained parts as transformers folders; returns their part of the info."""
    info: dict[str, Any] = {}
    if workspace.config.generator.train != "all":
        info["trained_parameters"] = trained_part.trained_parameters(module.generator)
    trained_part.merge(module.generator).save(folder / GENERATOR)
    if not isinstance(module, RagModule):
        return info
    encoder = module.retrieval.encoder
    if encoder is not None:
        encoder.model.save_pretrained(folder / QUERY_ENCODER)
        encoder.tokenizer.save_pretrained(folder / QUERY_ENCODER)
    return info | training_retrieval.describe(workspace, module.retrieval, items)


def make_module(
    workspace: Workspace, generator: Writer, items: Sequence[Item], dev: Sequence[Example]
) -> TrainedModule:
    """The LightningModule of the formulation, with its evaluation on dev and the monitor of retrieval."""
    config = workspace.config
    if config.formulation == "closed_book":
        module: TrainedModule = ReaderModule(generator, effective_training(config), config.seed)
        module.evaluator = evaluator(config, generator, None, None, None)
        return module
    store, retrieval = corpus.open_store(workspace), training_retrieval.open_retrieval(workspace, items)
    module = trained_on_passages(config, generator, retrieval)
    monitor = None
    if config.formulation == "fid":
        workspace.announce("fid does not train its retriever, so retrieval is not watched")
    elif config.train.steps and config.train.eval_every:
        # the encoder as it is now, before a resume point gives it other weights
        frozen = {question.example.example_id: question.rows for question in _retrieved(dev, retrieval, config.train.k)}
        evidence = partial(judged_evidence_hits, get_task(config.task.name), store)
        monitor = RetrievalMonitor(frozen, config.train.k, len(store), evidence, workspace.announce)
    module.monitor = monitor
    module.evaluator = evaluator(config, generator, retrieval, store, monitor)
    return module


def trained_on_passages(config: ExperimentConfig, generator: Writer, retrieval: ScaledRetrieval) -> RagModule:
    """The LightningModule of a formulation that reads passages."""
    if config.formulation == "fid":
        return FusionModule(generator, retrieval, effective_training(config), config.seed)
    return RagModule(config.formulation, generator, retrieval, effective_training(config), config.seed)


def cut_targets(generator: Writer, items: Sequence[Item], limit: int) -> int:
    """The number of targets with more tokens than `limit`, with the end token; labels do not count."""
    texts = [item.target for item in items if item.kind != "label"]
    rows = generator.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return sum(len(row) >= limit for row in rows)


def training_items(workspace: Workspace) -> list[Item]:
    """One item for each (question, target) pair.

    Targets are those of the example or of stage `targets`, else the answers; of extractive answers only those that a
    gold passage contains, or the first answer if none does.
    """
    store, task = corpus.open_store(workspace), get_task(workspace.config.task.name)
    items = []
    for example in targets.training_examples(workspace):
        wanted: Sequence[str] = example.targets or example.answers
        if task.extractive and not example.targets:
            gold = [store[store.row(passage_id)] for passage_id in islice(example.gold_passage_ids, 5)]
            wanted = reader_items.standing_answers(example, gold)
        kind, named = reader_items.kind_of(workspace), (example.example_id, example.gold_passage_ids)
        items += [Item(example.query, target, None, kind, *named) for target in wanted]
    return items


def evaluator(
    config: ExperimentConfig,
    generator: Writer,
    retrieval: ScaledRetrieval | None,
    store: PassageStore | None,
    monitor: RetrievalMonitor | None,
) -> Evaluator:
    """The evaluator: the task's objective on dev with the current weights and train.k; the monitor gets the rankings.

    Decoding is greedy (RAG-Token, FiD, closed book) or Thorough (RAG-Sequence); with a head, classification.
    """
    metric = objectives(get_task(config.task.name))[0]
    strategy = "thorough" if config.formulation == "rag_sequence" else "greedy"
    length = {"max_length": config.generator.max_target_length}
    decoding = DecodingConfig("classify" if generator.classes else strategy, length, k=config.train.k)

    def start() -> Scorer:
        dtype = resolve_dtype(config.train.dtype, generator.model.device.type)
        encodings = Encodings(trained_part.merged(generator), dtype)
        predictor = Predictor(config.formulation, encodings, decoding, store)

        def score(batch: Sequence[Example]) -> list[float]:
            asked = _retrieved(batch, retrieval, config.train.k)
            found = predictor.predict(asked)
            if monitor is not None:
                monitor.observe(asked, found)
            return score_texts(metric, [prediction.text for prediction in found], batch)

        return score

    return start


def _retrieved(batch: Sequence[Example], retrieval: ScaledRetrieval | None, k: int) -> list[Question]:
    if retrieval is None:
        return [Question(example, (), ()) for example in batch]
    rows, scores = retrieval.ranked(batch, k)
    found = rows >= 0
    return [
        Question(example, tuple(row[kept].tolist()), tuple(score[kept].tolist()), retrieval.null_score)
        for example, row, score, kept in zip(batch, rows, scores, found, strict=True)
    ]


def read_info(model: Artifact) -> dict[str, Any]:
    """rag.json of a trained model."""
    info: dict[str, Any] = json.loads((model.path / RAG_FILE).read_text(encoding="utf-8"))
    return info


def alarms(info: Mapping[str, Any]) -> list[str]:
    """Warnings in the info of a trained model, one line each."""
    return [ALARMS[name](steps) for name, steps in info.get("alarms", {}).items()]


def load_generator(workspace: Workspace) -> Writer:
    """The trained generator, with its head if the configuration has one."""
    return open_generator(build(workspace).path / GENERATOR, workspace.config)


def open_generator(folder: Path, config: ExperimentConfig) -> Writer:
    """The generator in a folder, with its head if the configuration has one."""
    return opening.load_generator(folder, config.generator).set_classes(classes.labels(config), folder).eval()


def load_query_encoder(workspace: Workspace) -> TextEncoder:
    """The trained query encoder; a model that was not trained with dense or oracle retrieval has none."""
    return TextEncoder(workspace.config.encoder, build(workspace).path / QUERY_ENCODER, "query").eval()


STAGE = Stage("model", 5, _settings, _inputs, _make, resumable=True, check=_check, check_data=_check_data)
build = STAGE.build


def run(config: ExperimentConfig) -> None:
    """Train the formulation and print the info and folder of the model."""
    workspace = Workspace(config)
    artifact = build(workspace)
    workspace.announce(f"{read_info(artifact)}: {artifact.path}")
