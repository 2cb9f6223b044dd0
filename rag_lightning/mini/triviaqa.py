"""Task data `mini-triviaqa`: longer questions as in a quiz; every name the corpus gives the subject is right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.mini.assign import Assignment
from rag_lightning.mini.clues import Clue, clues
from rag_lightning.mini.data import MiniData
from rag_lightning.mini.deal import Plan, deal
from rag_lightning.mini.definitions import aliases, stems
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.item import Item
from rag_lightning.mini.nq import gather_facts
from rag_lightning.mini.text import strip_parentheses, variants
from rag_lightning.mini.wiki import Lead, first_sentence
from rag_lightning.mini.world import World, read_world

PLAN = Plan("triviaqa", {"train": 7000, "dev": 450, "test": 900})

COUNTRY_CLUES = {
    "capital": "has {a} as its capital",
    "currency": "pays in {a}",
    "anthem": "sings {a} as its national anthem",
    "highest_point": "has {a} as its highest point",
    "symbol": "has the {a} as its national symbol",
    "internet_code": "owns the internet code {a}",
    "former_name": "was once called {a}",
    "independence_year": "became independent in {a}",
    "holiday_date": "celebrates its national day on {a}",
    "aircraft_prefix": "marks its aircraft with {a}",
}


def build_examples(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """Questions from statements of leads, from descriptions with a statement, and from two facts of a country.

    Args:
        passages: The corpus that `mini.corpus.build_passages` makes of the same files.
        wiki_json: `summaries_en-us.json` of the wiki asset.
        factbook_dir: The folder that holds the factbook asset's region folders.
        seed: Decides split, phrasing and order.

    Raises:
        DataError: a file that is missing or not what it should be.
    """
    dropped: Counter[str] = Counter()
    world = read_world(passages, wiki_json, factbook_dir)
    facts = gather_facts(world, Counter())
    items = [*statement_items(world, dropped), *country_items(world, facts)]
    items += description_items(facts)
    return deal(items, Assignment(facts, seed).split, seed, PLAN, dropped)


def statement_items(world: World, dropped: Counter[str]) -> Iterator[Item]:
    """ "Which Italian physicist invented the voltaic pile in 1799": one for every telling statement of a lead."""
    for lead in world.leads:
        names = names_of(lead)
        topic = lead.topic.lower().replace(" ", "_")
        found = 0
        for number, clue in enumerate(clues(lead)):
            rows = world.lead_rows(lead) & world.finder.holding([clue.sentence])
            # Later passages of a lead may say "he" throughout.
            rows &= world.finder.holding(names)
            if rows:
                gold = world.finder.ids(rows)
                forms = _forms(clue)
                yield Item("statement", f"statement/{topic}", lead.title, forms, names, gold, key=str(number))
                found += 1
        dropped["statement: the lead makes none that stands alone"] += not found


def _forms(clue: Clue) -> tuple[str, ...]:
    link = "whose" if clue.possessive else "that"
    which, named = clue.about(f"which {clue.kind}"), f"{clue.kind} {link} {clue.statement}"
    return which, f"name the {named}", f"we are looking for the {named}"


def names_of(lead: Lead) -> tuple[str, ...]:
    """The title and every name the first sentence gives beside it."""
    subject = first_sentence(lead.text).split(" is ")[0].split(" was ")[0]
    return variants(lead.title, *(aliases(subject, lead.title) if len(subject) <= 160 else ()))


def description_items(facts: Sequence[Fact]) -> Iterator[Item]:
    """Long descriptions that name a date, person or place; short ones are mini-nq's."""
    for fact in facts:
        if fact.family == "definition" and len(fact.slots["d"].split()) >= 10:
            d, was = fact.slots["d"], fact.slots["was"]
            who = "who" if fact.template_key == "definition/person" else "what"
            # Articles without a topic are of people as well.
            sought = "who or what is it" if fact.relation.endswith("uncategorized") else f"{who} is it"
            forms = (f"{who} {was} {d}", f"{d}: {sought}", f"we mean {d}: give the name")
            relation = fact.relation.replace("definition/", "description/")
            yield Item("description", relation, fact.entity, forms, fact.answers, fact.gold)


def country_items(world: World, facts: Sequence[Fact]) -> Iterator[Item]:
    """Two facts of a country, of which at least one is of no other country; the country is the answer."""
    known: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.family == "profile" and fact.relation in COUNTRY_CLUES:
            known[fact.entity].append(fact)
    shared = Counter(_told(fact) for found in known.values() for fact in found)
    for profile in world.profiles:
        names = country_names(profile)
        told = [fact for fact in known[profile.name] if not stems(" ".join(fact.answers)) & stems(" ".join(names))]
        for one, two in combinations(told, 2):
            if min(shared[_told(one)], shared[_told(two)]) == 1:
                yield _country_item(one, two, names)


def _told(fact: Fact) -> tuple[str, str]:
    return fact.relation, fact.answers[0].lower()


def country_names(profile: Profile) -> tuple[str, ...]:
    """Short and long form, with their variants."""
    long_form = profile.get("Government", "Country name", "conventional long form")
    return variants(profile.name, *([long_form] if long_form and ";" not in long_form else []))


def _country_item(one: Fact, two: Fact, names: tuple[str, ...]) -> Item:
    land = one.slots["land"]
    first, second = (COUNTRY_CLUES[fact.relation].format(a=strip_parentheses(fact.answers[0])) for fact in (one, two))
    forms = (
        f"which {land} {first} and {second}",
        f"name the {land} that {second} and {first}",
        f"{first} and {second}: which {land} is it",
    )
    gold = tuple(dict.fromkeys([one.gold[0], two.gold[0]]))
    return Item("country", f"country/{one.relation}", one.entity, forms, names, gold, key=two.relation)
