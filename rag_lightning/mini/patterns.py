"""Regular expressions for dates, numbers and measures, as the answers of CuratedTREC are."""

from __future__ import annotations

import re

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
