"""Which split an entity belongs to: `mini-nq` deals its entities out, every other task follows it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from rag_lightning.core.seeds import generator
from rag_lightning.mini.facts import Fact
from rag_lightning.mini.relations import relations
from rag_lightning.mini.text import as_typed

SPLITS = ("train", "dev", "test", "test2")
MAX_MAJORITY = 0.15
"""A relation with an answer that is right more often is left out."""
TARGETS: Mapping[str, Mapping[str, int]] = {
    "test": {"definition": 470, "profile": 430, "lead_fact": 160},
    "dev": {"definition": 245, "profile": 220, "lead_fact": 82},
    "test2": {"definition": 400, "profile": 400, "lead_fact": 150},
}
"""Facts of each family that mini-nq takes for test, dev and test2."""
FACTS_PER_COUNTRY = 12
SHARES = {"test": 0.14, "dev": 0.09, "test2": 0.2}
"""Shares of the entities that mini-nq has neither in test nor in dev; test and dev are those of the other tasks."""
_RAREST_FIRST = ("profile", "lead_fact", "definition")
ALIASES = {
    "Burma": "Myanmar",
    "Czechia": "Czech Republic",
    "Cabo Verde": "Cape Verde",
    "Timor-Leste": "East Timor",
    "Cote d'Ivoire": "Ivory Coast",
    "Côte d'Ivoire": "Ivory Coast",
    "Republic of Ireland": "Ireland",
    "Georgia": "Georgia (country)",
    "Curacao": "Curaçao",
}
"""Names of a country in one source that the other gives otherwise."""


def entity_key(entity: str) -> str:
    """One key for the names that the two sources give the same thing."""
    return as_typed(ALIASES.get(entity, entity))


class Assignment:
    """Entities of nq's dev and test stay there; of the others a hash sends shares to test, dev and test2.

    So no task trains on an entity that `mini-nq` is measured on, nor on one of test2, and any two of the other tasks
    agree on every entity.

    Args:
        facts: All facts `mini-nq` is made from.
        seed: The seed of the data.
    """

    def __init__(self, facts: Sequence[Fact], seed: int) -> None:
        ignored: Counter[str] = Counter()
        parts = split_facts(leave_out_lopsided(facts, ignored), seed, ignored)
        self._seed = seed
        self._held = {entity_key(fact.entity): split for split in ("dev", "test") for fact in parts[split]}

    def split(self, entity: str) -> str:
        """One of SPLITS."""
        key = entity_key(entity)
        return self._held.get(key) or hashed_split(key, self._seed)


def hashed_split(key: str, seed: int) -> str:
    """The same split for the same key and seed, on any machine."""
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for split, share in SHARES.items():
        place -= share
        if place < 0:
            return split
    return "train"


def leave_out_lopsided(facts: Sequence[Fact], dropped: Counter[str]) -> list[Fact]:
    """Without the profile and lead relations whose commonest answer is right for more than 15 %."""
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for fact in facts:
        if fact.family != "definition":
            answers[fact.relation][as_typed(fact.answers[0])] += 1
    out = {name for name, count in answers.items() if max(count.values()) > MAX_MAJORITY * count.total()}
    for fact in facts:
        if fact.relation in out:
            dropped[f"{fact.relation}: left out, one answer is right for more than 15 %"] += 1
    return [fact for fact in facts if fact.relation not in out]


def split_facts(facts: Sequence[Fact], seed: int, dropped: Counter[str]) -> dict[str, list[Fact]]:
    """Deal entities out for mini-nq: to test and dev until each family has its number, the rest to test2 and train."""
    rng, rng_test2 = generator(seed, "mini-nq/split"), generator(seed, "mini-nq/split/test2")
    groups: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[entity_key(fact.entity)].append(fact)
    ordered = sorted(groups)
    names = [ordered[index] for index in rng.permutation(len(groups))]
    # Rare families first, or definitions would fill test before a country's turn comes.
    names.sort(key=lambda name: min(_RAREST_FIRST.index(fact.family) for fact in groups[name]))
    parts: dict[str, list[Fact]] = {split: [] for split in SPLITS}
    for name in names:
        part = _part_for(groups[name], parts)
        if part == "train" and hashed_split(name, seed) == "test2":
            parts["test2"] += _thin(groups[name], rng_test2, dropped)
        else:
            parts[part] += groups[name] if part == "train" else _thin(groups[name], rng, dropped)
    held_out = {relation.name for relation in relations().values() if relation.test_only}
    for split in ("train", "dev"):
        kept = [fact for fact in parts[split] if fact.relation not in held_out]
        dropped[f"{split}: relation kept for test"] += len(parts[split]) - len(kept)
        parts[split] = kept
    return {split: part if split == "train" else _trim(part, split, dropped) for split, part in parts.items()}


def _part_for(group: Sequence[Fact], parts: Mapping[str, Sequence[Fact]]) -> str:
    family = min((fact.family for fact in group), key=_RAREST_FIRST.index)
    for split in ("test", "dev"):
        if sum(fact.family == family for fact in parts[split]) < TARGETS[split][family]:
            return split
    return "train"


def _thin(group: list[Fact], rng: np.random.Generator, dropped: Counter[str]) -> list[Fact]:
    """At most FACTS_PER_COUNTRY profile facts, so that dev and the tests hold more countries."""
    profile = [fact for fact in group if fact.family == "profile"]
    if len(profile) <= FACTS_PER_COUNTRY:
        return group
    picked = {profile[index] for index in rng.permutation(len(profile))[:FACTS_PER_COUNTRY]}
    dropped["dev and tests: a country's facts beyond the first twelve"] += len(profile) - FACTS_PER_COUNTRY
    return [fact for fact in group if fact.family != "profile" or fact in picked]


def _trim(facts: Sequence[Fact], split: str, dropped: Counter[str]) -> list[Fact]:
    """Families that other families' entities brought too many of are cut to their number."""
    seen: Counter[str] = Counter()
    kept = []
    for fact in reversed(facts):
        seen[fact.family] += 1
        if seen[fact.family] <= TARGETS[split][fact.family] * 1.1:
            kept.append(fact)
        else:
            dropped[f"{split}: more than its family's share"] += 1
    return kept[::-1]
