"""Task data `mini-nq`: questions, answers and gold passages made from the text of the corpus `mini`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.core.seeds import generator
from rag_lightning.mini.ask import ask
from rag_lightning.mini.data import MiniData, count_examples
from rag_lightning.mini.definitions import DefinitionMaker
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.facts import lead_facts, title_as_typed
from rag_lightning.mini.profiles import country_as_typed, profile_facts
from rag_lightning.mini.split import cap, leave_out_lopsided, split_facts
from rag_lightning.mini.twohop import SEEN_BRIDGES, two_hop_facts
from rag_lightning.mini.world import World, read_world

TWO_HOP_COUNT = 210
TWO_HOP_COUNTS = {"train": 1000, "dev": 60}
"""Two-hop questions of the splits beside test, over their own countries."""


def build_examples(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """Make train, dev and test; entities, and so articles and countries, are in one split only.

    Args:
        passages: The corpus that `mini.corpus.build_passages` makes of the same files.
        wiki_json: `summaries_en-us.json` of the wiki asset.
        factbook_dir: The folder that holds the factbook asset's region folders.
        seed: Decides split, phrasing and order.

    Raises:
        DataError: a file that is missing or not what it should be.
    """
    dropped: Counter[str] = Counter()
    facts = leave_out_lopsided(gather_facts(read_world(passages, wiki_json, factbook_dir), dropped), dropped)
    parts = nq_parts(facts, seed, dropped)
    profile = [fact for fact in facts if fact.family == "profile"]
    in_test = [fact for fact in parts["test"] if fact.family == "profile"]
    hops = two_hop_facts(in_test, profile, TWO_HOP_COUNT, generator(seed, "mini-nq/two-hop"))
    parts["test"] = cap([*parts["test"], *hops], dropped)
    for split, count in TWO_HOP_COUNTS.items():
        known = [fact for fact in parts[split] if fact.family == "profile"]
        parts[split] += two_hop_facts(known, profile, count, generator(seed, f"mini-nq/two-hop/{split}"), SEEN_BRIDGES)
    splits = {name: ask(name, part, generator(seed, f"mini-nq/{name}"), dropped) for name, part in parts.items()}
    return MiniData(splits, dict(sorted(dropped.items())), count_examples(splits))


def nq_parts(facts: Sequence[Fact], seed: int, dropped: Counter[str]) -> dict[str, list[Fact]]:
    """Which of the facts (none lopsided) `mini-nq` of this seed has in train, dev and test."""
    return split_facts(facts, generator(seed, "mini-nq/split"), dropped)


def gather_facts(world: World, dropped: Counter[str]) -> list[Fact]:
    """Every definition, profile and lead fact of the corpus."""
    facts = [*DefinitionMaker(world.finder, dropped).facts(world.leads)]
    facts += _profile_facts(world, dropped)
    return [*facts, *_lead_facts(world, dropped)]


def _profile_facts(world: World, dropped: Counter[str]) -> list[Fact]:
    facts, finder = [], world.finder
    for profile in world.profiles:
        own, named = world.country_rows(profile), world.naming_country(profile)
        land = "territory" if profile.get("Government", "Dependency status") else "country"
        slots = {"x": country_as_typed(profile), "land": land}
        for relation, label, (answers, extra) in profile_facts(profile):
            source = own & finder.holding([f"{label}:"]) & finder.holding(answers[:1])
            if not source:
                dropped[f"{relation}: the answer does not stand in a passage"] += 1
                continue
            gold = finder.ids(named & finder.holding(answers), source)
            facts.append(Fact("profile", relation, profile.name, {**slots, **extra}, answers, gold))
    return facts


def _lead_facts(world: World, dropped: Counter[str]) -> list[Fact]:
    facts, finder = [], world.finder
    for lead in world.leads:
        asked = title_as_typed(lead)
        for relation, answers in lead_facts(lead):
            if asked is None:
                dropped[f"{relation}: the title alone would mean something else"] += 1
                continue
            own = world.lead_rows(lead) & finder.holding(answers[:1])
            if not own or asked in {answer.lower() for answer in answers}:
                dropped[f"{relation}: the answer does not stand in a passage, or is the title"] += 1
                continue
            gold = finder.ids(world.naming_lead(lead) & finder.holding(answers), own)
            facts.append(Fact("lead_fact", relation, lead.title, {"x": asked}, answers, gold))
    return facts
