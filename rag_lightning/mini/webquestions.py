"""Task data `mini-webquestions`: short questions about countries whose answers are names, often several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MiniData, Plan, deal
from rag_lightning.mini.facts import MALFORMED, Fact, filled
from rag_lightning.mini.relations import relations
from rag_lightning.mini.text import variants, well_formed

PLAN = Plan("webquestions", {"train": 6000, "dev": 450, "test": 900, "test2": 900}, per_fact={"list": 2, "single": 2})


def build(world: World, seed: int) -> MiniData:
    """Questions about the lists of a profile (languages, neighbours, exports …) and about single names."""
    return deal(PLAN, _facts, world, seed)


def _facts(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Fact]:
    yield from list_facts(world, dropped)
    for fact in facts:
        if fact.family != "definition" and (forms := relations()[fact.relation].web_questions):
            yield replace(fact, family="single", questions=filled(forms, fact.slots))


def list_facts(world: World, dropped: Counter[str]) -> Iterator[Fact]:
    """A question for every field that lists names; any one of them is right."""
    for profile in world.profiles:
        for relation in relations().values():
            if not relation.list_reader:
                continue
            names = relation.names(profile)
            field = world.field_rows(profile, relation.label)
            source = field & world.finder.holding(names[:1])
            if not source:
                dropped[f"{relation.name}: {'not in one passage' if names else 'missing, or not a plain list'}"] += 1
                continue
            gold = world.finder.ids(field & world.finder.holding(names), source)
            asked = filled(relation.list_questions, {"x": profile.typed})
            answers = variants(names[0], *names[1:])
            fault = "" if well_formed(names[0]) else MALFORMED
            yield Fact("list", relation.name, profile.name, asked, answers, gold, fault=fault)
