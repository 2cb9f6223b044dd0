"""Task data `mini-fever3` and `mini-fever2`: claims about countries that their profiles support, refute or leave open.

Nothing in a claim tells its label. Every value is claimed once of its own country, once of another whose value
differs and, in fever3, once of a country whose profile has no such field; the three share one phrasing, so that
relations, templates and values are as often in one label as in any other. Which facts are used is a circulation
(`balance.py`): every country has as many facts that are told as facts that are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag_lightning.core.records import Example
from rag_lightning.core.seeds import generator
from rag_lightning.mini.balance import balanced, deranged, spread
from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MAX_RELATION_SHARE, UNSEEN_SHARE, MiniData, Plan, finish
from rag_lightning.mini.facts import Fact, gather_facts
from rag_lightning.mini.relations import relations
from rag_lightning.mini.sources import Profile
from rag_lightning.mini.splits import SPLITS, Assignment
from rag_lightning.mini.text import as_typed, names_in_case, sentence_case, straight

LABELS = ("supports", "refutes", "not enough info")
SIZES = {"train": 9000, "dev": 450, "test": 900}
MIN_FIELDS = 90
"""A profile with fewer is of a place that hardly anything can be claimed about (an uninhabited island)."""


def build_fever3(world: World, seed: int) -> MiniData:
    """Claims with three labels."""
    return _build(world, seed, LABELS, "fever3")


def build_fever2(world: World, seed: int) -> MiniData:
    """Claims with two labels: no "not enough info", as the paper makes FEVER2 of FEVER3."""
    return _build(world, seed, LABELS[:2], "fever2")


@dataclass(frozen=True)
class Telling:
    """A country's value of a relation: as claimed, every accepted spelling, and the passages that state it."""

    country: str
    relation: str
    value: str
    spellings: tuple[str, ...]
    gold: tuple[str, ...]

    def differs(self, other: Telling) -> bool:
        """Is no spelling of the one a spelling of the other?"""
        return not {as_typed(form) for form in self.spellings} & {as_typed(form) for form in other.spellings}


@dataclass(frozen=True)
class _Matter:
    """What claims are made from, in one split."""

    tellings: Mapping[tuple[str, str], Telling]
    untold: Sequence[tuple[str, str]]
    names: Mapping[str, str]


def _build(world: World, seed: int, labels: Sequence[str], task: str) -> MiniData:
    dropped: Counter[str] = Counter()
    facts = gather_facts(world, Counter())
    split_of = Assignment(facts, seed).split
    tellings = {(told.country, told.relation): told for told in gather_tellings(world, facts, dropped)}
    untold = list(gather_untold(world))
    names = {profile.name: straight(profile.in_sentence) for profile in claimable(world)}
    splits = {}
    for split in SPLITS:
        here = {key: told for key, told in tellings.items() if split_of(key[0]) == split}
        matter = _Matter(here, [pair for pair in untold if split_of(pair[0]) == split], names)
        rng = generator(seed, f"mini-{task}/{split}")
        made = list(_claims(matter, split, labels, rng, dropped))
        splits[split] = [made[index] for index in rng.permutation(len(made))]
    return finish(splits, Plan(task, SIZES), dropped)


def _claims(
    matter: _Matter, split: str, labels: Sequence[str], rng: np.random.Generator, dropped: Counter[str]
) -> Iterator[Example]:
    """The claims of one split, one of every label for each value."""
    groups = SIZES[split] // len(labels)
    told = spread(matter.tellings, int(MAX_RELATION_SHARE * groups), rng)
    chosen: dict[str, list[tuple[Telling, str]]] = {}
    if len(labels) == 2:
        pairs = [(country, relation) for country, relations in told.items() for relation in relations]
        steps = [(*pairs[index], "") for index in rng.permutation(len(pairs))[:groups]]
    else:
        steps = balanced(told, spread(matter.untold, len(matter.untold), rng), groups, rng)[:groups]
    for country, relation, other in steps:
        chosen.setdefault(relation, []).append((matter.tellings[country, relation], other))
    for found in chosen.values():
        kept, mixed = refutable(found, rng)
        dropped[f"{split}: values of a relation that are too alike to be refuted"] += len(found) - len(kept)
        for (telling, open_country), refuted in zip(kept, mixed, strict=True):
            subjects = (telling.country, refuted.country, open_country)
            yield from _group(telling, refuted, subjects, split, labels, matter.names, rng)


