"""Stage `reader`: the warm-up of the generator, from which every formulation starts.

A warm-started decoder must first learn to copy from passages. It is trained on cloze questions made from train passages
and on train questions with a gold passage. Some questions show a distractor (a BM25 hit without an answer) instead, so
that the reader does not trust every passage. The first steps show only a window of words around the answer: short
inputs are cheap, and the skill carries over to whole passages.

Tasks with abstractive targets or labels show whole gold passages and no distractors, because such a target does not
follow from another passage. A claim without evidence shows the first BM25 hit. `reader.task` trains on the mini
questions of another task, so that several tasks share one reader.

If generator.init is a RAG checkpoint of transformers, the reader is its generator, checked for its formulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from rag_lightning.checkpoints.rag_layout import RagCheckpoint, check_use, is_rag, open_rag
from rag_lightning.config.data import TaskConfig
from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.training import ReaderConfig, accumulation
from rag_lightning.core import seeds
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage, passage_text
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.generator.inputs import TITLE_END, Pair
from rag_lightning.generator.opening import Writer, create_generator, load_generator, start_copying
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.metrics.answers import has_answer
from rag_lightning.metrics.pages import evidence_sets, normalize_title
from rag_lightning.mini.cloze import build_cloze, train_passages
from rag_lightning.retrieval.retriever import Hits
from rag_lightning.stages import bm25, classes, corpus, examples, targets
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.fitting import fit
from rag_lightning.training.rag import ReaderModule

DISTRACTORS = 0.15
"""Share of question items that show a distractor instead of a gold passage."""
CLOZE_SHARE = 0.5
"""Smallest share of cloze items; more are added if there are too few questions."""
CANDIDATES = 10
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


def _source(workspace: Workspace) -> str:
    generator = workspace.config.generator
    return generator.encoder if generator.init == "warm_start" else generator.init


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    stages = {"examples": examples, "corpus": corpus, "bm25": bm25}
    found: dict[str, str | Bound[Workspace]] = {name: stage.STAGE.at(workspace) for name, stage in stages.items()}
    found["model"] = workspace.model_digest(_source(workspace))
    return found | targets.mined(workspace)


def _settings(workspace: Workspace) -> dict[str, Any]:
    """The fields of the configuration, the labels of the head, and whether weights are warm-started."""
    started = workspace.config.generator.init == "warm_start"
    own = {"labels": list(classes.labels(workspace.config)), "warm_start": started}
    return settings(workspace.config, "reader") | own


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    source = workspace.model_source(_source(workspace))
    check_start(workspace)
    _announce_lengths(workspace)
    generator = create_generator(config.generator, source)
    generator.set_classes(classes.labels(config), seed=head_seed(config.seed))
    if config.reader.steps == 0:
        generator.save(folder / "generator")
        return {"steps": 0}
    items = training_items(workspace)
    copied = None
    strength = config.reader.copy_scale if config.generator.init == "warm_start" else 0.0
    if strength and isinstance(generator, Seq2SeqGenerator):
        fitted_on = [Pair(item.query, item.passage) for item in items[:COPIED_FROM]]
        copied = start_copying(generator, fitted_on, strength)
    training = config.reader.training()
    module = ReaderModule(generator, training, config.seed)
    taught = [sized(lesson, generator) for lesson in lessons(items, config.reader, config.seed)]
    result = fit(module, taught, training, folder, seed=config.seed, announce=workspace.announce)
    generator.save(folder / "generator")
    return {**result, "items": len(items), "copied_tokens": copied}


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
        task=TaskConfig(name=name, dataset=f"mini-{name}", seed=workspace.config.task.seed),
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


def kind_of(workspace: Workspace) -> Literal["copied", "written", "label"]:
    """The kind of the task's targets: copied from passages, written freely, or labels."""
    if classes.labels(workspace.config):
        return "label"
    return "copied" if get_task(workspace.config.task.name).extractive else "written"


def training_items(workspace: Workspace) -> list[Item]:
    """The items of the warm-up in random order: as many as its steps need, if there are enough."""
    config = workspace.config
    store = corpus.open_store(workspace)
    rng = seeds.generator(config.seed, "reader items")
    wanted = config.reader.steps * config.reader.batch_size * accumulation("reader", config.reader)
    questions = [item for _ in range(config.reader.rounds) for item in question_items(workspace, store, rng)]
    splits = {name: examples.read(workspace, name, limited=False) for name in examples.SPLITS}
    count = max(int(wanted * CLOZE_SHARE), wanted - len(questions))
    cloze = build_cloze(train_passages(tuple(store), splits), config.seed, count)
    items = questions + [
        Item(example.query, example.answers[0], store[store.row(example.gold_passage_ids[0])]) for example in cloze
    ]
    if not items:
        raise ConfigError(
            "the reader has no training data: no train question has a gold passage, and no cloze question can be made "
            "from the corpus; give gold_passage_id, or set reader.steps=0 with a trained generator"
        )
    return [items[i] for i in rng.permutation(len(items))]


