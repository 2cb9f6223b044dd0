"""Task data `mini-jeopardy`: a name is given, a clue that does not name it is to be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.mini.assign import Assignment
from rag_lightning.mini.clues import clues, name_stems
from rag_lightning.mini.data import MiniData
from rag_lightning.mini.deal import Plan, deal
from rag_lightning.mini.definitions import stems
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.item import Item
from rag_lightning.mini.nq import gather_facts
from rag_lightning.mini.text import straight, strip_parentheses
from rag_lightning.mini.wiki import Lead
from rag_lightning.mini.world import World, read_world

PLAN = Plan("jeopardy", {"train": 6000, "dev": 450, "test": 900}, spelt=lambda query: query)


def build_examples(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """One clue for every article that says something telling about its subject.

    Args:
        passages: The corpus that `mini.corpus.build_passages` makes of the same files.
        wiki_json: `summaries_en-us.json` of the wiki asset.
        factbook_dir: The folder that holds the factbook asset's region folders.
        seed: Decides split and order.

    Raises:
        DataError: a file that is missing or not what it should be.
    """
    dropped: Counter[str] = Counter()
    world = read_world(passages, wiki_json, factbook_dir)
    facts = gather_facts(world, Counter())
    items = clue_items(world, {fact.entity: fact for fact in facts if fact.family == "definition"}, dropped)
    return deal(items, Assignment(facts, seed).split, seed, PLAN, dropped)


def clue_items(world: World, definitions: Mapping[str, Fact], dropped: Counter[str]) -> Iterator[Item]:
    """A statement with "this …" in place of the name where there is one, else the lead's description."""
    for lead in world.leads:
        found = _stated(world, lead) or _described(lead, definitions.get(lead.title))
        if not found:
            dropped["no statement or description that stands alone"] += 1
            continue
        family, clue, gold = found
        if name_stems(lead) & stems(clue):
            dropped["the clue names the entity"] += 1
            continue
        topic = lead.topic.lower().replace(" ", "_")
        name = straight(strip_parentheses(lead.title))
        yield Item(family, f"{family}/{topic}", lead.title, (name,), (clue,), gold)


def _stated(world: World, lead: Lead) -> tuple[str, str, tuple[str, ...]] | None:
    for clue in clues(lead):
        rows = world.lead_rows(lead) & world.finder.holding([clue.sentence])
        if rows:
            return "statement", straight(clue.about(f"This {clue.kind}")), world.finder.ids(rows)
    return None


def _described(lead: Lead, fact: Fact | None) -> tuple[str, str, tuple[str, ...]] | None:
    text = fact.slots["d"] if fact else ""
    # "a measure of its opposition": of something that only the sentence's subject names
    if not fact or "its" in text.split()[:5]:
        return None
    return "description", straight(text[0].upper() + text[1:]), fact.gold
