"""Readers of profile fields that hold numbers, lists and names outside government."""

from __future__ import annotations

import re

from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.readers import Answer, Reader
from rag_lightning.mini.text import strip_parentheses, variants


def read_code(profile: Profile) -> Answer | None:
    """The only internet country code, with and without its dot."""
    value = profile.get("Communications", "Internet country code")
    match = re.match(r"^(\.[a-z]{2})\b", value)
    several = re.search(r"\.[a-z]{2}\b.*\.[a-z]{2}\b", value)
    return ((match[1], match[1][1:]), {}) if match and not several else None


def read_largest_city(profile: Profile) -> Answer | None:
    """The city with the most people in the list."""
    value = profile.get("People and Society", "Major urban areas - population")
    found = re.findall(r"(\d[\d.,]*)( million)? ([A-ZÀ-Þ][^,;(\d]*)", value)
    sizes = sorted(
        ((float(n.strip(",.").replace(",", "")) * (1e6 if m else 1), name.strip()) for n, m, name in found),
        reverse=True,
    )
    if not sizes or (len(sizes) > 1 and sizes[0][0] == sizes[1][0]):
        return None
    return variants(sizes[0][1]), {}


def read_number(*path: str) -> Reader:
    """A number, with and without unit and separators."""

    def read(profile: Profile) -> Answer | None:
        value = strip_parentheses(profile.get(*path)).strip()
        match = re.match(r"^(?P<number>[\d.,]*\d(?: million| billion)?)(?P<unit> (?:sq )?km| years)?$", value)
        if not match or match["number"] in ("0", "0.0"):
            return None
        number = match["number"]
        unit = (match["unit"] or "").strip()
        forms = (*((f"{number} {unit}",) if unit else ()), number, number.replace(",", ""))
        return tuple(dict.fromkeys(forms)), {}

    return read


def read_area(profile: Profile) -> Answer | None:
    """Total area."""
    return read_number("Geography", "Area", "total")(profile)


def read_agency(profile: Profile) -> Answer | None:
    """The only space agency, with its short name."""
    value = profile.get("Space", "Space agency/agencies").removeprefix("the ")
    match = re.match(r"^(?P<name>[A-Z][^();,]+) \((?P<inside>[^;()]*)", value)
    if not match or ";" in strip_parentheses(value) or re.search(r"\b(?:has|no)\b", match["name"]):
        return None
    return variants(match["name"], *re.split(r", | or ", match["inside"])), {}


def read_first_listed(*path: str) -> Reader:
    """The country with the largest share, unless two tie."""

    def read(profile: Profile) -> Answer | None:
        value = profile.get(*path)
        shares = re.findall(r"([A-Za-zÀ-ÿ .'-]+?) <?(\d+)%", value)
        if len(shares) < 2 or shares[0][1] == shares[1][1]:
            return None
        name = shares[0][0].strip()
        return variants(name, *_COUNTRY_FORMS.get(name, ())), {}

    return read


_COUNTRY_FORMS = {
    "USA": ("United States", "US", "America"),
    "UK": ("United Kingdom", "Britain"),
    "UAE": ("United Arab Emirates",),
    "NZ": ("New Zealand",),
    "Turkey": ("Türkiye",),
}


def read_commodity(profile: Profile) -> Answer | None:
    """The first of the listed commodities."""
    parts = strip_parentheses(profile.get("Economy", "Exports - commodities")).split(",")
    return (variants(parts[0].strip()), {}) if len(parts) > 2 else None
