"""Task data `mini-jeopardy`: a name is given, a clue that does not name it is to be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MiniData, Plan, deal
from rag_lightning.mini.facts import Fact
from rag_lightning.mini.leads import clues, name_stems
from rag_lightning.mini.sources import Lead
from rag_lightning.mini.text import sentence_case, stems, straight

PLAN = Plan("jeopardy", {"train": 6000, "dev": 450, "test": 900, "test2": 900}, spelt=lambda query: query)


def build(world: World, seed: int) -> MiniData:
    """One clue for every article that says something telling about its subject."""
    return deal(PLAN, _facts, world, seed)


def _facts(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Fact]:
    """A statement with "this …" in place of the name where there is one, else the lead's description."""
    definitions = {fact.entity: fact for fact in facts if fact.family == "definition"}
    for lead in world.leads:
        found = _stated(world, lead) or _described(definitions.get(lead.title))
        if not found:
            dropped["no statement or description that stands alone"] += 1
            continue
        family, clue, gold, fault = found
        if name_stems(lead) & stems(clue):
            dropped["the clue names the entity"] += 1
            continue
        yield Fact(family, f"{family}/{lead.topic_tag}", lead.title, (lead.name,), (clue,), gold, fault=fault)


def _stated(world: World, lead: Lead) -> tuple[str, str, tuple[str, ...], str] | None:
    for clue in clues(lead):
        rows = world.lead_rows(lead) & world.finder.holding([clue.sentence])
        if rows:
            return "statement", straight(clue.about(f"This {clue.kind}")), world.finder.ids(rows), ""
    return None


def _described(definition: Fact | None) -> tuple[str, str, tuple[str, ...], str] | None:
    text = definition.slots["d"] if definition else ""
    # "a measure of its opposition": of something that only the sentence's subject names
    if not definition or "its" in text.split()[:5]:
        return None
    return "description", straight(sentence_case(text)), definition.gold, definition.fault