def lessons(items: Sequence[Item], config: ReaderConfig, seed: int) -> list[Lesson]:
    """The lessons of the warm-up: windows first, then whole passages."""
    rng = seeds.generator(seed, "reader windows")
    short = [replace(i, passage=window(i, config.window, rng)) if i.kind == "copied" else i for i in items]
    steps = round(config.window_share * config.steps)
    first = [Lesson(short, config.batch_size, steps)] if steps else []
    return [*first, Lesson(items, config.batch_size)]


def sized(lesson: Lesson, generator: Writer) -> Lesson:
    """The lesson with the number of input tokens of each item."""
    items = cast("Sequence[Item]", lesson.items)
    lengths = map(len, generator.source_ids([Pair(item.query, item.passage) for item in items]))
    return replace(lesson, items=[replace(item, tokens=n) for item, n in zip(items, lengths, strict=True)])


def window(item: Item, words: int, rng: np.random.Generator) -> Passage | None:
    """The passage reduced to `words` words around the target; its beginning if it does not contain the target."""
    if item.passage is None:
        return None
    found = item.passage.text.lower().find(item.target.lower())
    all_words = item.passage.text.split()
    at = len(item.passage.text[: max(found, 0)].split())
    before = int(rng.integers(max(words - len(item.target.split()), 0) + 1)) if found >= 0 else 0
    start = max(0, min(at - before, len(all_words) - words))
    return replace(item.passage, text=" ".join(all_words[start : start + words]))


def question_items(workspace: Workspace, store: PassageStore, rng: np.random.Generator) -> Iterator[Item]:
    """Items of the train questions that have a gold passage; some show a distractor instead.

    If targets are not copied there are no distractors; claims without a gold passage are kept.
    """
    kind, labelled = kind_of(workspace), bool(get_task(workspace.config.task.name).labels)
    asked = [e for e in targets.training_examples(workspace) if e.gold_passage_ids or labelled]
    retriever = bm25.open_bm25(workspace)
    hits = retriever.retrieve([example.query for example in asked], min(CANDIDATES, len(store)))
    for example, found in zip(asked, hits, strict=True):
        if kind != "copied":
            passage = evidence(example, found, store, rng)
            if passage is not None:
                yield Item(example.query, (example.targets or example.answers)[0], passage, kind)
            continue
        gold = store[store.row(example.gold_passage_ids[int(rng.integers(len(example.gold_passage_ids)))])]
        target, answers = standing_answers(example, [gold])[0], example.targets or example.answers
        if rng.random() >= DISTRACTORS:
            yield Item(example.query, target, gold)
            continue
        wrong = [store[int(row)] for row in found.rows]
        wrong = [p for p in wrong if p.passage_id not in example.gold_passage_ids and not has_answer(answers, p.text)]
        yield Item(example.query, target, wrong[0] if wrong else gold)


def evidence(example: Example, hits: Hits, store: PassageStore, rng: np.random.Generator) -> Passage | None:
    """A gold passage, else the first hit of a gold article, else the first hit; None without hits."""
    if example.gold_passage_ids:
        return store[store.row(example.gold_passage_ids[int(rng.integers(len(example.gold_passage_ids)))])]
    found = [store[int(row)] for row in hits.rows]
    gold = frozenset().union(*evidence_sets(example))
    return next((passage for passage in found if normalize_title(passage.title) in gold), next(iter(found), None))


def standing_answers(example: Example, passages: Sequence[Passage]) -> list[str]:
    """The targets (or answers) that one of the passages contains; the first target if none does."""
    listed = example.targets or example.answers
    found = [a for a in listed if any(has_answer([a], passage_text(p, TITLE_END)) for p in passages)]
    return found or [listed[0]]


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


STAGE = Stage("reader", 6, _settings, _inputs, _make, resumable=True, check=check_start)


def run(config: ExperimentConfig) -> None:
    """Train the reader and print its folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    workspace.announce(f"{artifact.info['steps']} steps: {artifact.path}")
