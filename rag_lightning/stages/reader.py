"""Stage `reader`: the warm-up of the generator, from which every formulation starts.

A warm-started decoder must first learn to copy from passages. It is trained on cloze questions made from train passages
and on train questions with a gold passage. Some questions show a distractor (a hit without an answer) instead, so that
the reader does not trust every passage. The first steps show only a window of words around the answer: short inputs are
cheap, and the skill carries over to whole passages.

Tasks with abstractive targets or labels show whole gold passages; a distractor, from which such a target does not
follow, only with a loss of its own. A claim without evidence shows the first BM25 hit. `reader.task` trains on the mini
questions of another task, so that several tasks share one reader.

If generator.init is a RAG checkpoint of transformers, the reader is its generator, checked for its formulation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.checkpoints.rag_layout import RagCheckpoint, check_use, is_rag, open_rag
from rag_lightning.config.data import TaskConfig
from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core import seeds
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.opening import Writer, create_generator, load_generator, start_copying
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.stages import beforehand, bm25, classes, corpus, examples, reader_items, targets, vectors
from rag_lightning.stages.reader_items import searches
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.fitting import fit
from rag_lightning.training.rag import ReaderModule

COPIED_FROM = 512
"""Number of pairs on which the initial copying is fitted."""


def bound(workspace: Workspace) -> Bound[Workspace]:
    """The reader that a workspace's training starts from, bound to the workspace that trains it."""
    return STAGE.at(reading(workspace))


def build(workspace: Workspace) -> Artifact:
    """The generator after the warm-up, or the initial one if reader.steps is 0.

    Raises:
        ConfigError: reader.task with a corpus other than mini, no training items, or a RAG checkpoint of another
            formulation.
        UnknownNameError: reader.task is not a task.
    """
    return bound(workspace).build()


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    stages = {"examples": examples, "corpus": corpus, "bm25": bm25}
    found: dict[str, str | Bound[Workspace]] = {name: stage.STAGE.at(workspace) for name, stage in stages.items()}
    found["model"] = workspace.model_digest(workspace.config.generator.source)
    if searches(workspace.config):
        found |= {"vectors": vectors.PRETRAINED.at(workspace)}
        found["query_model"] = vectors.pretrained(workspace, "query").identity
    return found | targets.mined(workspace)


def _settings(workspace: Workspace) -> dict[str, Any]:
    """The fields of the configuration, the labels of the head, and whether weights are warm-started.

    Fields of the encoder only if it finds the distractors. That BM25 finds passages counts for a user's questions only,
    because all mini questions have gold ones. The start token of other seq2seq models is named, because it is theirs
    and not always the first token of their targets.
    """
    config, found = workspace.config, settings(workspace.config, "reader")
    found = {name: value for name, value in found.items() if searches(config) or not name.startswith("encoder.")}
    warm_start = config.generator.init == "warm_start"
    found |= {"labels": list(classes.labels(config)), "warm_start": warm_start}
    found |= {"unlabelled": "bm25"} if config.task.train or config.task.source else {}
    return found if warm_start or config.generator.template == "prompt" else found | {"start": "decoder_start_token_id"}


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    source = workspace.model_source(config.generator.source)
    check_start(workspace)
    _announce_lengths(workspace)
    generator = create_generator(config.generator, source).to(workspace.device)
    generator.set_classes(classes.labels(config), seed=head_seed(config.seed))
    if config.reader.steps == 0:
        generator.save(folder / "generator")
        return {"steps": 0}
    items = reader_items.training_items(workspace)
    copied = None
    strength = config.reader.copy_scale if config.generator.init == "warm_start" else 0.0
    if strength and isinstance(generator, Seq2SeqGenerator):
        fitted_on = [Pair(item.query, item.passage) for item in items[:COPIED_FROM]]
        copied = start_copying(generator, fitted_on, strength)
    training = config.reader.training()
    module = ReaderModule(generator, training, config.seed)
    lessons = reader_items.lessons(items, config.reader, config.seed)
    taught = [reader_items.sized(lesson, generator) for lesson in lessons]
    result = fit(
        module, taught, training, folder, seed=config.seed, device=workspace.device, announce=workspace.announce
    )
    generator.save(folder / "generator")
    shown = sum(item.distractor for item in items)
    return {**result, "items": len(items), "distractors": shown, "copied_tokens": copied}


