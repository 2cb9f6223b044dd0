"""Task data `mini-msmarco`: a query as typed, answered by a full, well-formed sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MiniData, Plan, deal
from rag_lightning.mini.facts import Fact, filled
from rag_lightning.mini.relations import relations
from rag_lightning.mini.sources import Lead
from rag_lightning.mini.text import names_in_case, sentence_case, stems, straight, strip_parentheses

PLAN = Plan("msmarco", {"train": 7000, "dev": 450, "test": 900, "test2": 900})
MIN_WORDS, MAX_WORDS = 6, 40
DESCRIPTION_QUESTIONS = {
    "person": ("who {was} {x}", "{x} biography", "what do we know of {x}"),
    "thing": ("what {was} {x}", "{x} definition", "define {x}", "explain {x}"),
}
_BROKEN = re.compile(r"\s[,;]|,,|\(|\)|[^\w.'\"”\u2019%]$")


def build(world: World, seed: int) -> MiniData:
    """ "what is a morpheme" with the lead's first sentence, "capital of chad" with a sentence that says it."""
    return deal(PLAN, _facts, world, seed)


def _facts(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Fact]:
    yield from described_facts(world, dropped)
    countries = {profile.name: profile.in_sentence for profile in world.profiles}
    for fact in facts:
        if fact.family != "definition" and relations()[fact.relation].sentence:
            yield replace(fact, family="fact", answers=(stated(fact, countries),))


def described_facts(world: World, dropped: Counter[str]) -> Iterator[Fact]:
    """A question for every lead whose first sentence says what its subject is."""
    for lead in world.leads:
        found = described(lead)
        rows = world.lead_rows(lead) & world.finder.holding(lead.sentences[:1]) if found else None
        if not found or not rows or not lead.typed:
            dropped["description: the first sentence does not say what its subject is, or is broken"] += 1
            continue
        kind = "person" if lead.topic == "People" else "thing"
        asked = filled(DESCRIPTION_QUESTIONS[kind], {"x": lead.typed, "was": found[1]})
        gold = world.finder.ids(rows)
        yield Fact("description", f"description/{lead.topic_tag}", lead.title, asked, found[:1], gold)


def described(lead: Lead) -> tuple[str, str] | None:
    """(the first sentence without brackets, its verb) where it is "Title is/was …", 6 to 40 words and whole."""
    sentence = " ".join(straight(lead.opening).split())
    match = re.match(r"^(?P<subject>.{2,160}?),? (?P<verb>is|was|are|were) (?:a|an|the|any|one) ", sentence)
    if not match or not stems(lead.title) & stems(match["subject"]) or _BROKEN.search(sentence):
        return None
    return (f"{sentence.rstrip('.')}.", match["verb"]) if MIN_WORDS <= len(sentence.split()) <= MAX_WORDS else None


def stated(fact: Fact, countries: Mapping[str, str]) -> str:
    """The fact as a full sentence.

    Args:
        countries: Country -> its name inside a sentence.
    """
    relation = relations()[fact.relation]
    name = countries[fact.entity] if fact.family == "profile" else straight(strip_parentheses(fact.entity))
    office = " ".join(word.capitalize() for word in fact.slots.get("office", "").split())
    answer = straight(fact.answers[0])
    answer = names_in_case(answer) if relation.in_capitals else answer
    return sentence_case(
        relation.sentence.format(
            x=fact.slots["x"] if relation.lower_case else name,
            a=answer,
            office=office,
            article="an" if answer[0] in "AEIOU" else "a",
        )
    )
