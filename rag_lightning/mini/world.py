"""The two sources and the corpus made from them, read once for a builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.mini.factbook import Profile, load_profiles
from rag_lightning.mini.gold import GoldFinder, Rows
from rag_lightning.mini.text import strip_parentheses
from rag_lightning.mini.wiki import Lead, load_leads


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
