"""Task data `mini-nq`: questions about definitions and facts, and two-hop questions over the facts of a country."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rag_lightning.config.data import TESTS
from rag_lightning.core.seeds import generator
from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MiniData, Plan, ask, capped, pack, unlike
from rag_lightning.mini.facts import Fact, gather_facts
from rag_lightning.mini.relations import relations
from rag_lightning.mini.splits import SPLITS, leave_out_lopsided, split_facts
from rag_lightning.mini.text import as_typed, stems

# On average 1.2 to 1.6 phrasings of a fact bring the families to about 45 / 40 / 15 % in train too.
PLAN = Plan("nq", {}, per_fact={"definition": 1.2, "profile": 1.4, "lead_fact": 1.6})
TWO_HOP_COUNTS = {"test": 210, "train": 1000, "dev": 60, "test2": 150}
"""Two-hop questions of each split, over its own countries."""


def build(world: World, seed: int) -> MiniData:
    """The four splits; entities, and so articles and countries, are in one only."""
    dropped: Counter[str] = Counter()
    facts = leave_out_lopsided(gather_facts(world, dropped), dropped)
    parts = split_facts(facts, seed, dropped)
    profile = [fact for fact in facts if fact.family == "profile"]
    for split, count in TWO_HOP_COUNTS.items():
        in_split = [fact for fact in parts[split] if fact.family == "profile"]
        purpose = "mini-nq/two-hop" if split == "test" else f"mini-nq/two-hop/{split}"
        parts[split] += two_hop_facts(in_split, profile, count, generator(seed, purpose), unseen=split in TESTS)
    for split in TESTS:
        kept = capped(parts[split], len(parts[split]), lambda fact: (fact.relation, fact.answers[0]))
        dropped[f"{split}: beyond the caps of relation and answer"] += len(parts[split]) - len(kept)
        parts[split] = kept
    splits = {split: ask([_tagged(fact) for fact in parts[split]], split, PLAN, seed, dropped) for split in SPLITS}
    held = [example for split in SPLITS[1:] for example in splits[split]]
    splits["train"] = unlike(splits["train"], held, "train", dropped)
    return pack(splits, dropped)


def _tagged(fact: Fact) -> Fact:
    """The fact with the slice of its examples; every phrasing of a relation kept for test is unseen."""
    relation = relations().get(fact.relation)
    if relation and relation.test_only:
        return replace(fact, tags={"slice": "held_out_relation", "phrasing": "unseen"})
    return replace(fact, tags={"slice": "two_hop" if fact.family == "two_hop" else "one_hop", **fact.tags})


def two_hop_facts(
    facts: Sequence[Fact], every: Sequence[Fact], count: int, rng: np.random.Generator, *, unseen: bool
) -> list[Fact]:
    """About `count` questions over the countries of `facts`: named by one of their facts, asked for another.

    Args:
        facts: Profile facts of the countries that may be asked about.
        every: Profile facts of all countries, to leave out bridges that several share.
        count: Questions at most.
        rng: Decides which.
        unseen: Whether the bridges that are kept for test may name a country.
    """
    bridges = {r.name for r in relations().values() if r.bridge and (unseen or not r.bridge_test_only)}
    shared = Counter((fact.relation, as_typed(fact.answers[0])) for fact in every)
    by_country: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_country[fact.entity].append(fact)
    pairs = [
        (bridge, target)
        for known in by_country.values()
        for bridge in known
        for target in known
        if bridge.relation in bridges
        and _usable(bridge, target)
        and shared[bridge.relation, as_typed(bridge.answers[0])] == 1
    ]
    order = rng.permutation(len(pairs))
    return _spread([pairs[index] for index in order], count)


def _usable(bridge: Fact, target: Fact) -> bool:
    """Whether the bridge gives away neither the country nor the answer."""
    if bridge.relation == target.relation or not relations()[target.relation].second_hop:
        return False
    named = stems(bridge.answers[0])
    names_country = stems(bridge.entity) & named
    given = {stem for answer in target.answers for stem in stems(answer)} & named
    return not names_country and not given


def _spread(pairs: Sequence[tuple[Fact, Fact]], count: int) -> list[Fact]:
    """Take pairs so that no target fact is asked more than twice and no relation more than an eighth."""
    asked: Counter[tuple[str, str]] = Counter()
    relations_asked: Counter[str] = Counter()
    chosen: list[Fact] = []
    for bridge, target in pairs:
        key = (target.entity, target.relation)
        if len(chosen) == count or asked[key] == 2 or relations_asked[target.relation] >= count // 8:
            continue
        asked[key] += 1
        relations_asked[target.relation] += 1
        chosen.append(_joined(bridge, target))
    return chosen


def _joined(bridge: Fact, target: Fact) -> Fact:
    relation = relations()[bridge.relation]
    country = relation.bridge.format(b=as_typed(bridge.answers[0]), land=bridge.slots["land"])
    question = relations()[target.relation].second_hop.format(x=country)
    return Fact(
        "two_hop",
        f"two_hop/{target.relation}",
        target.entity,
        (question,),
        target.answers,
        target.gold,
        tags={"phrasing": "unseen"} if relation.bridge_test_only else {},
        key=bridge.relation,
        fault=bridge.fault or target.fault,
    )
