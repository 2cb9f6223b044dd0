"""Readers of profile fields that hold several names, and of those that hold one quantity.

A reader of names is given the text of the field and the profile; `relations.yaml` names it without its `read_`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rag_lightning.mini.sources import Profile
from rag_lightning.mini.text import strip_parentheses

ListReader = Callable[[str, Profile], list[str]]
_VALUE = re.compile(
    r"^(?P<value>[-−]?\$?\d[\d,]*(?:\.\d+)?(?: (?:million|billion|trillion))?"
    r"(?:%| sq km| km| m\b| years?| metric tons| cubic meters| barrels| kWh| kW| bbl/day)?)(?P<rest>.*)$"
)
_ONLY_A_NUMBER = re.compile(r"^\s*(?:\(|of |;|$|[a-z]+(?:\(s\))?(?: born)?/)")
"""What may follow it: "(2023 est.)", "of GDP", "births/1,000 population"; not "-15 km"."""
_NOT_A_NAME = re.compile(
    r"\b(?:other|others|unspecified|none|note|various|numerous|mixed|unknown|NA|etc|includes?|including|and|or|none"
    r"|approximately|less|more|than|about|some|many|several|small|limited|negligible|only|all)\b"
    r"|^(?:the|a|an|no) |[\[\]:\"“]|\bis\b|\bare\b"
)
MAX_WORDS, MAX_NAMES = 4, 15


def read_names(value: str, profile: Profile) -> list[str]:
    """The names, in their order; [] where two of them or more are not plainly names."""
    return _names(value, r"[,;]", "")


def read_neighbours(value: str, profile: Profile) -> list[str]:
    """Countries listed with the length of the border: "Egypt 1,276 km; Libya 382 km"."""
    return _names(value, r"[;,](?! ?[0-9]{3})", r" [\d.,]+(?: km)?.*$")


def _names(value: str, sep: str, drop: str) -> list[str]:
    value = value.split(" note:")[0].split("; note")[0]
    if re.search(r"\b(?:none|NA)\b", value) or not value:
        return []
    parts = [re.sub(drop, "", part).strip(" .") for part in re.split(sep, strip_parentheses(value))]
    names = [part for part in parts if part]
    clear = [name for name in names if not _NOT_A_NAME.search(name) and len(name.split()) <= MAX_WORDS]
    return clear if 0 < len(clear) <= MAX_NAMES and len(clear) >= len(names) - 1 else []


def read_shares(value: str, profile: Profile) -> list[str]:
    """The names of "Kikuyu 17.1%, Luhya 14.3%, other 8.2%" that have 5 % or more."""
    found = re.findall(r"([A-ZÀ-Þ][A-Za-zÀ-ÿ'/. -]*?) (\d[\d.]*)%", strip_parentheses(value.split(" note:")[0]))
    return [name for name, share in found if float(share) >= 5 and not _NOT_A_NAME.search(name)]


def read_official(value: str, profile: Profile) -> list[str]:
    """The languages marked official; a language with an explanation inside its bracket is one too."""
    value = value or profile.get("People and Society", "Languages", "Languages")
    found = re.findall(
        r"(?:^|[,;] |and )([A-ZÀ-Þ][\w'-]*(?: [A-ZÀ-Þ][\w'-]*){0,2}) \([^()]*\bofficial\b[^()]*\)", value
    )
    bad = re.search(r"not official|unofficial|co-official|only|no official", value)
    return [] if bad else found


def read_rivers(value: str, profile: Profile) -> list[str]:
    """Rivers or lakes listed with their length or area."""
    parts = strip_parentheses(value.split(" note:")[0]).split(";")
    names = [re.sub(r" - .*$| river (?:source|mouth).*$", "", part).strip() for part in parts]
    return [name for name in names if name and len(name.split()) <= MAX_WORDS and not _NOT_A_NAME.search(name)]


def read_cities(value: str, profile: Profile) -> list[str]:
    """Cities with their people: "5.325 million NAIROBI (capital), 1.440 million Mombassa (2023)"."""
    found = re.findall(r"\d[\d.,]*(?: million)? ([A-ZÀ-Þ][^,;\d]*)", strip_parentheses(value))
    return [name.strip() for name in found]


def read_sites(value: str, profile: Profile) -> list[str]:
    """World Heritage Sites, each with its kind in brackets."""
    names = [strip_parentheses(part).strip() for part in value.split(" note:")[0].split(";")]
    return [name for name in names if 1 < len(name.split()) <= 7 and "," not in name][:MAX_NAMES]


LISTS: Mapping[str, ListReader] = {
    name.removeprefix("read_"): reader for name, reader in globals().items() if name.startswith("read_")
}
"""Every function of this file that is called read_…, by the rest of its name."""


def one_number(value: str) -> str | None:
    """The one number of a field as the passage writes it; None where there is none, it is zero, or there is more."""
    match = _VALUE.match(value)
    if not match or not _ONLY_A_NUMBER.match(match["rest"]):
        return None
    return match["value"] if re.search(r"[1-9]", match["value"]) else None


def verb_of(phrase: str) -> str:
    """is or are, was or were for a past year: "the reserves of chad" are, "the number of ports" is."""
    past = re.search(r" in 20\d\d$", phrase)
    head = phrase.split(" of ")[0].split(" in ")[0].split(" per ")[0]
    several = head.endswith("s") and not head.endswith("'s")
    return ("were" if past else "are") if several else ("was" if past else "is")
