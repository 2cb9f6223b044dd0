"""Task data `mini-triviaqa`: longer questions as in a quiz; every name the corpus gives the subject is right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MiniData, Plan, deal
from rag_lightning.mini.facts import Fact
from rag_lightning.mini.leads import Clue, aliases, clues
from rag_lightning.mini.relations import relations
from rag_lightning.mini.sources import Lead, Profile
from rag_lightning.mini.text import COUNTRY_FORMS, stems, strip_parentheses, variants

PLAN = Plan("triviaqa", {"train": 7000, "dev": 450, "test": 900, "test2": 900})


def build(world: World, seed: int) -> MiniData:
    """Questions from statements of leads, from descriptions with a statement, and from two facts of a country."""
    return deal(PLAN, _facts, world, seed)


def _facts(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Fact]:
    yield from statement_facts(world, dropped)
    yield from country_facts(world, facts)
    yield from description_facts(facts)


def statement_facts(world: World, dropped: Counter[str]) -> Iterator[Fact]:
    """ "Which Italian physicist invented the voltaic pile in 1799": one for every telling statement of a lead."""
    for lead in world.leads:
        names = names_of(lead)
        found = 0
        for number, clue in enumerate(clues(lead)):
            rows = world.lead_rows(lead) & world.finder.holding([clue.sentence])
            # Later passages of a lead may say "he" throughout.
            rows &= world.finder.holding(names)
            if rows:
                relation, gold = f"statement/{lead.topic_tag}", world.finder.ids(rows)
                yield Fact("statement", relation, lead.title, _questions(clue), names, gold, key=str(number))
                found += 1
        dropped["statement: the lead makes none that stands alone"] += not found


def _questions(clue: Clue) -> tuple[str, ...]:
    link = "whose" if clue.possessive else "that"
    which, named = clue.about(f"which {clue.kind}"), f"{clue.kind} {link} {clue.statement}"
    return which, f"name the {named}", f"we are looking for the {named}"


def names_of(lead: Lead) -> tuple[str, ...]:
    """The title and every name the first sentence gives beside it."""
    subject = "".join(lead.sentences[:1]).split(" is ")[0].split(" was ")[0]
    return variants(lead.title, *(aliases(subject, lead.title) if len(subject) <= 160 else ()))


def description_facts(facts: Sequence[Fact]) -> Iterator[Fact]:
    """Long descriptions that name a date, person or place; short ones are mini-nq's."""
    for fact in facts:
        if fact.family == "definition" and len(fact.slots["d"].split()) >= 10:
            d, was = fact.slots["d"], fact.slots["was"]
            who = "who" if fact.slots["kind"] == "person" else "what"
            # Articles without a topic are of people as well.
            sought = "who or what is it" if fact.relation.endswith("uncategorized") else f"{who} is it"
            asked = (f"{who} {was} {d}", f"{d}: {sought}", f"we mean {d}: give the name")
            relation = fact.relation.replace("definition/", "description/")
            yield replace(fact, family="description", relation=relation, questions=asked)


def country_facts(world: World, facts: Sequence[Fact]) -> Iterator[Fact]:
    """Two facts of a country, of which at least one is of no other country; the country is the answer."""
    known: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.family == "profile" and relations()[fact.relation].clue:
            known[fact.entity].append(fact)
    shared = Counter(_answer(fact) for found in known.values() for fact in found)
    for profile in world.profiles:
        names = country_names(profile)
        accepted = (*names, *COUNTRY_FORMS.get(profile.name, ()))
        usable = [fact for fact in known[profile.name] if not stems(" ".join(fact.answers)) & stems(" ".join(names))]
        for one, two in combinations(usable, 2):
            if min(shared[_answer(one)], shared[_answer(two)]) == 1:
                yield _country_fact(one, two, accepted)


def _answer(fact: Fact) -> tuple[str, str]:
    return fact.relation, fact.answers[0].lower()


def country_names(profile: Profile) -> tuple[str, ...]:
    """Short and long form, with their variants."""
    long_form = profile.get("Government", "Country name", "conventional long form")
    return variants(profile.name, *([long_form] if long_form and ";" not in long_form else []))


def _country_fact(one: Fact, two: Fact, names: tuple[str, ...]) -> Fact:
    land = one.slots["land"]
    first, second = (
        relations()[fact.relation].clue.format(a=strip_parentheses(fact.answers[0])) for fact in (one, two)
    )
    asked = (
        f"which {land} {first} and {second}",
        f"name the {land} that {second} and {first}",
        f"{first} and {second}: which {land} is it",
    )
    gold = tuple(dict.fromkeys([one.gold[0], two.gold[0]]))
    relation, fault = f"country/{one.relation}", one.fault or two.fault
    return Fact("country", relation, one.entity, asked, names, gold, key=two.relation, fault=fault)
