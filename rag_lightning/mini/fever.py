"""Task data `mini-fever3` and `mini-fever2`: claims about countries that their profiles support, refute or leave open.

Nothing in a claim tells its label. Every value is claimed once of its own country, once of another whose value
differs and, in fever3, once of a country whose profile has no such field; the three share one phrasing, so that
relations, templates and values are as often in one label as in any other. Which facts are used is a circulation
(`balanced`): every country has as many stated facts as missing fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from rag_lightning.config.data import TESTS
from rag_lightning.core.records import Example
from rag_lightning.core.seeds import generator
from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MAX_RELATION_SHARE, UNSEEN_SHARE, MiniData, Plan, finish
from rag_lightning.mini.facts import Fact, gather_facts, quantities
from rag_lightning.mini.relations import relations
from rag_lightning.mini.sources import Profile
from rag_lightning.mini.splits import SPLITS, Assignment
from rag_lightning.mini.text import as_typed, names_in_case, sentence_case, straight

T = TypeVar("T")
Pairs = Mapping[str, Sequence[str]]
"""Country -> relations."""

LABELS = ("supports", "refutes", "not enough info")
SIZES = {"train": 9000, "dev": 450, "test": 900, "test2": 900}
MIN_FIELDS = 90
"""A profile with fewer is of a place that hardly anything can be claimed about (an uninhabited island)."""


def build_fever3(world: World, seed: int) -> MiniData:
    """Claims with three labels."""
    return _build(world, seed, LABELS, "fever3")


def build_fever2(world: World, seed: int) -> MiniData:
    """Claims with two labels: no "not enough info", as the paper makes FEVER2 of FEVER3."""
    return _build(world, seed, LABELS[:2], "fever2")


@dataclass(frozen=True)
class _Material:
    """What claims are made from, in one split.

    Args:
        stated: (country, relation) -> the fact that its profile states.
        missing: (country, relation) that the profile has no field for.
        names: Country -> its name inside a sentence.
    """

    stated: Mapping[tuple[str, str], Fact]
    missing: Sequence[tuple[str, str]]
    names: Mapping[str, str]


def _build(world: World, seed: int, labels: Sequence[str], task: str) -> MiniData:
    dropped: Counter[str] = Counter()
    facts = gather_facts(world, Counter())
    split_of = Assignment(facts, seed).split
    stated = {(fact.entity, fact.relation): fact for fact in stated_facts(world, facts, dropped)}
    missing = list(missing_fields(world))
    names = {profile.name: straight(profile.in_sentence) for profile in claimable(world)}
    splits = {}
    for split in SPLITS:
        here = {key: fact for key, fact in stated.items() if split_of(key[0]) == split}
        material = _Material(here, [pair for pair in missing if split_of(pair[0]) == split], names)
        rng = generator(seed, f"mini-{task}/{split}")
        made = list(_claims(material, split, labels, rng, dropped))
        splits[split] = [made[index] for index in rng.permutation(len(made))]
    return finish(splits, Plan(task, SIZES), dropped)


def _claims(
    material: _Material, split: str, labels: Sequence[str], rng: np.random.Generator, dropped: Counter[str]
) -> Iterator[Example]:
    """The claims of one split, one of every label for each value."""
    groups = SIZES[split] // len(labels)
    stated = spread(material.stated, int(MAX_RELATION_SHARE * groups), rng)
    chosen: dict[str, list[tuple[Fact, str]]] = {}
    if len(labels) == 2:
        pairs = [(country, relation) for country, relations in stated.items() for relation in relations]
        steps = [(*pairs[index], "") for index in rng.permutation(len(pairs))[:groups]]
    else:
        steps = balanced(stated, spread(material.missing, len(material.missing), rng), groups, rng)[:groups]
    for country, relation, other in steps:
        chosen.setdefault(relation, []).append((material.stated[country, relation], other))
    for found in chosen.values():
        kept, mixed = refutable(found, rng)
        dropped[f"{split}: values of a relation that are too alike to be refuted"] += len(found) - len(kept)
        for (fact, open_country), refuted in zip(kept, mixed, strict=True):
            evidence = ((fact.entity, fact.gold), (refuted.entity, refuted.gold), (open_country, ()))
            made = list(_group(fact, dict(zip(labels, evidence, strict=False)), split, material.names, rng))
            fault = fact.fault or refuted.fault
            if fault:
                dropped[f"{split}: {fault}"] += len(made)
            else:
                yield from made


def refutable(found: Sequence[tuple[Fact, str]], rng: np.random.Generator) -> tuple[list[tuple[Fact, str]], list[Fact]]:
    """The facts that can be paired, and for each the one its value is false of; the commonest value gives way."""
    kept = list(found)
    while kept:
        facts = [fact for fact, _ in kept]
        mixed = deranged(facts, differ, rng)
        if mixed is not None:
            return kept, mixed
        alike = [sum(not differ(one, other) for other in facts) for one in facts]
        kept.pop(alike.index(max(alike)))
    return [], []


def differ(one: Fact, other: Fact) -> bool:
    """Whether no accepted spelling of the one is one of the other."""
    return not {as_typed(form) for form in one.answers} & {as_typed(form) for form in other.answers}


def _group(
    fact: Fact,
    evidence: Mapping[str, tuple[str, tuple[str, ...]]],
    split: str,
    names: Mapping[str, str],
    rng: np.random.Generator,
) -> Iterator[Example]:
    """One value claimed of a country for each label: label -> (country, gold passages)."""
    *seen, unseen = fact.questions
    new = split in TESTS and rng.random() < UNSEEN_SHARE
    form = unseen if new else seen[int(rng.integers(len(seen)))]
    tags = {"family": fact.family, "relation": fact.relation, "phrasing": "unseen" if new else "seen"}
    for label, (country, gold) in evidence.items():
        claim = f"{sentence_case(form.format(x=names[country], **fact.slots))}."
        name = "/".join((split, fact.relation, "_".join(fact.entity.split()), label.replace(" ", "_")))
        yield Example(name, claim, (label,), gold, country, tags, (country,) if gold else ())


def claimable(world: World) -> list[Profile]:
    """The profiles that tell enough to be claimed about."""
    return [profile for profile in world.profiles if len(profile.fields) >= MIN_FIELDS]


def stated_facts(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Fact]:
    """Every fact about the claimable countries; its questions are claims with {x} left for the country."""
    profiles = claimable(world)
    claimed = {profile.name for profile in profiles}
    for fact in facts:
        if fact.family == "profile" and fact.entity in claimed and relations()[fact.relation].claims:
            relation, value = relations()[fact.relation], straight(fact.answers[0])
            slots = {"v": names_in_case(value) if relation.in_capitals else value}
            yield replace(fact, family="name", questions=relation.claims, gold=fact.gold[:1], slots=slots)
    for profile, relation, value, gold in quantities(world, profiles):
        if gold:
            claims = relation.all_claims
            yield Fact("number", relation.name, profile.name, claims, (value,), gold, {"v": value})
        elif value:
            dropped[f"{relation.name}: not in one passage"] += 1


def missing_fields(world: World) -> Iterator[tuple[str, str]]:
    """(country, relation) where the profile has no such field, nor anything else the answer could be read from."""
    claimed = [relation for relation in relations().values() if relation.all_claims]
    for profile in claimable(world):
        present = {path[: len(path) - cut] for path in profile.fields for cut in (0, 1)}
        implied = {"other_text"}
        if any(path[1].startswith("Legislative branch - ") for path in profile.fields):
            implied.add("chambers")
        if "landlocked" in profile.get("Geography", "Coastline"):
            implied.add("landlocked")
        for relation in claimed:
            if relation.path not in present and relation.implied_by not in implied:
                yield profile.name, relation.name


def balanced(stated: Pairs, missing: Pairs, limit: int, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Edge-disjoint cycles country -> relation it states -> country that does not state it -> …

    Each step is (country that states it, relation, country that does not). As the steps make up cycles, every country
    is as often a first as a third, and so has as many stated facts as missing fields.

    Args:
        stated: The relations that a country's profile states.
        missing: Those that it has no field for; disjoint from the stated ones.
        limit: Stop after the cycle that reaches this many steps.
        rng: Decides which cycles are found.
    """
    onward = {country: _shuffled(sorted(relations), rng) for country, relations in sorted(stated.items())}
    lacking: dict[str, list[str]] = {}
    for country in sorted(missing):
        for relation in sorted(missing[country]):
            lacking.setdefault(relation, []).append(country)
    lacking = {relation: _shuffled(countries, rng) for relation, countries in lacking.items()}
    steps: list[tuple[str, str, str]] = []
    for start in _shuffled(sorted(onward), rng):
        path: list[tuple[str, str, str]] = []
        here = start
        while len(steps) < limit:
            step = _step(here, onward, lacking)
            if step is None:
                # Nothing leads on from here, so no cycle runs through it: the step that led here is given up.
                if not path:
                    break
                here = path.pop()[0]
                continue
            path.append(step)
            here = step[2]
            closes = next((n for n, (country, _, _) in enumerate(path) if country == here), None)
            if closes is not None:
                steps += path[closes:]
                del path[closes:]
    return steps