def reading(workspace: Workspace) -> Workspace:
    """The workspace that trains the reader, with reader.task and reader.seed applied.

    Raises:
        ConfigError: reader.task with a corpus other than mini.
        UnknownNameError: reader.task is not a task.
    """
    config, name = workspace.config, workspace.config.reader.task
    if config.reader.seed is not None:  # the questions keep the experiment's seed
        asked = replace(config.task, seed=examples.data_seed(workspace))
        workspace = workspace.with_config(seed=config.reader.seed, task=asked)
    if not shares_task(config):
        return workspace
    get_task(name)
    if config.corpus.source != "mini":
        raise ConfigError(f"reader.task={name!r}: its mini questions need corpus.source=mini; set reader.task to ''")
    return workspace.with_config(
        task=TaskConfig(
            name=name, dataset=f"mini-{name}", without=config.task.without, seed=workspace.config.task.seed
        ),
        generator=replace(config.generator, head="none", max_target_length=GeneratorConfig.max_target_length),
    )


def shares_task(config: ExperimentConfig) -> bool:
    """Whether the reader is trained on another task's questions."""
    return bool(config.reader.task) and config.reader.task != config.task.name


def load(workspace: Workspace) -> Writer:
    """The generator of the reader, with a new head if the reader has none."""
    config, folder = workspace.config, build(workspace).path / "generator"
    generator = load_generator(folder, config.generator)
    headless = shares_task(config)
    return generator.set_classes(classes.labels(config), None if headless else folder, head_seed(config.seed))


def head_seed(seed: int) -> int:
    """Seed of the initial weights of a class head."""
    return seeds.derive_seed(seed, "class head")


def check_start(workspace: Workspace) -> None:
    """Check a RAG checkpoint in generator.init against the configuration; on the hub, once it is downloaded.

    Raises:
        ConfigError: another formulation or template, unless generator.mismatch is allow.
    """
    checkpoint, config = _checkpoint(workspace), workspace.config.generator
    if checkpoint is not None and config.mismatch == "refuse":
        check_use(checkpoint, workspace.config.formulation, config.template)


def _checkpoint(workspace: Workspace) -> RagCheckpoint | None:
    """The RAG checkpoint of generator.init; None for any other model, and for one that is not downloaded yet."""
    init = workspace.config.generator.init
    source = None if init == "warm_start" else workspace.local_model(init)
    return open_rag(source) if source is not None and is_rag(source) else None


def _announce_lengths(workspace: Workspace) -> None:
    """Announce that a RAG checkpoint can read longer inputs than configured."""
    checkpoint, config = _checkpoint(workspace), workspace.config.generator
    if checkpoint is not None and config.template == "hf_rag" and config.max_source_length < checkpoint.max_length:
        workspace.announce(
            f"generator.init reads up to {checkpoint.max_length} tokens, generator.max_source_length is "
            f"{config.max_source_length}: template hf_rag truncates the question of longer inputs"
        )


def _check(workspace: Workspace) -> None:
    """Raise ConfigError as `check_start` does, and for a distractor loss with a task whose targets are labels."""
    check_start(workspace)
    task, reader = get_task(workspace.config.task.name), workspace.config.reader
    if task.labels and reader.steps and reader.distractor_loss != "target":
        raise ConfigError(
            f"reader.distractor_loss={reader.distractor_loss}: the targets of {task.name} are labels, which stand in "
            "no passage; set reader.task to a task whose answers are copied, or reader.distractor_loss=target"
        )


STAGE = Stage("reader", 6, _settings, _inputs, _make, resumable=True, check=_check, check_data=beforehand.check)


def run(config: ExperimentConfig) -> None:
    """Train the reader and print its folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    workspace.announce(f"{artifact.info['steps']} steps: {artifact.path}")
