"""Items to examples in three splits: by entity, with the caps of test, without near-duplicates across splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag_lightning.core.records import Example
from rag_lightning.core.seeds import generator
from rag_lightning.mini.ask import UNSEEN_SHARE
from rag_lightning.mini.data import SPLITS, MiniData, count_examples
from rag_lightning.mini.item import Item
from rag_lightning.mini.near import NearDuplicates
from rag_lightning.mini.split import MAX_ANSWER_SHARE, MAX_RELATION_SHARE
from rag_lightning.mini.text import as_typed


@dataclass(frozen=True)
class Plan:
    """How a task's items become examples.

    Args:
        task: As in the registry of tasks.
        sizes: The most examples of a split.
        per_item: Phrasings of an item in train; dev and test ask once.
        first: Families taken before the others in dev and test, and kept in train, because they are rare.
        spelt: Written form of a query; lower case as people type it unless the task says otherwise.
    """

    task: str
    sizes: Mapping[str, int]
    per_item: int = 1
    first: tuple[str, ...] = ()
    spelt: Callable[[str], str] = as_typed


def deal(
    items: Iterable[Item], split_of: Callable[[str], str], seed: int, plan: Plan, dropped: Counter[str]
) -> MiniData:
    """Train, dev and test of a task; what is left out is counted in `dropped`."""
    parts: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for item in items:
        parts[split_of(item.entity)].append(item)
    splits = {}
    for split, part in parts.items():
        rng = generator(seed, f"mini-{plan.task}/{split}")
        asked = asked_once([e for item in part for e in examples(item, split, plan, rng)], split, dropped)
        order = [asked[index] for index in rng.permutation(len(asked))]
        order.sort(key=lambda example: example.tags["family"] not in plan.first)
        splits[split] = order if split == "train" else choose(order, plan.sizes[split], split, dropped)
    return finish(splits, plan, dropped)


def finish(splits: Mapping[str, Sequence[Example]], plan: Plan, dropped: Counter[str]) -> MiniData:
    """Leave out of train what is nearly a question of dev or test, and out of dev what is nearly one of test."""
    test = list(splits["test"])
    held = NearDuplicates(example.query for example in test)
    dev = _unlike(splits["dev"], held, "dev", dropped)
    train = _unlike(splits["train"], held, "train", dropped)
    train = _unlike(train, NearDuplicates(example.query for example in dev), "train", dropped)
    dropped["train: more than needed"] += max(0, len(train) - plan.sizes["train"])
    train = train[: plan.sizes["train"]]
    mixed = [train[index] for index in generator(0, f"mini-{plan.task}/order").permutation(len(train))]
    made = {"train": tuple(mixed), "dev": tuple(dev), "test": tuple(test)}
    return MiniData(made, dict(sorted((+dropped).items())), count_examples(made))


def _unlike(found: Iterable[Example], others: NearDuplicates, split: str, dropped: Counter[str]) -> list[Example]:
    found = list(found)
    kept = [example for example in found if example.query not in others]
    dropped[f"{split}: nearly a question of another split"] += len(found) - len(kept)
    return kept


def examples(item: Item, split: str, plan: Plan, rng: np.random.Generator) -> list[Example]:
    """The item in the phrasings its split may use: one in dev and test, some in train."""
    *seen, last = item.forms if len(item.forms) > 1 else (item.forms[0], item.forms[0])
    if split == "test" and len(item.forms) > 1 and rng.random() < UNSEEN_SHARE:
        return [_example(item, split, last, len(seen), "unseen", plan)]
    picked = rng.permutation(len(seen))[: plan.per_item if split == "train" else 1]
    return [_example(item, split, seen[index], int(index), "seen", plan) for index in picked]


def _example(item: Item, split: str, form: str, number: int, phrasing: str, plan: Plan) -> Example:
    name = "/".join([split, item.relation, "_".join(item.entity.split()), *filter(None, [item.key]), str(number)])
    tags = {"family": item.family, "relation": item.relation, "phrasing": phrasing}
    query = plan.spelt(form)
    return Example(name, query, item.answers, item.gold, item.entity, tags, item.gold_titles, item.targets)


def asked_once(found: Sequence[Example], split: str, dropped: Counter[str]) -> list[Example]:
    """Without the queries that two examples ask, whose answers would contradict each other."""
    times = Counter(example.query for example in found)
    kept = [example for example in found if times[example.query] == 1]
    dropped[f"{split}: the same question twice"] += len(found) - len(kept)
    return kept


def choose(found: Sequence[Example], count: int, split: str, dropped: Counter[str]) -> list[Example]:
    """At most `count`, the earlier first, no relation above 8 % and no first answer above 1 % of what is kept."""
    kept = _within_caps(found, min(count, len(found)))
    while True:
        fewer = _within_caps(kept, len(kept))
        if len(fewer) == len(kept):
            dropped[f"{split}: beyond the caps of relation and answer, or the number asked for"] += len(found) - len(
                kept
            )
            return kept
        kept = fewer


def _within_caps(found: Sequence[Example], count: int) -> list[Example]:
    relations: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    # With fewer than 13 relations no set meets 8 %; equal shares are then the least lopsided.
    share = max(MAX_RELATION_SHARE, 1 / max(len({example.tags["relation"] for example in found}), 1))
    kept: list[Example] = []
    for example in found:
        relation, answer = example.tags["relation"], as_typed(example.answers[0])
        full = relations[relation] + 1 > share * count or answers[answer] + 1 > max(MAX_ANSWER_SHARE * count, 1)
        if full or len(kept) == count:
            continue
        relations[relation] += 1
        answers[answer] += 1
        kept.append(example)
    return kept
