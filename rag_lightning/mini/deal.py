"""From facts to the examples of the splits: phrasings, caps on relations and answers, no near-duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from rag_lightning.config.data import TESTS
from rag_lightning.core.records import Example
from rag_lightning.core.seeds import generator
from rag_lightning.metrics.questions import NearDuplicates
from rag_lightning.mini.corpus import World
from rag_lightning.mini.facts import Fact, gather_facts
from rag_lightning.mini.splits import SPLITS, Assignment
from rag_lightning.mini.text import as_typed, content_words

T = TypeVar("T")

UNSEEN_SHARE = 0.3
"""Part of the questions of test and test2 asked in the phrasing that train and dev never use."""
MAX_RELATION_SHARE, MAX_ANSWER_SHARE = 0.08, 0.01
"""The most of dev, test and test2 that one relation and one first answer may have."""


@dataclass(frozen=True)
class MiniData:
    """The splits, why candidates were dropped (reason -> count), and counts of what is left."""

    splits: Mapping[str, tuple[Example, ...]]
    dropped: Mapping[str, int]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """How a task's facts become examples.

    Args:
        task: As in the registry of tasks.
        sizes: The most examples of a split.
        per_fact: Phrasings of a fact in train on average, by family, one if not named; dev and the tests ask once.
        first: Families taken before the others in dev and the tests, and kept in train, because they are rare.
        spelt: Written form of a query; lower case as people type it unless the task says otherwise.
    """

    task: str
    sizes: Mapping[str, int]
    per_fact: Mapping[str, float] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    spelt: Callable[[str], str] = as_typed


MakeFacts = Callable[[World, Sequence[Fact], Counter[str]], Iterable[Fact]]
"""(sources, every fact of `gather_facts`, reasons to count) -> the facts that a task asks."""


def deal(plan: Plan, make: MakeFacts, world: World, seed: int) -> MiniData:
    """The splits of a task; what is left out is counted."""
    dropped: Counter[str] = Counter()
    facts = gather_facts(world, Counter())
    return deal_facts(plan, make(world, facts, dropped), Assignment(facts, seed).split, seed, dropped)


def deal_facts(
    plan: Plan, facts: Iterable[Fact], split_of: Callable[[str], str], seed: int, dropped: Counter[str]
) -> MiniData:
    """Facts to splits by their entity, asked, capped and without near-duplicates across splits."""
    parts: dict[str, list[Fact]] = {split: [] for split in SPLITS}
    for fact in facts:
        parts[split_of(fact.entity)].append(fact)
    splits = {}
    for split, part in parts.items():
        asked = ask(part, split, plan, seed, dropped)
        asked.sort(key=lambda example: example.tags["family"] not in plan.first)
        splits[split] = asked if split == "train" else choose(asked, plan.sizes[split], split, dropped)
    return finish(splits, plan, dropped)


def ask(facts: Sequence[Fact], split: str, plan: Plan, seed: int, dropped: Counter[str]) -> list[Example]:
    """The examples of one split in random order; equal queries, whose answers would differ, and faults are left out."""
    rng = generator(seed, f"mini-{plan.task}/{split}")
    found = [(example, fact.fault) for fact in facts for example in _examples(fact, split, plan, rng)]
    times = Counter(example.query for example, _ in found)
    kept = [(example, fault) for example, fault in found if times[example.query] == 1]
    dropped[f"{split}: the same question twice"] += len(found) - len(kept)
    dropped.update(f"{split}: {fault}" for _, fault in kept if fault)
    shuffled = (kept[index] for index in rng.permutation(len(kept)))
    return [example for example, fault in shuffled if not fault]


def _examples(fact: Fact, split: str, plan: Plan, rng: np.random.Generator) -> list[Example]:
    """The fact in the phrasings its split may use: one in dev and the tests, some in train."""
    *seen, last = fact.questions if len(fact.questions) > 1 else fact.questions * 2
    if split in TESTS and len(fact.questions) > 1 and rng.random() < UNSEEN_SHARE:
        return [_example(fact, split, last, len(seen), "unseen", plan)]
    count = plan.per_fact.get(fact.family, 1) if split == "train" else 1
    whole = int(count + (rng.random() if count % 1 else 0))
    picked = rng.permutation(len(seen))[:whole]
    return [_example(fact, split, seen[index], int(index), "seen", plan) for index in picked]


def _example(fact: Fact, split: str, question: str, number: int, phrasing: str, plan: Plan) -> Example:
    numbered = not fact.key or len(fact.questions) > 1
    parts = [split, fact.relation, "_".join(fact.entity.split()), fact.key, str(number) if numbered else ""]
    tags = {"family": fact.family, "relation": fact.relation, "phrasing": phrasing, **fact.tags}
    name, query = "/".join(filter(None, parts)), plan.spelt(question)
    return Example(name, query, fact.answers, fact.gold, fact.entity, tags, targets=fact.targets)


def choose(found: Sequence[Example], count: int, split: str, dropped: Counter[str]) -> list[Example]:
    """At most `count` examples within the caps, the earlier first."""
    kept = capped(found, count, lambda example: (example.tags["relation"], example.answers[0]))
    dropped[f"{split}: beyond the caps of relation and answer, or the number asked for"] += len(found) - len(kept)
    return kept


def capped(found: Sequence[T], count: int, names: Callable[[T], tuple[str, str]]) -> list[T]:
    """At most `count`, the earlier first, no relation above 8 % and no first answer above 1 % of what is kept.

    Args:
        names: (relation, first answer) of each.
    """
    kept = _within_caps(found, min(count, len(found)), names)
    # Each drop lowers the total that the shares are of.
    while len(fewer := _within_caps(kept, len(kept), names)) < len(kept):
        kept = fewer
    return kept


def _within_caps(found: Sequence[T], count: int, names: Callable[[T], tuple[str, str]]) -> list[T]:
    relations_kept: Counter[str] = Counter()
    answers_kept: Counter[str] = Counter()
    # With fewer than 13 relations no set meets 8 %; equal shares are then the least lopsided.
    share = max(MAX_RELATION_SHARE, 1 / max(len({names(one)[0] for one in found}), 1))
    kept: list[T] = []
    for one in found:
        relation, answer = names(one)[0], as_typed(names(one)[1])
        full = relations_kept[relation] + 1 > share * count
        full = full or answers_kept[answer] + 1 > max(MAX_ANSWER_SHARE * count, 1)
        if not full and len(kept) < count:
            relations_kept[relation] += 1
            answers_kept[answer] += 1
            kept.append(one)
    return kept


def finish(splits: Mapping[str, Sequence[Example]], plan: Plan, dropped: Counter[str]) -> MiniData:
    """Leave out of each split what is nearly a question of one before it, in the order test, dev, test2, train."""
    kept = {"test": list(splits["test"])}
    for split in ("dev", "test2", "train"):
        others = [example for examples in kept.values() for example in examples]
        kept[split] = unlike(splits[split], others, split, dropped)
    train = kept["train"]
    dropped["train: more than needed"] += max(0, len(train) - plan.sizes["train"])
    train = train[: plan.sizes["train"]]
    order = generator(0, f"mini-{plan.task}/order").permutation(len(train))
    kept["train"] = [train[index] for index in order]
    return pack({split: kept[split] for split in SPLITS}, dropped)


def pack(splits: Mapping[str, Sequence[Example]], dropped: Counter[str]) -> MiniData:
    """The result, with its examples counted by split, family ("train/profile") and entity ("train/entities")."""
    counts: Counter[str] = Counter()
    for name, examples in splits.items():
        counts[name] = len(examples)
        counts[f"{name}/entities"] = len({example.entity for example in examples})
        counts.update(f"{name}/{example.tags['family']}" for example in examples)
    made = {name: tuple(examples) for name, examples in splits.items()}
    return MiniData(made, dict(sorted((+dropped).items())), dict(sorted(counts.items())))


def unlike(found: Sequence[Example], others: Iterable[Example], split: str, dropped: Counter[str]) -> list[Example]:
    """The examples of a split that ask nearly nothing that the others ask; what is dropped is counted."""
    held = near_duplicates(example.query for example in others)
    kept = [example for example in found if content(example.query) not in held]
    dropped[f"{split}: nearly a question of another split"] += len(found) - len(kept)
    return kept


def content(query: str) -> str:
    """The words of a query that two near-duplicates share: without function words, unless nothing else is left."""
    return " ".join(content_words(query)) or query


def near_duplicates(queries: Iterable[str]) -> NearDuplicates:
    """A set that holds the content of each query, to be asked for the content of another."""
    texts = [content(query) for query in queries]
    held = NearDuplicates(texts)
    for text in dict.fromkeys(texts):
        held.add(text)
    return held
