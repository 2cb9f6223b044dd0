"""Task data `mini-nq`: questions, answers and gold passages made from the text of the corpus `mini`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.core.records import Example, Passage
from rag_lightning.core.seeds import generator
from rag_lightning.mini.ask import ask
from rag_lightning.mini.definitions import DefinitionMaker
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.factbook import Profile, load_profiles
from rag_lightning.mini.facts import lead_facts, title_as_typed
from rag_lightning.mini.gold import GoldFinder
from rag_lightning.mini.profiles import country_as_typed, profile_facts
from rag_lightning.mini.split import cap, leave_out_lopsided, split_facts
from rag_lightning.mini.text import strip_parentheses
from rag_lightning.mini.twohop import two_hop_facts
from rag_lightning.mini.wiki import Lead, load_leads

TWO_HOP_COUNT = 210


@dataclass(frozen=True)
class MiniNQ:
    """The three splits, why candidates were dropped (reason -> count), and counts of what is left."""

    splits: Mapping[str, tuple[Example, ...]]
    dropped: Mapping[str, int]
    counts: Mapping[str, int]


def build_examples(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniNQ:
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
    finder = GoldFinder(passages)
    leads, profiles = load_leads(wiki_json), load_profiles(factbook_dir)
    facts = [*DefinitionMaker(finder, dropped).facts(leads)]
    facts += _profile_facts(profiles, finder, dropped)
    facts += _lead_facts(leads, finder, dropped)
    facts = leave_out_lopsided(facts, dropped)
    parts = split_facts(facts, generator(seed, "mini-nq/split"), dropped)
    profile = [fact for fact in facts if fact.family == "profile"]
    in_test = [fact for fact in parts["test"] if fact.family == "profile"]
    hops = two_hop_facts(in_test, profile, TWO_HOP_COUNT, generator(seed, "mini-nq/two-hop"))
    parts["test"] = cap([*parts["test"], *hops], dropped)
    splits = {name: ask(name, part, generator(seed, f"mini-nq/{name}"), dropped) for name, part in parts.items()}
    return MiniNQ(splits, dict(sorted(dropped.items())), _counts(splits))


def _profile_facts(profiles: Iterable[Profile], finder: GoldFinder, dropped: Counter[str]) -> list[Fact]:
    facts = []
    for profile in profiles:
        if profile.code in ("xx", "ee"):
            continue
        prefix = f"factbook/{profile.code}#"
        own = {row for row, passage in enumerate(finder.passages) if passage.passage_id.startswith(prefix)}
        named = finder.holding([profile.name], title_too=True) | own
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


def _lead_facts(leads: Iterable[Lead], finder: GoldFinder, dropped: Counter[str]) -> list[Fact]:
    rows: dict[str, set[int]] = {}
    for row, passage in enumerate(finder.passages):
        rows.setdefault(passage.title, set()).add(row)
    facts = []
    for lead in leads:
        asked = title_as_typed(lead)
        for relation, answers in lead_facts(lead):
            if asked is None:
                dropped[f"{relation}: the title alone would mean something else"] += 1
                continue
            own = rows.get(lead.title, set()) & finder.holding(answers[:1])
            if not own or asked in {answer.lower() for answer in answers}:
                dropped[f"{relation}: the answer does not stand in a passage, or is the title"] += 1
                continue
            named = finder.holding([lead.title, strip_parentheses(lead.title)], title_too=True) | own
            gold = finder.ids(named & finder.holding(answers), own)
            facts.append(Fact("lead_fact", relation, lead.title, {"x": asked}, answers, gold))
    return facts


def _counts(splits: Mapping[str, Sequence[Example]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, examples in splits.items():
        counts[name] = len(examples)
        counts[f"{name}/entities"] = len({example.entity for example in examples})
        counts.update(f"{name}/{example.tags['family']}" for example in examples)
    return dict(sorted(counts.items()))
