"""Facts of country profiles: which relations there are, in which field each stands, and who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.measures import (
    read_agency,
    read_area,
    read_code,
    read_commodity,
    read_first_listed,
    read_largest_city,
    read_number,
)
from rag_lightning.mini.readers import (
    Answer,
    Reader,
    read_anthem,
    read_anthem_maker,
    read_capital,
    read_chamber,
    read_currency,
    read_demonym,
    read_former,
    read_holder,
    read_holiday,
    read_holiday_date,
    read_independence,
    read_local,
    read_plain,
    read_point,
    read_symbol,
)
from rag_lightning.mini.text import as_typed

_WITH_ARTICLE = re.compile(
    r"(?:Islands?|States|Kingdom|Emirates|Republic|Territory|Territories|Lands|Refuges|Strip|Union|Isles)\b(?! of)|"
    r"^(?:Gambia|Bahamas|Netherlands|Philippines|Maldives|Comoros|Seychelles|West Bank|Isle of Man|"
    r"Democratic Republic|Republic of|Federated States)"
)


def country_as_typed(profile: Profile) -> str:
    """The country's name in a question: "the bahamas", "france"."""
    name = as_typed(profile.name)
    return f"the {name}" if _WITH_ARTICLE.search(profile.name) else name


def profile_facts(profile: Profile) -> Iterator[tuple[str, str, Answer]]:
    """(relation, label of the field it stands in, answer) for every relation that is clear in this profile."""
    for relation, (label, reader) in READERS.items():
        answer = reader(profile)
        if answer:
            yield relation, label, answer


READERS: dict[str, tuple[str, Reader]] = {
    "capital": ("Government - Capital", read_capital),
    "currency": ("Economy - Exchange rates", read_currency),
    "head_of_state": ("Government - Executive branch", read_holder("chief of state", "head_of_state")),
    "head_of_government": ("Government - Executive branch", read_holder("head of government", "head_of_government")),
    "highest_point": ("Geography - Elevation", read_point("highest point")),
    "lowest_point": ("Geography - Elevation", read_point("lowest point")),
    "anthem": ("Government - National anthem(s)", read_anthem),
    "anthem_author": ("Government - National anthem(s)", read_anthem_maker(0)),
    "anthem_composer": ("Government - National anthem(s)", read_anthem_maker(1)),
    "demonym": ("People and Society - Nationality", read_demonym),
    "symbol": ("Government - National symbol(s)", read_symbol),
    "holiday": ("Government - National holiday", read_holiday),
    "holiday_date": ("Government - National holiday", read_holiday_date),
    "legislature": ("Government - Legislative branch", read_chamber("Legislative branch", "legislature name")),
    "lower_chamber": (
        "Government - Legislative branch - lower chamber",
        read_chamber("Legislative branch - lower chamber", "chamber name"),
    ),
    "upper_chamber": (
        "Government - Legislative branch - upper chamber",
        read_chamber("Legislative branch - upper chamber", "chamber name"),
    ),
    "former_name": ("Government - Country name", read_former),
    "independence_year": ("Government - Independence", read_independence),
    "internet_code": ("Communications - Internet country code", read_code),
    "aircraft_prefix": (
        "Transportation - Civil aircraft registration country code prefix",
        read_plain("Transportation", "Civil aircraft registration country code prefix"),
    ),
    "local_name": ("Government - Country name", read_local),
    "largest_city": ("People and Society - Major urban areas - population", read_largest_city),
    "population": ("People and Society - Population", read_number("People and Society", "Population", "total")),
    "area": ("Geography - Area", read_area),
    "coastline": ("Geography - Coastline", read_number("Geography", "Coastline")),
    "space_agency": ("Space - Space agency/agencies", read_agency),
    "export_partner": ("Economy - Exports - partners", read_first_listed("Economy", "Exports - partners")),
    "import_partner": ("Economy - Imports - partners", read_first_listed("Economy", "Imports - partners")),
    "export_commodity": ("Economy - Exports - commodities", read_commodity),
    "life_expectancy": (
        "People and Society - Life expectancy at birth",
        read_number("People and Society", "Life expectancy at birth", "total population"),
    ),
}
