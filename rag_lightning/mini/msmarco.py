"""Task data `mini-msmarco`: a query as typed, answered by a full, well-formed sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.mini.assign import Assignment
from rag_lightning.mini.data import MiniData
from rag_lightning.mini.deal import Plan, deal
from rag_lightning.mini.definitions import stems
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.facts import title_as_typed
from rag_lightning.mini.item import Item
from rag_lightning.mini.nq import gather_facts
from rag_lightning.mini.profiles import country_as_typed
from rag_lightning.mini.sentence_forms import DESCRIBED, SENTENCES, capitalised, in_case
from rag_lightning.mini.templates import TEMPLATES
from rag_lightning.mini.text import straight, strip_parentheses
from rag_lightning.mini.wiki import Lead, first_sentence
from rag_lightning.mini.world import World, read_world

PLAN = Plan("msmarco", {"train": 7000, "dev": 450, "test": 900})
MIN_WORDS, MAX_WORDS = 6, 40
_BROKEN = re.compile(r"\s[,;]|,,|\(|\)|[^\w.'\"”\u2019%]$")


def build_examples(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """ "what is a morpheme" with the lead's first sentence, "capital of chad" with a sentence that says it.

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
    items = [*described_items(world, dropped), *fact_items(world, facts)]
    return deal(items, Assignment(facts, seed).split, seed, PLAN, dropped)


def described_items(world: World, dropped: Counter[str]) -> Iterator[Item]:
    """A question for every lead whose first sentence says what its subject is."""
    for lead in world.leads:
        found = described(lead)
        rows = world.lead_rows(lead) & world.finder.holding([first_sentence(lead.text)]) if found else None
        asked = title_as_typed(lead)
        if not found or not rows or not asked:
            dropped["description: the first sentence does not say what its subject is, or is broken"] += 1
            continue
        topic = lead.topic.lower().replace(" ", "_")
        kind = "person" if lead.topic == "People" else "thing"
        forms = tuple(form.format(x=asked, was=found[1]) for form in DESCRIBED[kind])
        yield Item("description", f"description/{topic}", lead.title, forms, (found[0],), world.finder.ids(rows))


def described(lead: Lead) -> tuple[str, str] | None:
    """(the first sentence without brackets, its verb) where it is "Title is/was …", 6 to 40 words and whole."""
    sentence = " ".join(straight(strip_parentheses(first_sentence(lead.text))).split())
    match = re.match(r"^(?P<subject>.{2,160}?),? (?P<verb>is|was|are|were) (?:a|an|the|any|one) ", sentence)
    if not match or not stems(lead.title) & stems(match["subject"]) or _BROKEN.search(sentence):
        return None
    return (f"{sentence.rstrip('.')}.", match["verb"]) if MIN_WORDS <= len(sentence.split()) <= MAX_WORDS else None


def fact_items(world: World, facts: Sequence[Fact]) -> Iterator[Item]:
    """A full sentence for every fact that has a form of its own."""
    named = {profile.name: in_case(profile.name, country_as_typed(profile)) for profile in world.profiles}
    for fact in facts:
        form = SENTENCES.get(fact.relation)
        if form:
            name = named.get(fact.entity) if fact.family == "profile" else straight(strip_parentheses(fact.entity))
            name = fact.slots["x"] if fact.relation in ("element_symbol", "atomic_number") else name
            office = " ".join(word.capitalize() for word in fact.slots.get("office", "").split())
            answer = capitalised(straight(fact.answers[0]), fact.relation)
            article = "an" if answer[0] in "AEIOU" else "a"
            text = form.format(x=name, a=answer, office=office, article=article)
            forms = tuple(template.format(**fact.slots) for template in TEMPLATES[fact.template_key])
            yield Item("fact", fact.relation, fact.entity, forms, (text[0].upper() + text[1:],), fact.gold)
