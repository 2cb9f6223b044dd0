"""Profile fields that hold one number: for questions whose answer is a number, and for claims about it.

The fields and how they are spoken of stand in `quantities.tsv`: name, path (its parts between " > "), and three noun
phrases with {x} for the country, the last of which only test sees.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from importlib.resources import files

from rag_lightning.mini.factbook import Path3, Profile

_VALUE = re.compile(
    r"^(?P<value>[-−]?\$?\d[\d,]*(?:\.\d+)?(?: (?:million|billion|trillion))?"
    r"(?:%| sq km| km| m\b| years?| metric tons| cubic meters| barrels| kWh| kW| bbl/day)?)(?P<rest>.*)$"
)
_ONLY_A_NUMBER = re.compile(r"^\s*(?:\(|of |;|$|[a-z]+(?:\(s\))?(?: born)?/)")
"""What may follow it: "(2023 est.)", "of GDP", "births/1,000 population"; not "-15 km"."""


@dataclass(frozen=True)
class Quantity:
    """A relation whose value is a number.

    Args:
        path: The field.
        phrases: Noun phrases for it; {x} is the country. The last is for test only.
    """

    path: Path3
    phrases: tuple[str, str, str]

    @property
    def label(self) -> str:
        """The label of its field in a passage."""
        return f"{self.path[0]} - {self.path[1]}"

    def read(self, profile: Profile) -> str | None:
        """The value as the passage writes it, None where there is none, it is zero, or it is more than a number."""
        match = _VALUE.match(profile.get(*self.path))
        if not match or not _ONLY_A_NUMBER.match(match["rest"]):
            return None
        return match["value"] if re.search(r"[1-9]", match["value"]) else None


def verb_of(phrase: str) -> str:
    """is or are, was or were for a past year: "the reserves of chad" are, "the number of ports" is."""
    past = re.search(r" in 20\d\d$", phrase)
    head = phrase.split(" of ")[0].split(" in ")[0].split(" per ")[0]
    several = head.endswith("s") and not head.endswith("'s")
    return ("were" if past else "are") if several else ("was" if past else "is")


def _read_table() -> dict[str, Quantity]:
    with files("rag_lightning.mini").joinpath("quantities.tsv").open(encoding="utf-8") as handle:
        rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        return {
            row["name"]: Quantity(tuple(row["path"].split(" > ")), (row["phrase"], row["other"], row["unseen"]))
            for row in rows
        }


QUANTITIES = _read_table()
