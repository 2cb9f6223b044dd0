"""Task data `mini-webquestions`: short questions about countries whose answers are names, often several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.mini.assign import Assignment
from rag_lightning.mini.data import MiniData
from rag_lightning.mini.deal import Plan, deal
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.item import Item
from rag_lightning.mini.nq import gather_facts
from rag_lightning.mini.profiles import country_as_typed
from rag_lightning.mini.text import variants
from rag_lightning.mini.webquestion_forms import LIST_RELATIONS, SINGLE_RELATIONS
from rag_lightning.mini.world import World, read_world

PLAN = Plan("webquestions", {"train": 6000, "dev": 450, "test": 900}, per_item=2)


def build_examples(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """Questions about the lists of a profile (languages, neighbours, exports …) and names from leads.

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
    items = [item for profile in world.profiles for item in list_items(world, profile, dropped)]
    items += single_items(facts)
    return deal(items, Assignment(facts, seed).split, seed, PLAN, dropped)


def list_items(world: World, profile: Profile, dropped: Counter[str]) -> Iterator[Item]:
    """A question for every field that lists names; any one of them is right."""
    own, x = world.country_rows(profile), country_as_typed(profile)
    for relation, (label, read, forms) in LIST_RELATIONS.items():
        names = read(profile)
        source = own & world.finder.holding([f"{label}:"]) & world.finder.holding(names[:1]) if names else None
        if not source:
            dropped[f"{relation}: {'not in one passage' if names else 'missing, or not a plain list'}"] += 1
            continue
        gold = own & world.finder.holding([f"{label}:"]) & world.finder.holding(names)
        answers = variants(names[0], *names[1:])
        asked = tuple(form.format(x=x) for form in forms)
        yield Item("list", relation, profile.name, asked, answers, world.finder.ids(gold, source))


def single_items(facts: Sequence[Fact]) -> Iterator[Item]:
    """Questions with one answer, in this task's own words."""
    for fact in facts:
        forms = SINGLE_RELATIONS.get(fact.relation)
        if forms:
            asked = tuple(form.format(**fact.slots) for form in forms)
            yield Item("single", fact.relation, fact.entity, asked, fact.answers, fact.gold)
