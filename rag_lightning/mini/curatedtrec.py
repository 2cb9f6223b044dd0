"""Task data `mini-curatedtrec`: questions for dates, numbers and measures; an answer is a regular expression."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rag_lightning.mini.corpus import World
from rag_lightning.mini.deal import MiniData, Plan, deal
from rag_lightning.mini.facts import Fact, quantities
from rag_lightning.mini.leads import statement_of
from rag_lightning.mini.lists import verb_of
from rag_lightning.mini.relations import relations
from rag_lightning.mini.sources import Lead

PLAN = Plan("curatedtrec", {"train": 6000, "dev": 450, "test": 900, "test2": 900}, first=("year", "date"))
FLAGS = re.IGNORECASE | re.UNICODE | re.MULTILINE
"""The flags the answers are compiled with, here and by the metric (DrQA's rule)."""

_UNITS = {
    "%": r"(?:\s?%|\s*per\s?cent|\s*percent)",
    "sq km": r"\s*(?:sq\.?\s*km|square\s+kilomet(?:er|re)s?|km2)",
    "km": r"\s*(?:km|kilomet(?:er|re)s?)",
    "m": r"\s*(?:m|met(?:er|re)s?)",
    "year": r"\s*years?",
    "years": r"\s*years?",
    "metric tons": r"\s*(?:metric\s+tons?|tonnes?)",
    "cubic meters": r"\s*(?:cubic\s+met(?:er|re)s?|m3)",
    "barrels": r"\s*(?:barrels?|bbl)",
    "kWh": r"\s*kWh",
    "kW": r"\s*kW",
    "bbl/day": r"\s*(?:bbl/day|barrels(?:\s+(?:a|per)\s+day)?)",
}
_NUMBER = re.compile(
    r"^(?P<sign>[-−]?)(?P<dollar>\$?)(?P<number>\d[\d,]*(?:\.\d+)?)(?: (?P<scale>[mbt]r?illion))?(?P<unit>.*)$"
)
_IN_YEAR = re.compile(
    r"^(?P<before>[^,;:\"\u201c\u201d]{12,120}?) in (?:(?P<month>[A-Z][a-z]+) )?(?P<year>1[0-9]{3}|20[0-2]\d)(?![\d–-])"
)
_POINTS_BACK = re.compile(
    r"\b(?:also|however|therefore|this|these|those|such|former|latter|both|they|them|their|above|another|then|which|who"
    r"|when|until|since|but|while)\b"
)
_OTHER_YEAR = re.compile(r"\b(?:1\d{3}|20[0-2]\d)\b")
_DAY = re.compile(r"^(?P<day>\d{1,2}) (?P<month>[A-Z][a-z]+)")


def build(world: World, seed: int) -> MiniData:
    """Numbers of country profiles, dates, and years that leads tell; every pattern matches its first gold passage."""
    return deal(PLAN, _facts, world, seed)


def _facts(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Fact]:
    text = {passage.passage_id: passage.text for passage in world.finder.passages}
    for fact in (*quantity_facts(world, dropped), *dated_facts(facts), *year_facts(world)):
        if re.search(fact.answers[0], text[fact.gold[0]], FLAGS):
            yield fact
        else:
            dropped["the pattern does not match the passage"] += 1


def quantity_facts(world: World, dropped: Counter[str]) -> Iterator[Fact]:
    """ "what is the mean elevation of chad" for every number of the profiles."""
    for profile, relation, value, gold in quantities(world, world.profiles):
        if not gold:
            dropped[f"{relation.name}: {'not in one passage' if value else 'missing, or not one number'}"] += 1
            continue
        asked = tuple(_asked(phrase.format(x=profile.typed)) for phrase in relation.phrases)
        yield Fact("number", relation.name, profile.name, asked, (number_pattern(value),), gold, targets=(value,))


def _asked(phrase: str) -> str:
    return phrase if phrase.startswith(("how ", "what ")) else f"what {verb_of(phrase)} {phrase}"


def dated_facts(facts: Sequence[Fact]) -> Iterator[Fact]:
    """Years, days and numbers that are facts of mini-nq already, here with a pattern as the answer."""
    for fact in facts:
        if fact.family != "definition" and relations()[fact.relation].as_pattern:
            yield replace(fact, family="date", answers=(_pattern(fact),), targets=fact.answers[:1])


def _pattern(fact: Fact) -> str:
    answer = fact.answers[0]
    if _DAY.match(answer):
        return date_pattern(*answer.split())
    day = _DAY.match(fact.answers[-1])
    return year_pattern(answer, *(day.groups() if day else ())) if len(answer) == 4 else number_pattern(answer)


def year_facts(world: World) -> Iterator[Fact]:
    """ "dynamite was patented in what year": the only year of a statement about a lead's subject."""
    for lead in world.leads:
        for number, sentence in enumerate(lead.sentences[:5] if lead.typed else []):
            found = statement_of(sentence, lead)
            match = _IN_YEAR.match(found[1]) if found else None
            if not found or not match or len(_OTHER_YEAR.findall(sentence)) != 1:
                continue
            rows = world.lead_rows(lead) & world.finder.holding([sentence])
            if rows and not _POINTS_BACK.search(match["before"]):
                statement = " ".join([f"{lead.typed}'s" if found[0] else str(lead.typed), match["before"]])
                yield _year_fact(lead, statement, match, world.finder.ids(rows), number)


def _year_fact(lead: Lead, statement: str, match: re.Match[str], gold: tuple[str, ...], number: int) -> Fact:
    asked = (f"{statement} in what year", f"what year was it when {statement}", f"when was it that {statement}")
    answers = (year_pattern(match["year"], "", match["month"] or ""),)
    relation = f"year/{lead.topic_tag}"
    return Fact("year", relation, lead.title, asked, answers, gold, targets=(match["year"],), key=str(number))


def number_pattern(value: str) -> str:
    """A value as a passage writes it ("1,138,910 sq km", "$1.5 billion") as a pattern; separators and unit may lack.

    Raises:
        ValueError: it does not begin with a number.

    >>> number_pattern("1,952 km")
    '(?<![\\\\d.,])1,?952(?![\\\\d]|[.,]\\\\d)(?:\\\\s*(?:km|kilomet(?:er|re)s?))?'
    """
    match = _NUMBER.match(value)
    if not match:
        raise ValueError(f"no number: {value!r}")
    sign = "[-−]" if match["sign"] else ""
    dollar = r"(?:US)?\$?\s?" if match["dollar"] else ""
    start = rf"(?<![\d.,]){sign}{dollar}" if not match["dollar"] else f"{sign}{dollar}"
    body = re.escape(match["number"]).replace(",", ",?")
    scale = rf"\s*{match['scale']}" if match["scale"] else ""
    unit = _UNITS.get(match["unit"].strip(), "")
    return rf"{start}{body}(?![\d]|[.,]\d){scale}" + (f"(?:{unit})?" if unit else "")


def date_pattern(day: str, month: str) -> str:
    """Day and month in both orders: "4 July", "July 4th".

    >>> date_pattern("4", "July")
    '(?:\\\\b0?4(?:st|nd|rd|th)?\\\\s+(?:of\\\\s+)?July\\\\b|\\\\bJuly\\\\s+0?4(?:st|nd|rd|th)?\\\\b)'
    """
    number = rf"0?{day}(?:st|nd|rd|th)?"
    return rf"(?:\b{number}\s+(?:of\s+)?{month}\b|\b{month}\s+{number}\b)"


def year_pattern(year: str, day: str = "", month: str = "") -> str:
    """A year, with its day and month before it where they are known.

    >>> year_pattern("1912")
    '\\\\b1912\\\\b'
    """
    if not month:
        return rf"\b{year}\b"
    front = rf"(?:{day}\s+{month},?|{month}\s+{day},?)" if day else month
    return rf"(?:\b{front}\s+)?\b{year}\b"
