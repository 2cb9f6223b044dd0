"""Facts to examples: which phrasing, which order, which ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rag_lightning.core.records import Example
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.templates import HELD_OUT_BRIDGES, HELD_OUT_RELATIONS, TEMPLATES
from rag_lightning.mini.text import as_typed

UNSEEN_SHARE = 0.3
"""Part of the test questions asked in the phrasing that train and dev never use."""

PER_FACT_IN_TRAIN = {"definition": 1.2, "profile": 1.4, "lead_fact": 1.6}
"""Phrasings per fact in train on average, which brings the families to about 45 / 40 / 15 there too."""


def ask(split: str, facts: Sequence[Fact], rng: np.random.Generator, dropped: Counter[str]) -> tuple[Example, ...]:
    """The examples of one split in random order; equal questions with different answers are left out."""
    examples = [example for fact in facts for example in _examples(split, fact, rng)]
    times = Counter(example.query for example in examples)
    unique = [example for example in examples if times[example.query] == 1]
    dropped[f"{split}: the same question twice"] += len(examples) - len(unique)
    order = rng.permutation(len(unique))
    return tuple(unique[index] for index in order)


def _examples(split: str, fact: Fact, rng: np.random.Generator) -> list[Example]:
    if fact.family == "two_hop":
        phrasing = "unseen" if fact.slots["bridge"] in HELD_OUT_BRIDGES else "seen"
        return [_example(split, fact, fact.slots["template"], 0, phrasing)]
    *seen, unseen = TEMPLATES[fact.template_key]
    if split == "test" and rng.random() < UNSEEN_SHARE:
        return [_example(split, fact, unseen, len(seen), "unseen")]
    count = int(PER_FACT_IN_TRAIN[fact.family] + rng.random()) if split == "train" else 1
    picked = rng.permutation(len(seen))[:count]
    return [_example(split, fact, seen[index], int(index), "seen") for index in picked]


def _example(split: str, fact: Fact, template: str, number: int, phrasing: str) -> Example:
    new = "unseen" if fact.relation in HELD_OUT_RELATIONS else phrasing
    part = "two_hop" if fact.family == "two_hop" else "one_hop"
    held_out = "held_out_relation" if fact.relation in HELD_OUT_RELATIONS else part
    tags = {"family": fact.family, "relation": fact.relation, "phrasing": new, "slice": held_out}
    name = f"{split}/{fact.relation}/{'_'.join(fact.entity.split())}/{fact.slots.get('bridge', number)}"
    return Example(name, as_typed(template.format(**fact.slots)), fact.answers, fact.gold, fact.entity, tags)
