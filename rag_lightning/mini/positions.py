"""Heads of state and government that changed between two editions of the country profiles, and who is asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rag_lightning.mini.names import country_key
from rag_lightning.mini.offices import office_of
from rag_lightning.mini.sources import Profile
from rag_lightning.mini.text import fold

ROLES = ("chief of state", "head of government")
"""Fields of the executive branch that name a holder."""
ALIKE = 0.88
"""Ratio of equal letters from which names are spellings of one: "Abdelfattah Said ELSISI", "Abdel Fattah EL-SISI"."""
_SINCE = re.compile(r"\(since ([^()]*)")


@dataclass(frozen=True)
class Holder:
    """Who holds an office in one edition.

    Args:
        office: The office as the profile writes it: "Prime Minister".
        names: Accepted forms of the name, the one of the profile first.
        since: When the term began, as the profile has it.
    """

    office: str
    names: tuple[str, ...]
    since: str


@dataclass(frozen=True)
class Position:
    """An office whose holder changed.

    Args:
        code: The country's code.
        country: Its name in the newer edition.
        asked: The country as people type it: "the gambia".
        old: Holder in the older edition.
        new: Holder in the newer edition.
    """

    code: str
    country: str
    asked: str
    old: Holder
    new: Holder

    @property
    def question(self) -> str:
        """The paper's "Who is {position}?", as people type it."""
        return f"who is the {self.old.office.lower()} of {self.asked}"


def changed_positions(
    old: Sequence[Profile], new: Sequence[Profile], countries: Collection[str], left_out: Counter[str]
) -> list[Position]:
    """The offices of some countries that have another holder in the newer edition, each pair of holders once.

    Args:
        old: Profiles of the older edition.
        new: Profiles of the newer edition.
        countries: Names of the countries.
        left_out: Reasons to count.
    """
    wanted, earlier = {country_key(name) for name in countries}, {profile.code: profile for profile in old}
    found: list[Position] = []
    seen: set[tuple[str, str, str]] = set()
    for profile in new:
        for position in _of_country(earlier.get(profile.code), profile, left_out):
            pair = profile.code, position.old.names[0], position.new.names[0]
            if pair in seen:
                left_out["head of state and of government are one: asked once"] += 1
                continue
            seen.add(pair)
            if country_key(profile.name) in wanted:
                found.append(position)
            else:
                left_out["the country is not in task.without: training may have asked about it"] += 1
    return found


def _of_country(old: Profile | None, new: Profile, left_out: Counter[str]) -> Iterator[Position]:
    if old is None or new.dependent or old.dependent:
        left_out["a territory, or a country of one edition only"] += 1
        return
    for role in ROLES:
        before, after = _holder(old, role), _holder(new, role)
        if before is None or after is None:
            left_out["an office that is not read in both editions"] += 1
        elif before.office != after.office:
            left_out["another office in the other edition"] += 1
        elif same_person(before, after):
            left_out["the holder did not change"] += 1
        else:
            yield Position(new.code, new.name, new.typed, before, after)


def _holder(profile: Profile, role: str) -> Holder | None:
    value = profile.get("Government", "Executive branch", role)
    found, since = office_of(value), _SINCE.search(value)
    return Holder(found[0], found[1][0], since[1].strip()) if found and since else None


def same_person(one: Holder, other: Holder) -> bool:
    """Whether two holders are one person: the same day of office, a spelling of one name, or a part of it."""
    first, second = _plain(one.names[0]), _plain(other.names[0])
    words = set(first.split()), set(second.split())
    alike = SequenceMatcher(None, first.replace(" ", ""), second.replace(" ", ""), autojunk=False).ratio()
    return one.since == other.since or alike >= ALIKE or words[0] <= words[1] or words[1] <= words[0]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z ]", "", fold(name).lower())
