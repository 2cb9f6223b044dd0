"""Which facts go where: by entity, in the shares of the families, with caps that keep test from being lopsided."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from rag_lightning.mini.fact import Fact
from rag_lightning.mini.templates import HELD_OUT_RELATIONS
from rag_lightning.mini.text import as_typed

TARGETS: Mapping[str, Mapping[str, int]] = {
    "test": {"definition": 470, "profile": 430, "lead_fact": 160},
    "dev": {"definition": 245, "profile": 220, "lead_fact": 82},
}
MAX_RELATION_SHARE = 0.08
MAX_ANSWER_SHARE = 0.01
MAX_MAJORITY = 0.15
FACTS_PER_COUNTRY = 12
_RAREST_FIRST = ("profile", "lead_fact", "definition")
ALIASES = {
    "Burma": "Myanmar",
    "Czechia": "Czech Republic",
    "Cabo Verde": "Cape Verde",
    "Timor-Leste": "East Timor",
    "Cote d'Ivoire": "Ivory Coast",
    "Côte d'Ivoire": "Ivory Coast",
    "Vatican City": "Vatican City",
    "Macau": "Macau",
    "Republic of Ireland": "Ireland",
    "Georgia": "Georgia (country)",
    "Turkey": "Turkey",
    "Curacao": "Curaçao",
}


def entity_key(entity: str) -> str:
    """One key for the names that the two sources give the same thing."""
    return as_typed(ALIASES.get(entity, entity))


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


def split_facts(facts: Sequence[Fact], rng: np.random.Generator, dropped: Counter[str]) -> dict[str, list[Fact]]:
    """Deal entities out: to test and dev until each family has its number, the rest to train."""
    groups: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[entity_key(fact.entity)].append(fact)
    names = [sorted(groups)[index] for index in rng.permutation(len(groups))]
    # Rare families first, or definitions would fill test before a country's turn comes.
    names.sort(key=lambda name: min(_RAREST_FIRST.index(fact.family) for fact in groups[name]))
    parts: dict[str, list[Fact]] = {"train": [], "dev": [], "test": []}
    for name in names:
        part = _part_for(groups[name], parts)
        parts[part] += groups[name] if part == "train" else _thin(groups[name], rng, dropped)
    for split in ("train", "dev"):
        kept = [fact for fact in parts[split] if fact.relation not in HELD_OUT_RELATIONS]
        dropped[f"{split}: relation kept for test"] += len(parts[split]) - len(kept)
        parts[split] = kept
    return {
        "train": parts["train"],
        "dev": _trim(parts["dev"], "dev", dropped),
        "test": _trim(parts["test"], "test", dropped),
    }


def cap(facts: Sequence[Fact], dropped: Counter[str]) -> list[Fact]:
    """Test without what passes 8 % for a relation or 1 % for an answer; repeated, as each drop lowers the total."""
    kept = list(facts)
    while True:
        fewer = _capped(kept, dropped)
        if len(fewer) == len(kept):
            return kept
        kept = fewer


def _capped(facts: Sequence[Fact], dropped: Counter[str]) -> list[Fact]:
    relations: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    # With fewer than 13 relations no set meets 8 %; equal shares are then the least lopsided.
    share = max(MAX_RELATION_SHARE, 1 / max(len({fact.relation for fact in facts}), 1))
    kept = []
    for fact in facts:
        answer = as_typed(fact.answers[0])
        if relations[fact.relation] + 1 > share * len(facts):
            dropped["test: relation above its share"] += 1
        elif answers[answer] + 1 > max(MAX_ANSWER_SHARE * len(facts), 1):
            dropped["test: answer above its share"] += 1
        else:
            relations[fact.relation] += 1
            answers[answer] += 1
            kept.append(fact)
    return kept


def _part_for(group: Sequence[Fact], parts: Mapping[str, Sequence[Fact]]) -> str:
    family = min((fact.family for fact in group), key=_RAREST_FIRST.index)
    for split, targets in TARGETS.items():
        if sum(fact.family == family for fact in parts[split]) < targets[family]:
            return split
    return "train"


def _thin(group: list[Fact], rng: np.random.Generator, dropped: Counter[str]) -> list[Fact]:
    """At most FACTS_PER_COUNTRY profile facts, so that dev and test hold more countries."""
    profile = [fact for fact in group if fact.family == "profile"]
    if len(profile) <= FACTS_PER_COUNTRY:
        return group
    picked = {profile[index] for index in rng.permutation(len(profile))[:FACTS_PER_COUNTRY]}
    dropped["dev and test: a country's facts beyond the first twelve"] += len(profile) - FACTS_PER_COUNTRY
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
