"""Profile fields that list names: what a question with several right answers is made from."""

from __future__ import annotations

import re
from collections.abc import Callable

from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.text import strip_parentheses

_NOT_A_NAME = re.compile(
    r"\b(?:other|others|unspecified|none|note|various|numerous|mixed|unknown|NA|etc|includes?|including|and|or|none"
    r"|approximately|less|more|than|about|some|many|several|small|limited|negligible|only|all)\b"
    r"|^(?:the|a|an|no) |[\[\]:\"“]|\bis\b|\bare\b"
)
MAX_WORDS, MAX_NAMES = 4, 15


def read_list(*path: str, sep: str = r"[,;]", drop: str = "") -> Callable[[Profile], list[str]]:
    """Reader of the names a field lists, in its order; [] where one of them is not plainly a name.

    Args:
        path: The field.
        sep: Regular expression between two names.
        drop: What is cut off the end of every name (a length, a share).
    """

    def read(profile: Profile) -> list[str]:
        value = profile.get(*path).split(" note:")[0].split("; note")[0]
        if re.search(r"\b(?:none|NA)\b", value) or not value:
            return []
        parts = [re.sub(drop, "", part).strip(" .") for part in re.split(sep, strip_parentheses(value))]
        names = [part for part in parts if part]
        clear = [name for name in names if not _NOT_A_NAME.search(name) and len(name.split()) <= MAX_WORDS]
        return clear if 0 < len(clear) <= MAX_NAMES and len(clear) >= len(names) - 1 else []

    return read


def read_shares(*path: str) -> Callable[[Profile], list[str]]:
    """Reader of the names of "Kikuyu 17.1%, Luhya 14.3%, other 8.2%" that have 5 % or more."""

    def read(profile: Profile) -> list[str]:
        value = strip_parentheses(profile.get(*path).split(" note:")[0])
        found = re.findall(r"([A-ZÀ-Þ][A-Za-zÀ-ÿ'/. -]*?) (\d[\d.]*)%", value)
        return [name for name, share in found if float(share) >= 5 and not _NOT_A_NAME.search(name)]

    return read


def read_official(profile: Profile) -> list[str]:
    """The languages marked official; a language with an explanation inside its bracket is one too."""
    value = profile.get("People and Society", "Languages") or profile.get(
        "People and Society", "Languages", "Languages"
    )
    found = re.findall(
        r"(?:^|[,;] |and )([A-ZÀ-Þ][\w'-]*(?: [A-ZÀ-Þ][\w'-]*){0,2}) \([^()]*\bofficial\b[^()]*\)", value
    )
    bad = re.search(r"not official|unofficial|co-official|only|no official", value)
    return [] if bad else found


def read_rivers(profile: Profile) -> list[str]:
    """Rivers or lakes listed with their length or area."""
    value = strip_parentheses(profile.get("Geography", "Major rivers (by length in km)").split(" note:")[0])
    names = [re.sub(r" - .*$| river (?:source|mouth).*$", "", part).strip() for part in value.split(";")]
    return [name for name in names if name and len(name.split()) <= MAX_WORDS and not _NOT_A_NAME.search(name)]


def read_cities(profile: Profile) -> list[str]:
    """Cities with their people: "5.325 million NAIROBI (capital), 1.440 million Mombassa (2023)"."""
    value = strip_parentheses(profile.get("People and Society", "Major urban areas - population"))
    found = re.findall(r"\d[\d.,]*(?: million)? ([A-ZÀ-Þ][^,;\d]*)", value)
    return [name.strip() for name in found]


def read_sites(profile: Profile) -> list[str]:
    """World Heritage Sites, each with its kind in brackets."""
    value = profile.get("Government", "National heritage", "selected World Heritage Site locales").split(" note:")[0]
    names = [strip_parentheses(part).strip() for part in value.split(";")]
    return [name for name in names if 1 < len(name.split()) <= 7 and "," not in name][:MAX_NAMES]


def read_colours(profile: Profile) -> list[str]:
    """National colours."""
    return read_list("Government", "National color(s)")(profile)
