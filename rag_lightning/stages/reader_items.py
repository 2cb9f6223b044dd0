"""The training examples of the reader: cloze questions, and train questions with a gold passage or a distractor.

Where answers are copied, the first BM25 hit that holds one takes the place of the gold passage that a question lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, cast

import numpy as np

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.trainer import accumulation
from rag_lightning.config.training import ReaderConfig
from rag_lightning.core import seeds
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage, passage_text
from rag_lightning.corpus.store import PassageStore
from rag_lightning.generator.inputs import TITLE_END, Pair
from rag_lightning.generator.opening import Writer
from rag_lightning.metrics.answers import has_answer, tokenize
from rag_lightning.metrics.pages import evidence_sets, normalize_title
from rag_lightning.mini.cloze import build_cloze, train_passages
from rag_lightning.mini.names import CountryNames
from rag_lightning.retrieval.retriever import Hits
from rag_lightning.stages import biencoder, bm25, classes, corpus, examples, targets
from rag_lightning.stages.ranking import rows_with_answers
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task
from rag_lightning.training.batches import Item, Lesson

CLOZE_SHARE = 0.5
"""Smallest share of cloze items; more are added if there are too few questions."""
CANDIDATES = 10
"""Number of hits that a distractor is one of."""


def kind_of(workspace: Workspace) -> Literal["copied", "written", "label"]:
    """The kind of the task's targets: copied from passages, written freely, or labels."""
    if classes.labels(workspace.config):
        return "label"
    return "copied" if get_task(workspace.config.task.name).extractive else "written"


def searches(config: ExperimentConfig) -> bool:
    """Whether the pretrained encoders find the distractors."""
    return bool(config.reader.distractors) and config.reader.distractor_retriever == "dense"


def training_items(workspace: Workspace) -> list[Item]:
    """The items of the warm-up in random order: as many as its steps need, if there are enough."""
    config = workspace.config
    store = corpus.open_store(workspace)
    rng = seeds.generator(config.seed, "reader items")
    wanted = config.reader.steps * config.reader.batch_size * accumulation("reader", config.reader)
    asked = known_examples(workspace, store)
    questions = [item for _ in range(config.reader.rounds) for item in question_items(workspace, store, asked, rng)]
    wanted_cloze = int(wanted * CLOZE_SHARE)
    if config.reader.cloze == "windows":  # half of what the windows show, though all questions are at hand
        wanted, wanted_cloze = round(wanted * config.reader.window_share), len(questions)
    count = max(wanted_cloze, wanted - len(questions)) if wanted else 0
    if config.reader.distractor_loss != "target" and not any(item.distractor for item in questions):
        lacking = "has a gold passage, or an answer in its first BM25 hits"
        if questions:
            lacking = f"has a hit of {config.reader.distractor_retriever} that is no gold passage and holds no answer"
        raise ConfigError(
            f"reader.distractor_loss={config.reader.distractor_loss}: no train question {lacking}; set "
            "reader.distractor_loss=target"
        )
    cloze = build_cloze(cloze_passages(workspace, store), config.seed, count)
    items = questions + [
        Item(example.query, example.answers[0], store[store.row(example.gold_passage_ids[0])]) for example in cloze
    ]
    if not items:
        raise ConfigError(
            "the reader has no training data: no train question has a gold passage or an answer in its first BM25 "
            "hits, and no cloze question can be made from the corpus; give gold_passage_id, or set reader.steps=0 "
            "with a trained generator"
        )
    return [items[i] for i in rng.permutation(len(items))]


def cloze_passages(workspace: Workspace, store: PassageStore) -> list[Passage]:
    """The passages that cloze questions are made from: those of train, of which none names a country of task.without.

    How many are left out for such a name is a detail.
    """
    found = train_passages(tuple(store), examples.read_all(workspace))
    names = CountryNames(workspace.config.task.without)
    kept = [passage for passage in found if not names.in_passage(passage)]
    if len(kept) < len(found):
        workspace.detail(f"cloze: {len(found) - len(kept)} of {len(found)} passages name a country of task.without")
    return kept


def lessons(items: Sequence[Item], config: ReaderConfig, seed: int) -> list[Lesson]:
    """The lessons of the warm-up: windows first, then whole passages, with or without cloze questions.

    Raises:
        ConfigError: cloze questions in windows only, and no others for the steps with whole passages.
    """
    rng = seeds.generator(seed, "reader windows")
    nearest = config.distractor_retriever == "dense"
    short = [replace(i, passage=window(i, config.window, rng, nearest)) if i.kind == "copied" else i for i in items]
    steps = round(config.window_share * config.steps)
    first = [Lesson(short, config.batch_size, steps)] if steps else []
    if steps >= config.steps:
        return first
    whole = [item for item in items if item.example_id or config.cloze == "all"]
    if not whole:
        raise ConfigError(
            "reader.cloze=windows: no train question has a gold passage, so that nothing is left for the steps with "
            "whole passages; set reader.cloze=all"
        )
    return [*first, Lesson(whole, config.batch_size)]


