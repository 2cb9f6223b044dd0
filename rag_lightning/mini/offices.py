"""Holders of offices in country profiles: "President Olan HUMALO Tasso (since 28 July 2011)"."""

from __future__ import annotations

import re

from rag_lightning.mini.text import as_typed, variants

Answer = tuple[tuple[str, ...], dict[str, str]]
"""Accepted answers, the one that stands in the field first, and more slots of the question."""

_OFFICES = re.compile(
    r"^(?:(?:Transitional|Transition|Interim|Acting) )?"
    r"(?P<office>Prime Minister|President|King|Queen|Emperor|Sultan|Amir|Grand Duke|Prince|Supreme Leader|Premier|"
    r"Chancellor|Chief Minister|Federal Chancellor|Taoiseach|Governor)"
    r" (?P<name>(?:[^\s,;()]+ ?){2,7})(?: \(.*)?$"
)
_HONORIFIC = re.compile(
    r"^(?:(?:Crown Prince|Sr\.? Gen|Gen|Col|Capt|Lt|Dr|Brig|Maj|Sir|Dame|Sheikh|Ratu|Prof)\.? |(?:Gen|Col|Capt|Dr)\.)+"
)
_FIRST_HOLDER = re.compile(r"[^;]*?\(since [^()]*\)?")


def office_of(value: str) -> tuple[str, Answer] | None:
    """The first holder of an office that a field names: the office, and the accepted forms of the name; else None.

    Unlike the readers it takes the first of several holders, whose deputies and notes other editions name in the field.
    """
    first = _FIRST_HOLDER.match(value)
    match = office_holder(first[0]) if first else None
    if not match or not match["name"][0].isupper():
        return None
    return match["office"], named(match)


def office_holder(value: str) -> re.Match[str] | None:
    """The one holder of an office that a field names, with groups office and name; None where that is not clear."""
    value = re.sub(r" of the [A-Z][a-z]+ Confederation", "", value)
    clear = value.count("(since") == 1 and not re.search(r";|represented| and (?:Prime|Co-)", value)
    match = _OFFICES.match(value) if clear else None
    return match if match and re.search(r"[A-ZÀ-Þ]{2}", match["name"]) else None


def named(match: re.Match[str]) -> Answer:
    """The accepted forms of the name of `office_holder`, and the office as people type it."""
    name, office = match["name"].strip(), match["office"]
    plain = _HONORIFIC.sub("", name)
    return variants(plain, name, f"{office} {plain}", *_short_names(plain.split())), {"office": as_typed(office)}


def _short_names(words: list[str]) -> list[str]:
    """The first two given names, each with the family name in capitals; its first two words where that leads."""
    capitals = [bool(re.match(r"(?:[A-ZÀ-Þ]'?){2}", word)) for word in words]
    if len(words) < 3 or not any(capitals) or all(capitals):
        return []
    end = len(words) - capitals[::-1].index(True)
    start = end - 1
    while start and (capitals[start - 1] or words[start - 1].islower()):
        start -= 1
    given = [word for word in words[:start] if len(word) > 2 and word[0].isupper()]
    if start == 0:
        return [" ".join(words[:2])] if words[1][0].isupper() else []
    return [" ".join([one, *words[start:end]]) for one in given[:2]]
