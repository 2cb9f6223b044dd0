"""Two-hop questions, a slice of their own: a country is named by one of its facts and asked for another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from rag_lightning.mini.definitions import stems
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.templates import HELD_OUT_BRIDGES, TWO_HOP_BRIDGES, TWO_HOP_TARGETS
from rag_lightning.mini.text import as_typed

SEEN_BRIDGES = frozenset(TWO_HOP_BRIDGES) - HELD_OUT_BRIDGES
"""What may name a country in train and dev."""


def two_hop_facts(
    facts: Sequence[Fact],
    every: Sequence[Fact],
    count: int,
    rng: np.random.Generator,
    bridges: Collection[str] = frozenset(TWO_HOP_BRIDGES),
) -> list[Fact]:
    """About `count` questions over the countries of `facts`.

    Args:
        facts: Profile facts of the countries that may be asked about.
        every: Profile facts of all countries, to leave out bridges that several share.
        count: Questions at most.
        rng: Decides which.
        bridges: Relations that may name a country.
    """
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
    if bridge.relation == target.relation or bridge.relation not in TWO_HOP_BRIDGES:
        return False
    if target.relation not in TWO_HOP_TARGETS:
        return False
    named = stems(bridge.answers[0])
    tells = stems(bridge.entity) & named
    given = {stem for answer in target.answers for stem in stems(answer)} & named
    return not tells and not given


def _spread(pairs: Sequence[tuple[Fact, Fact]], count: int) -> list[Fact]:
    """Take pairs so that no target fact is asked more than twice and no relation more than an eighth."""
    asked: Counter[tuple[str, str]] = Counter()
    relations: Counter[str] = Counter()
    chosen: list[Fact] = []
    for bridge, target in pairs:
        key = (target.entity, target.relation)
        if len(chosen) == count or asked[key] == 2 or relations[target.relation] >= count // 8:
            continue
        asked[key] += 1
        relations[target.relation] += 1
        chosen.append(_join(bridge, target))
    return chosen


def _join(bridge: Fact, target: Fact) -> Fact:
    country = TWO_HOP_BRIDGES[bridge.relation].format(b=as_typed(bridge.answers[0]), land=bridge.slots["land"])
    slots = {"x": country, "template": TWO_HOP_TARGETS[target.relation], "bridge": bridge.relation}
    return Fact("two_hop", f"two_hop/{target.relation}", target.entity, slots, target.answers, target.gold)
