"""The corpus `mini`: Wikipedia leads, then country profiles, as passages of at most 100 words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rag_lightning.core.records import Passage
from rag_lightning.corpus.chunking import make_passages, pack_fields, split_text
from rag_lightning.mini.factbook import Profile, load_profiles
from rag_lightning.mini.wiki import Lead, load_leads


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
