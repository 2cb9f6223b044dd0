"""What the profiles tell, ready to be claimed: values with their passages, and the fields that are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag_lightning.mini.fact import Fact
from rag_lightning.mini.factbook import Path3, Profile
from rag_lightning.mini.profiles import country_as_typed
from rag_lightning.mini.quantities import QUANTITIES, verb_of
from rag_lightning.mini.sentence_forms import capitalised, in_case
from rag_lightning.mini.text import as_typed, straight
from rag_lightning.mini.world import World

MIN_FIELDS = 90
"""A profile with fewer is of a place that hardly anything can be claimed about (an uninhabited island)."""

_KNOWN_OTHERWISE = frozenset(
    [
        "population",
        "area",
        "land_area",
        "coastline",
        "land_borders",
        "airports",
        "urban",
        "heritage_sites",
        "wind",
        "solar",
        "hydro",
        "biomass",
        "capital",
        "currency",
        "largest_city",
        "independence_year",
        "head_of_government",
    ]
)
"""What a profile lacks here may be told by other words of the corpus: shares add up, a lead names the city."""

_BY_CHAMBER = ("seats", "women_seats", "term")
_OF_THE_SEA = ("ports", "ships")

NAMED: Mapping[str, tuple[Path3, tuple[str, str, str]]] = {
    "capital": (
        ("Government", "Capital", "name"),
        ("the capital of {x} is {v}", "{v} is the capital city of {x}", "the government of {x} has its seat in {v}"),
    ),
    "currency": (
        ("Economy", "Exchange rates", "Currency"),
        ("the currency of {x} is {v}", "people in {x} pay with {v}", "{v} are the money of {x}"),
    ),
    "anthem": (
        ("Government", "National anthem(s)", "title"),
        ('the national anthem of {x} is "{v}"', '"{v}" is the anthem of {x}', 'the anthem that {x} sings is "{v}"'),
    ),
    "symbol": (
        ("Government", "National symbol(s)"),
        (
            "the national symbol of {x} is the {v}",
            "the {v} is the symbol of {x}",
            "{x} has the {v} as its national symbol",
        ),
    ),
    "holiday_date": (
        ("Government", "National holiday"),
        (
            "the national holiday of {x} is on {v}",
            "{x} celebrates its national holiday on {v}",
            "on {v} {x} has its national day",
        ),
    ),
    "legislature": (
        ("Government", "Legislative branch", "legislature name"),
        ("the legislature of {x} is the {v}", "the {v} is the legislature of {x}", "the {v} makes the laws of {x}"),
    ),
    "largest_city": (
        ("People and Society", "Major urban areas - population"),
        ("the largest city in {x} is {v}", "{v} is the biggest city of {x}", "no city in {x} is larger than {v}"),
    ),
    "internet_code": (
        ("Communications", "Internet country code"),
        (
            "the internet country code of {x} is {v}",
            "{v} is the internet domain of {x}",
            "internet addresses of {x} end in {v}",
        ),
    ),
    "aircraft_prefix": (
        ("Transportation", "Civil aircraft registration country code prefix"),
        (
            "the aircraft registration prefix of {x} is {v}",
            "aircraft of {x} carry the prefix {v}",
            "{v} marks aircraft of {x}",
        ),
    ),
    "independence_year": (
        ("Government", "Independence"),
        (
            "{x} became independent in {v}",
            "the independence of {x} dates from {v}",
            "{x} gained its independence in {v}",
        ),
    ),
    "head_of_government": (
        ("Government", "Executive branch", "head of government"),
        ("the head of government of {x} is {v}", "{v} heads the government of {x}", "{v} leads the cabinet of {x}"),
    ),
    "space_agency": (
        ("Space", "Space agency/agencies"),
        (
            "the space agency of {x} is the {v}",
            "the {v} runs the space program of {x}",
            "{x} goes to space with the {v}",
        ),
    ),
}


@dataclass(frozen=True)
class Telling:
    """A country's value of a relation: as claimed, every accepted spelling, and the passages that state it."""

    country: str
    relation: str
    value: str
    spellings: tuple[str, ...]
    gold: tuple[str, ...]

    def differs(self, other: Telling) -> bool:
        """Is no spelling of the one a spelling of the other?"""
        return not {as_typed(form) for form in self.spellings} & {as_typed(form) for form in other.spellings}


def claim_forms(relation: str) -> tuple[str, ...]:
    """Claims with {x} for the country and {v} for the value, without a full stop; the last is for test only."""
    if relation in NAMED:
        return NAMED[relation][1]
    first, second, _ = QUANTITIES[relation].phrases
    return (f"{first} {verb_of(first)} {{v}}", f"{second} {verb_of(second)} {{v}}", f"{{v}} {verb_of(first)} {first}")


def country_in_claims(profile: Profile) -> str:
    """Its name inside a sentence: "the Bahamas"."""
    return straight(in_case(profile.name, country_as_typed(profile)))


def claimable(world: World) -> list[Profile]:
    """The profiles that tell enough to be claimed about."""
    return [profile for profile in world.profiles if len(profile.fields) >= MIN_FIELDS]


def gather_tellings(world: World, facts: Sequence[Fact], dropped: Counter[str]) -> Iterator[Telling]:
    """Everything told about the claimable countries."""
    claimed = {profile.name for profile in claimable(world)}
    for fact in facts:
        if fact.family == "profile" and fact.relation in NAMED and fact.entity in claimed:
            value = capitalised(straight(fact.answers[0]), fact.relation)
            yield Telling(fact.entity, fact.relation, value, fact.answers, fact.gold[:1])
    for profile in claimable(world):
        for relation, quantity in QUANTITIES.items():
            number = quantity.read(profile)
            if not number:
                continue
            rows = world.country_rows(profile) & world.finder.holding([f"{quantity.label}:"])
            rows &= world.finder.holding([number])
            if rows:
                yield Telling(profile.name, relation, number, (number,), world.finder.ids(rows))
            else:
                dropped[f"{relation}: not in one passage"] += 1


def gather_untold(world: World) -> Iterator[tuple[str, str]]:
    """(country, relation) where the profile has no such field, nor anything else the answer could be read from."""
    for profile in claimable(world):
        told = {path[: len(path) - cut] for path in profile.fields for cut in (0, 1)}
        chambers = any(path[1].startswith("Legislative branch - ") for path in profile.fields)
        inland = "landlocked" in profile.get("Geography", "Coastline")
        for relation, path in _paths():
            implied = (chambers and relation in _BY_CHAMBER) or (inland and relation in _OF_THE_SEA)
            if relation not in _KNOWN_OTHERWISE and not implied and path not in told:
                yield profile.name, relation


def _paths() -> Iterator[tuple[str, Path3]]:
    yield from ((relation, path) for relation, (path, _) in NAMED.items())
    yield from ((relation, quantity.path) for relation, quantity in QUANTITIES.items())