def _step(
    country: str, onward: Mapping[str, list[str]], lacking: Mapping[str, list[str]]
) -> tuple[str, str, str] | None:
    relations = onward.get(country, [])
    while relations:
        relation = relations.pop()
        if lacking.get(relation):
            return country, relation, lacking[relation].pop()
    return None


def _shuffled(found: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [found[index] for index in rng.permutation(len(found))]


def deranged(items: Sequence[T], differ: Callable[[T, T], bool], rng: np.random.Generator) -> list[T] | None:
    """The items in an order in which each stands where one that differs from it stood; None where none is found."""
    order = [int(index) for index in rng.permutation(len(items))]
    for place in range(len(items)):
        if differ(items[place], items[order[place]]):
            continue
        swap = next(
            (
                other
                for other in range(len(items))
                if differ(items[place], items[order[other]]) and differ(items[other], items[order[place]])
            ),
            None,
        )
        if swap is None:
            return None
        order[place], order[swap] = order[swap], order[place]
    return [items[index] for index in order]


def spread(pairs: Iterable[tuple[str, str]], most: int, rng: np.random.Generator) -> dict[str, list[str]]:
    """Country -> relations of (country, relation) pairs, with at most `most` countries of a relation."""
    listed = sorted(pairs)
    times: dict[str, int] = {}
    kept: dict[str, list[str]] = {}
    for index in rng.permutation(len(listed)):
        country, relation = listed[index]
        times[relation] = times.get(relation, 0) + 1
        if times[relation] <= most:
            kept.setdefault(country, []).append(relation)
    return kept
