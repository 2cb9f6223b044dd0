"""Stage `reader`: the warm-up every formulation starts from.

A warm-started decoder cannot copy until it has learned to. It reads cloze questions made from train passages, and
train questions with a gold passage; some with a distractor (a BM25 hit without an answer), so that it is not certain
of whatever it is shown. The first steps show only a window of words around the answer: short inputs are cheap, and what
is learned from them carries over to whole passages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.core import seeds
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.config import to_dict
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage
from rag_lightning.core.trainer_config import WarmupConfig
from rag_lightning.corpus.store import PassageStore
from rag_lightning.generator.copy_start import start_copying
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.metrics.answers import has_answer
from rag_lightning.mini.cloze import build_cloze, train_passages
from rag_lightning.modules.batches import Item, Lesson
from rag_lightning.modules.fitting import fit
from rag_lightning.modules.reader import ReaderModule
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.stages import corpus, examples, index
from rag_lightning.stages.workspace import Workspace

VERSION = 2
DISTRACTORS = 0.15
"""Share of question items that show a distractor instead of a gold passage."""
CLOZE_SHARE = 0.5
"""Share of cloze items among all items, as far as there are questions for the rest."""
CANDIDATES = 10
COPIED_FROM = 512
"""Pairs the start of copying is fitted on."""


def build(workspace: Workspace) -> Artifact:
    """The generator after the warm-up (before it, where warmup.steps is 0)."""
    config = workspace.config
    data = examples.build(workspace)
    lexical = index.build_bm25(workspace)
    source = config.generator.encoder if config.generator.init == "warm_start" else config.generator.init
    inputs = {
        "model": workspace.model_digest(source),
        "examples": data.digest,
        "corpus": corpus.build(workspace).digest,
        "bm25": lexical.digest,
    }
    settings = {"generator": to_dict(config.generator), "warmup": to_dict(config.warmup), "seed": config.seed}

    def make(folder: Path) -> dict[str, Any]:
        generator = Seq2SeqGenerator.create(config.generator, workspace.model_source(source))
        if config.warmup.steps == 0:
            generator.save(folder / "generator")
            return {"steps": 0}
        items = training_items(workspace)
        copied = None
        if config.generator.init == "warm_start" and config.warmup.copy_scale:
            fitted_on = [Pair(item.query, item.passage) for item in items[:COPIED_FROM]]
            copied = start_copying(generator, fitted_on, config.warmup.copy_scale)
        module = ReaderModule(generator, config.warmup, config.seed)
        result = fit(module, lessons(items, config.warmup, config.seed), config.warmup, folder, seed=config.seed)
        generator.save(folder / "generator")
        return {**result, "items": len(items), "copied_tokens": copied}

    return workspace.store.build(Recipe("reader", settings, inputs, VERSION), make, resumable=True)


def load(workspace: Workspace) -> Seq2SeqGenerator:
    """The generator of the warm-up."""
    return Seq2SeqGenerator.load(build(workspace).path / "generator", workspace.config.generator)


def training_items(workspace: Workspace) -> list[Item]:
    """As many items as the warm-up takes, or fewer where there are not that many."""
    config = workspace.config
    store = corpus.open_store(workspace)
    rng = seeds.generator(config.seed, "reader items")
    wanted = config.warmup.steps * config.warmup.batch_size
    questions = list(question_items(workspace, store, rng))
    splits = {name: examples.read(workspace, name, limited=False) for name in examples.SPLITS}
    count = max(int(wanted * CLOZE_SHARE), wanted - len(questions))
    cloze = build_cloze(train_passages(tuple(store), splits), config.seed, count)
    items = questions + [
        Item(example.query, example.answers[0], store[store.row(example.gold_passage_ids[0])]) for example in cloze
    ]
    if not items:
        raise ConfigError(
            "the reader warm-up has nothing to read: no train question names a gold passage, and no cloze question can "
            "be made from the corpus; give gold_passage_id, or set warmup.steps=0 with a generator that can read"
        )
    return [items[i] for i in rng.permutation(len(items))]


def lessons(items: Sequence[Item], config: WarmupConfig, seed: int) -> list[Lesson]:
    """Windows first, then whole passages."""
    rng = seeds.generator(seed, "reader windows")
    short = [replace(item, passage=window(item, config.window, rng)) for item in items]
    steps = round(config.window_share * config.steps)
    first = [Lesson(short, config.batch_size, steps)] if steps else []
    return [*first, Lesson(items, config.batch_size)]


def window(item: Item, words: int, rng: np.random.Generator) -> Passage | None:
    """The passage cut to so many words, the target among them if it stands there; else its beginning."""
    if item.passage is None:
        return None
    found = item.passage.text.lower().find(item.target.lower())
    all_words = item.passage.text.split()
    at = len(item.passage.text[: max(found, 0)].split())
    before = int(rng.integers(max(words - len(item.target.split()), 0) + 1)) if found >= 0 else 0
    start = max(0, min(at - before, len(all_words) - words))
    return replace(item.passage, text=" ".join(all_words[start : start + words]))


def question_items(workspace: Workspace, store: PassageStore, rng: np.random.Generator) -> Iterator[Item]:
    """Train questions with a gold passage, or with a distractor; those without a gold passage are left out."""
    asked = [example for example in examples.read(workspace, "train") if example.gold_passage_ids]
    retriever = BM25Retriever.load(index.build_bm25(workspace).path)
    hits = retriever.retrieve([example.query for example in asked], min(CANDIDATES, len(store)))
    for example, found in zip(asked, hits, strict=True):
        gold = store[store.row(example.gold_passage_ids[int(rng.integers(len(example.gold_passage_ids)))])]
        target = standing_answers(example, [gold])[0]
        if rng.random() >= DISTRACTORS:
            yield Item(example.query, target, gold)
            continue
        wrong = [store[int(row)] for row in found.rows]
        wrong = [
            p for p in wrong if p.passage_id not in example.gold_passage_ids and not has_answer(example.answers, p.text)
        ]
        yield Item(example.query, target, wrong[0] if wrong else gold)


def standing_answers(example: Example, passages: Sequence[Passage]) -> list[str]:
    """The answers that stand in one of the passages, at least the first answer of all."""
    found = [a for a in example.answers if any(has_answer([a], f"{p.title}. {p.text}") for p in passages)]
    return found or [example.answers[0]]