def sized(lesson: Lesson, generator: Writer) -> Lesson:
    """The lesson with the number of input tokens of each item."""
    items = cast("Sequence[Item]", lesson.items)
    lengths = map(len, generator.source_ids([Pair(item.query, item.passage) for item in items]))
    return replace(lesson, items=[replace(item, tokens=n) for item, n in zip(items, lengths, strict=True)])


def window(item: Item, words: int, rng: np.random.Generator, nearest: bool = False) -> Passage | None:
    """The passage reduced to `words` words around the target; its beginning if it does not contain the target.

    With `nearest`, of a distractor those that share most words with the query.
    """
    if item.passage is None:
        return None
    if item.distractor and nearest:
        return _nearest_window(item.query, item.passage, words, rng)
    found = item.passage.text.lower().find(item.target.lower())
    all_words = item.passage.text.split()
    at = len(item.passage.text[: max(found, 0)].split())
    before = int(rng.integers(max(words - len(item.target.split()), 0) + 1)) if found >= 0 else 0
    start = max(0, min(at - before, len(all_words) - words))
    return replace(item.passage, text=" ".join(all_words[start : start + words]))


def _nearest_window(query: str, passage: Passage, words: int, rng: np.random.Generator) -> Passage:
    """The passage reduced to the `words` words with most distinct words of the query; of several such places any."""
    asked, all_words = set(tokenize(query)), passage.text.split()
    shared = [(at, token) for at, word in enumerate(all_words) for token in tokenize(word) if token in asked]
    starts = range(max(len(all_words) - words, 0) + 1)
    counts = [len({token for at, token in shared if start <= at < start + words}) for start in starts]
    most = max(counts)
    best = [start for start, count in zip(starts, counts, strict=True) if count == most]
    start = best[int(rng.integers(len(best)))]
    return replace(passage, text=" ".join(all_words[start : start + words]))


def known_examples(workspace: Workspace, store: PassageStore) -> list[Example]:
    """Train questions whose passage is known: a gold one, or found by BM25; claims without any are kept."""
    asked = targets.training_examples(workspace)
    if kind_of(workspace) == "label":
        return asked
    unknown = [example for example in asked if not example.gold_passage_ids]
    found = rows_with_answers(workspace, unknown) if kind_of(workspace) == "copied" else {}
    known = {name: (store[rows[0]].passage_id,) for name, rows in found.items() if rows}
    filled = [replace(e, gold_passage_ids=known[e.example_id]) if e.example_id in known else e for e in asked]
    kept = [example for example in filled if example.gold_passage_ids]
    if len(kept) < len(asked):
        workspace.detail(f"reader: {len(asked) - len(kept)} of {len(asked)} train questions have no known passage")
    return kept


def question_items(
    workspace: Workspace, store: PassageStore, asked: Sequence[Example], rng: np.random.Generator
) -> Iterator[Item]:
    """Items of train questions with a known passage; some show a distractor instead.

    If targets are not copied there are distractors only for a loss of their own.
    """
    config, kind = workspace.config.reader, kind_of(workspace)
    distracts = kind == "copied" or config.distractor_loss != "target"
    dense = distracts and searches(workspace.config)
    retriever = biencoder.pretrained_retriever(workspace) if dense else bm25.open_bm25(workspace)
    hits = retriever.retrieve([example.query for example in asked], min(CANDIDATES, len(store)))
    for example, found in zip(asked, hits, strict=True):
        passage = evidence(example, found, store, rng)
        if passage is None:
            continue
        answers = example.targets or example.answers
        target = standing_answers(example, [passage])[0] if kind == "copied" else answers[0]
        item = Item(example.query, target, passage, kind, example.example_id)
        if not distracts or rng.random() >= config.distractors:
            yield item
            continue
        wrong = [store[int(row)] for row in found.rows]
        wrong = [p for p in wrong if p.passage_id not in example.gold_passage_ids]
        if kind == "copied":
            wrong = [p for p in wrong if not has_answer(answers, passage_text(p, TITLE_END) if dense else p.text)]
        if not wrong:
            yield item
            continue
        chosen = wrong[int(rng.integers(len(wrong)))] if dense else wrong[0]
        yield replace(item, passage=chosen, distractor=True)


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