def refutable(
    found: Sequence[tuple[Telling, str]], rng: np.random.Generator
) -> tuple[list[tuple[Telling, str]], list[Telling]]:
    """The tellings that can be paired, and for each the one its value is false of; the commonest value gives way."""
    kept = list(found)
    while kept:
        tellings = [telling for telling, _ in kept]
        mixed = deranged(tellings, Telling.differs, rng)
        if mixed is not None:
            return kept, mixed
        alike = [sum(not one.differs(other) for other in tellings) for one in tellings]
        kept.pop(alike.index(max(alike)))
    return [], []


def _group(
    telling: Telling,
    refuted: Telling,
    subjects: Sequence[str],
    split: str,
    labels: Sequence[str],
    names: Mapping[str, str],
    rng: np.random.Generator,
) -> Iterator[Example]:
    """One value claimed of the country it is true of, of one it is false of, and of one that nothing is told of."""
    *seen, unseen = relations()[telling.relation].all_claims
    new = split == "test" and rng.random() < UNSEEN_SHARE
    form = unseen if new else seen[int(rng.integers(len(seen)))]
    evidence = (telling.gold, refuted.gold, ())
    for label, country, gold in zip(labels, subjects, evidence, strict=False):
        text = form.format(x=names[country], v=telling.value)
        name = "/".join((split, telling.relation, "_".join(telling.country.split()), label.replace(" ", "_")))
        tags = {
            "family": "name" if relations()[telling.relation].claims else "number",
            "relation": telling.relation,
            "phrasing": "unseen" if new else "seen",
        }
        titles = (country,) if gold else ()
        yield Example(name, f"{sentence_case(text)}.", (label,), gold, country, tags, titles)


def claimable(world: World) -> list[Profile]:
    """The profiles that tell enough to be claimed about."""
    return [profile for profile in world.profiles if len(profile.fields) >= MIN_FIELDS]


def gather_tellings(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Telling]:
    """Everything told about the claimable countries."""
    profiles = claimable(world)
    claimed = {profile.name for profile in profiles}
    for fact in facts:
        if fact.family == "profile" and fact.entity in claimed and relations()[fact.relation].claims:
            value = straight(fact.answers[0])
            value = names_in_case(value) if relations()[fact.relation].in_capitals else value
            yield Telling(fact.entity, fact.relation, value, fact.answers, fact.gold[:1])
    measured = [relation for relation in relations().values() if relation.phrases]
    for profile in profiles:
        for relation in measured:
            number = relation.quantity(profile)
            if not number:
                continue
            rows = world.field_rows(profile, relation.label) & world.finder.holding([number])
            if rows:
                yield Telling(profile.name, relation.name, number, (number,), world.finder.ids(rows))
            else:
                dropped[f"{relation.name}: not in one passage"] += 1


def gather_untold(world: World) -> Iterator[tuple[str, str]]:
    """(country, relation) where the profile has no such field, nor anything else the answer could be read from."""
    claimed = [relation for relation in relations().values() if relation.all_claims]
    for profile in claimable(world):
        told = {path[: len(path) - cut] for path in profile.fields for cut in (0, 1)}
        telling = {"other_text"}
        if any(path[1].startswith("Legislative branch - ") for path in profile.fields):
            telling.add("chambers")
        if "landlocked" in profile.get("Geography", "Coastline"):
            telling.add("landlocked")
        for relation in claimed:
            if relation.path not in told and relation.also_told_by not in telling:
                yield profile.name, relation.name
