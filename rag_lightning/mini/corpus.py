"""The corpus `mini`: Wikipedia leads, then country profiles, as passages of at most 100 words, and a look-up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.corpus.chunking import make_passages, pack_fields, split_text
from rag_lightning.metrics.answers import tokenize
from rag_lightning.mini.sources import Lead, Profile, load_leads, load_profiles
from rag_lightning.mini.text import strip_parentheses

Rows = frozenset[int]


def build_passages(wiki_json: Path, factbook_dir: Path) -> Iterator[Passage]:
    """All passages, in a fixed order with stable ids (`wiki/Fermi_paradox#0`, `factbook/ag#12`).

    Args:
        wiki_json: `summaries_en-us.json` of the wiki asset.
        factbook_dir: The folder that holds the factbook asset's region folders.

    Raises:
        DataError: a file that is missing or not what it should be.
    """
    for lead in load_leads(wiki_json):
        yield from lead_passages(lead)
    for profile in load_profiles(factbook_dir):
        yield from profile_passages(profile)


def lead_passages(lead: Lead) -> Iterator[Passage]:
    """The passages of one article; none where its lead is empty."""
    return make_passages("wiki/" + "_".join(lead.title.split()), lead.title, split_text(lead.text))


def profile_passages(profile: Profile) -> Iterator[Passage]:
    """The passages of one country; they never mix sections unless a section is too short to stand alone."""
    return make_passages(f"factbook/{profile.code}", profile.name, _profile_parts(profile))


def _profile_parts(profile: Profile) -> list[str]:
    sections: dict[str, list[tuple[str, str]]] = {}
    for label, text in profile.labelled():
        sections.setdefault(label.split(" - ")[0], []).append((label, text))
    parts: list[str] = []
    for fields in sections.values():
        new = pack_fields(fields)
        if parts and len(new) == 1 and len(f"{parts[-1]} {new[0]}".split()) <= 100 and len(new[0].split()) < 20:
            parts[-1] += " " + new[0]
        else:
            parts += new
    return parts


class GoldFinder:
    """Look up rows of a corpus by the strings they hold; every passage is tokenised once."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self._texts = [_joined(passage.text) for passage in passages]
        self._titles = [_joined(passage.title) for passage in passages]
        self._found: dict[tuple[str, bool], Rows] = {}

    @cached_property
    def _postings(self) -> dict[str, set[int]]:
        postings: dict[str, set[int]] = {}
        for row, (title, text) in enumerate(zip(self._titles, self._texts, strict=True)):
            for token in {*title.split(), *text.split()}:
                postings.setdefault(token, set()).add(row)
        return postings

    def holding(self, forms: Iterable[str], *, title_too: bool = False) -> Rows:
        """Rows whose text (or, if asked, title) holds any of the forms as whole tokens in order."""
        return frozenset().union(*(self._rows(_joined(form), title_too) for form in forms))

    def _rows(self, needle: str, title_too: bool) -> Rows:
        key = needle, title_too
        if key not in self._found:
            self._found[key] = frozenset(
                row
                for row in self.with_words(needle.split())
                if needle in self._texts[row] or (title_too and needle in self._titles[row])
            )
        return self._found[key]

    def with_words(self, words: Iterable[str]) -> Rows:
        """Rows whose title or text holds all of the tokens, in any order; no words: no rows."""
        sets = sorted((self._postings.get(word, set()) for word in words), key=len)
        return frozenset(set.intersection(*sets)) if sets else frozenset()

    def ids(self, rows: Iterable[int], first: Iterable[int] = ()) -> tuple[str, ...]:
        """Passage ids in corpus order, those of `first` before the others."""
        front = sorted(set(first))
        ordered = dict.fromkeys([*front, *sorted(rows)])
        return tuple(self.passages[row].passage_id for row in ordered)


def _joined(text: str) -> str:
    return f" {' '.join(tokenize(text))} "


@dataclass(frozen=True)
class World:
    """Leads, country profiles, and where in the corpus each stands.

    Args:
        finder: The index over the passages.
        leads: All leads, in file order.
        profiles: The countries and territories, in order of their codes; the world and the European Union are not.
    """

    finder: GoldFinder
    leads: Sequence[Lead]
    profiles: Sequence[Profile]

    @cached_property
    def _by_title(self) -> dict[str, set[int]]:
        rows: dict[str, set[int]] = {}
        for row, passage in enumerate(self.finder.passages):
            rows.setdefault(passage.title, set()).add(row)
        return rows

    @cached_property
    def _by_article(self) -> dict[str, set[int]]:
        rows: dict[str, set[int]] = {}
        for row, passage in enumerate(self.finder.passages):
            rows.setdefault(passage.passage_id.partition("#")[0], set()).add(row)
        return rows

    def lead_rows(self, lead: Lead) -> Rows:
        """Rows of the passages that carry the lead's title."""
        return frozenset(self._by_title.get(lead.title, ()))

    def country_rows(self, profile: Profile) -> Rows:
        """Rows of the passages made from the profile."""
        return frozenset(self._by_article.get(f"factbook/{profile.code}", ()))

    def field_rows(self, profile: Profile, label: str) -> Rows:
        """Rows of the profile's passages that hold the field with the label: "Government - Capital"."""
        return self.country_rows(profile) & self.finder.holding([f"{label}:"])

    def naming_lead(self, lead: Lead) -> Rows:
        """Rows that name the article in title or text."""
        return self.finder.holding([lead.title, strip_parentheses(lead.title)], title_too=True) | self.lead_rows(lead)

    def naming_country(self, profile: Profile) -> Rows:
        """Rows that name the country in title or text."""
        return self.finder.holding([profile.name], title_too=True) | self.country_rows(profile)


def read_world(passages: Sequence[Passage], wiki_json: Path, factbook_dir: Path) -> World:
    """Read both sources.

    Args:
        passages: The corpus that `mini.corpus.build_passages` makes of the same files.
        wiki_json: `summaries_en-us.json` of the wiki asset.
        factbook_dir: The folder that holds the factbook asset's region folders.

    Raises:
        DataError: a file that is missing or not what it should be.
    """
    profiles = [profile for profile in load_profiles(factbook_dir) if profile.code not in ("xx", "ee")]
    return World(GoldFinder(passages), load_leads(wiki_json), profiles)
