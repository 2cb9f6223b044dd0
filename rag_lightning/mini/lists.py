"""Readers of profile fields that hold several names, and of those that hold one quantity.

A reader of names is given the text of the field and the profile; `relations.yaml` names it without its `read_`. Any
listed name is right, so it gives every one, the plain names first: questions are asked where the first are plain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rag_lightning.mini.sources import Profile
from rag_lightning.mini.text import COUNTRY_FORMS, strip_parentheses

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
_FRONT = re.compile(
    r"^(?:(?:and|or|including|includes?|some|small|large|limited|various|numerous|many|possibly|possible|potential|modest"
    r"|minor|significant|(?:amounts|deposits|quantities|reserves)(?: of)?) )+(?=\S)"
)
"""What may stand before a name in a list: "and small amounts of nickel"."""
_NO_NAME = re.compile(
    r"^(?:other|others|unspecified|unknown|none|note|NA|less|mixed or other|don't know|no|not|unaffiliated)\b"
    r"| foster ",
    re.IGNORECASE,
)
MAX_WORDS, MAX_NAMES, MAX_LISTED_WORDS = 4, 15, 9


def read_names(value: str, profile: Profile) -> list[str]:
    """The names, in their order, then the others; [] where two of them or more are not plainly names."""
    found, others = _names(value, r"[,;]", "")
    return _with_pieces(found, others)


def read_neighbours(value: str, profile: Profile) -> list[str]:
    """Countries listed with the length of the border: "Egypt 1,276 km; Libya 382 km"."""
    found, others = _names(value, r"[;,](?! ?[0-9]{3})", r" [\d.,]+(?: km)?.*$")
    return _countries([*found, *(others if found else [])])


def _names(value: str, sep: str, drop: str) -> tuple[list[str], list[str]]:
    """The plain names of a list, and the others; ([], []) where too few are plain."""
    value = value.split(" note:")[0].split("; note")[0]
    if re.search(r"\b(?:none|NA)\b", value) or not value:
        return [], []
    parts = [re.sub(drop, "", part).strip(" .") for part in re.split(sep, strip_parentheses(value))]
    names = [part for part in parts if part]
    clear = [name for name in names if not _NOT_A_NAME.search(name) and len(name.split()) <= MAX_WORDS]
    if not 0 < len(clear) <= MAX_NAMES or len(clear) < len(names) - 1:
        return [], []
    return clear, [name for name in names if name not in clear]


def _with_pieces(found: list[str], others: list[str]) -> list[str]:
    """The names, then the others and the pieces that "and" and "/" join: "foodstuffs and beverages" lists both."""
    more = [_FRONT.sub("", name) for name in others] if found else []
    more += [re.sub(r" \d[\d.]*%$", "", name) for name in found]
    for name in [*found, *more]:
        joint = "|".join([*([" and "] if name[:1].islower() else []), *([] if " " in name else ["/"])]) or "$"
        more += [_FRONT.sub("", piece.strip()) for piece in re.split(joint, name)]
    listed = [name for name in more if len(name.split()) <= MAX_LISTED_WORDS and not _NO_NAME.search(name)]
    return list(dict.fromkeys([*found, *filter(None, listed)]))


def _countries(names: list[str]) -> list[str]:
    """The names, then other names of the same countries: "Myanmar" of Burma, "Saint Lucia" of "St. Lucia"."""
    plain = [name.replace(" & ", " and ").replace("St. ", "Saint ") for name in names]
    return list(dict.fromkeys([*names, *plain, *(form for name in names for form in COUNTRY_FORMS.get(name, ()))]))


def read_shares(value: str, profile: Profile) -> list[str]:
    """The names of "Kikuyu 17.1%, Luhya 14.3%, other 8.2%", those with 5 % or more first."""
    value = strip_parentheses(value.split(" note:")[0])
    value = re.sub(r"(\w+), (The|Republic of the)(?= \d)", r"\2 \1", value)
    found = re.findall(r"([A-ZÀ-Þ][A-Za-zÀ-ÿ&'/. -]*?) (\d[\d.]*)%", value)
    large = [name for name, share in found if float(share) >= 5 and not _NOT_A_NAME.search(name)]
    listed = re.findall(r"(?:^|[,;] |\) )([A-Za-zÀ-ÿ][A-Za-zÀ-ÿ&'/. -]*?)(?:,| less than)? [<>]?\d[\d.]*%", value)
    small = re.findall(r"less than [\d.]+%: ([^;()%]+)", value)
    listed += [name.strip() for text in small for name in text.split(",")]
    return _countries(_with_pieces(large, listed))


def read_official(value: str, profile: Profile) -> list[str]:
    """The languages marked official; a language with an explanation inside its bracket is one too."""
    value = value or profile.get("People and Society", "Languages", "Languages")
    found = re.findall(
        r"(?:^|[,;] |and )([A-ZÀ-Þ][\w'-]*(?: [A-ZÀ-Þ][\w'-]*){0,2}) \([^()]*\bofficial\b[^()]*\)", value
    )
    bad = re.search(r"not official|unofficial|co-official|only|no official", value)
    if bad or not found:
        return []
    # "Samoan (Polynesian) (official)"
    found += re.findall(r"(?:^|[,;] )([A-ZÀ-Þ][\w'-]+) \([^()]*\) \(official\)", value)
    included = re.findall(r"\(official[^()]*\binclud(?:es|ing) ([^()]*)\)", value)
    return found + [name.strip() for text in included for name in re.split(r",(?: and)?|;", text)]


def read_rivers(value: str, profile: Profile) -> list[str]:
    """Rivers listed with their length, with and without "River", then their other names: "Donau (Danube)"."""
    value = value.split(" note:")[0]
    parts = strip_parentheses(value).split(";")
    names = [re.sub(r" - .*$| river (?:source|mouth).*$", "", part).strip() for part in parts]
    plain = [name for name in names if name and len(name.split()) <= MAX_WORDS and not _NOT_A_NAME.search(name)]
    bracketed = re.findall(r"(?:^|; )[^();]+ \(([A-ZÀ-Þ][^()]*)\)", value)
    heads = re.findall(r"(?:^|; )([A-ZÀ-Þ][^();]*?)(?= \(| river | - )", value)
    others = [name.strip() for text in (*heads, *bracketed) for name in re.split(r",|/| or ", text)] if plain else []
    return list(dict.fromkeys([*plain, *others, *(f"{name} River" for name in [*plain, *others])]))


def read_cities(value: str, profile: Profile) -> list[str]:
    """Cities with their people: "5.325 million NAIROBI (capital), 1.440 million Mombassa (2023)"."""
    found = re.findall(r"\d[\d.,]*(?: million)? ([A-ZÀ-Þ][^,;\d]*)", strip_parentheses(value))
    return [name.strip() for name in found]


def read_sites(value: str, profile: Profile) -> list[str]:
    """World Heritage Sites, each with its kind in brackets; long names too, and the pieces between their commas."""
    names = [strip_parentheses(part).strip(" .") for part in value.split(" note:")[0].split(";")]
    plain = [name for name in names if 1 < len(name.split()) <= 7 and "," not in name][:MAX_NAMES]
    others = [name for name in names if name and name not in plain] if plain else []
    pieces = [piece.strip() for name in [*plain, *others] for piece in re.split(r"[,:/]", name)]
    return list(dict.fromkeys([*plain, *others, *(piece for piece in pieces if " " in piece)]))


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
