"""Task data `mini-curatedtrec`: questions for dates, numbers and measures; an answer is a regular expression."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.mini.assign import Assignment
from rag_lightning.mini.clues import statement_of
from rag_lightning.mini.data import MiniData
from rag_lightning.mini.deal import Plan, deal
from rag_lightning.mini.fact import Fact
from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.facts import title_as_typed
from rag_lightning.mini.item import Item
from rag_lightning.mini.nq import gather_facts
from rag_lightning.mini.patterns import FLAGS, date_pattern, number_pattern, year_pattern
from rag_lightning.mini.profiles import country_as_typed
from rag_lightning.mini.quantities import QUANTITIES, verb_of
from rag_lightning.mini.templates import TEMPLATES
from rag_lightning.mini.wiki import Lead, sentences
from rag_lightning.mini.world import World, read_world

PLAN = Plan("curatedtrec", {"train": 6000, "dev": 450, "test": 900}, first=("year", "date"))
_IN_YEAR = re.compile(
    r"^(?P<before>[^,;:\"\u201c\u201d]{12,120}?) in (?:(?P<month>[A-Z][a-z]+) )?(?P<year>1[0-9]{3}|20[0-2]\d)(?![\d–-])"
)
_POINTS_BACK = re.compile(
    r"\b(?:also|however|therefore|this|these|those|such|former|latter|both|they|them|their|above|another|then|which|who"
    r"|when|until|since|but|while)\b"
)
_OTHER_YEAR = re.compile(r"\b(?:1\d{3}|20[0-2]\d)\b")
_DAY = re.compile(r"^(?P<day>\d{1,2}) (?P<month>[A-Z][a-z]+)")
_DATED = ("independence_year", "founded", "released", "atomic_number")


def build_examples(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path, seed: int = 0) -> MiniData:
    """Numbers of country profiles, dates, and years of what leads tell; every pattern matches its first gold passage.

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
    items = [item for profile in world.profiles for item in quantity_items(world, profile, dropped)]
    items += [*dated_items(facts), *year_items(world)]
    text = {passage.passage_id: passage.text for passage in passages}
    matching = [item for item in items if re.search(item.answers[0], text[item.gold[0]], FLAGS)]
    dropped["the pattern does not match the passage"] += len(items) - len(matching)
    return deal(matching, Assignment(facts, seed).split, seed, PLAN, dropped)


def quantity_items(world: World, profile: Profile, dropped: Counter[str]) -> Iterator[Item]:
    """ "what is the mean elevation of chad" for every number of the profile."""
    x, own = country_as_typed(profile), world.country_rows(profile)
    for relation, quantity in QUANTITIES.items():
        value = quantity.read(profile)
        rows = own & world.finder.holding([f"{quantity.label}:"]) & world.finder.holding([value]) if value else None
        if not value or not rows:
            dropped[f"{relation}: {'not in one passage' if value else 'missing, or not one number'}"] += 1
            continue
        forms = tuple(_asked(phrase.format(x=x)) for phrase in quantity.phrases)
        yield Item(
            "number", relation, profile.name, forms, (number_pattern(value),), world.finder.ids(rows), targets=(value,)
        )


def _asked(phrase: str) -> str:
    return phrase if phrase.startswith(("how ", "what ")) else f"what {verb_of(phrase)} {phrase}"


def dated_items(facts: Sequence[Fact]) -> Iterator[Item]:
    """Years, days and numbers that are facts of mini-nq already, here with a pattern as the answer."""
    for fact in facts:
        answer = fact.answers[0]
        day = _DAY.match(fact.answers[-1])
        if fact.relation == "holiday_date" and _DAY.match(answer):
            pattern = date_pattern(*answer.split())
        elif fact.relation in _DATED:
            pattern = (
                year_pattern(answer, *(day.groups() if day else ())) if len(answer) == 4 else number_pattern(answer)
            )
        else:
            continue
        forms = tuple(form.format(**fact.slots) for form in TEMPLATES[fact.relation])
        yield Item("date", fact.relation, fact.entity, forms, (pattern,), fact.gold, targets=(answer,))


def year_items(world: World) -> Iterator[Item]:
    """ "dynamite was patented in what year": the only year of a statement about a lead's subject."""
    for lead in world.leads:
        title = title_as_typed(lead)
        for number, sentence in enumerate(sentences(lead.text)[:5] if title else []):
            found = statement_of(sentence, lead)
            match = _IN_YEAR.match(found[1]) if found else None
            if (
                not found
                or not match
                or len(_OTHER_YEAR.findall(sentence)) != 1
                or _POINTS_BACK.search(match["before"])
            ):
                continue
            rows = world.lead_rows(lead) & world.finder.holding([sentence])
            if rows:
                said = " ".join([f"{title}'s" if found[0] else str(title), match["before"]])
                pattern = year_pattern(match["year"], "", match["month"] or "")
                yield _year_item(lead, said, pattern, match["year"], world.finder.ids(rows), number)


def _year_item(lead: Lead, said: str, pattern: str, year: str, gold: tuple[str, ...], number: int) -> Item:
    forms = (f"{said} in what year", f"what year was it when {said}", f"when was it that {said}")
    topic = lead.topic.lower().replace(" ", "_")
    return Item("year", f"year/{topic}", lead.title, forms, (pattern,), gold, targets=(year,), key=str(number))
