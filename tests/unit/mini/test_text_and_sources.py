"""Traps of the two sources: HTML, entities, "none", brackets, abbreviations."""

import gzip
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from rag_lightning.core.compression import LONGEST
from rag_lightning.core.errors import DataError
from rag_lightning.mini.corpus import lead_passages, profile_passages
from rag_lightning.mini.sources import Lead, load_leads, load_profiles
from rag_lightning.mini.text import (
    as_typed,
    clean_html,
    first_sentence,
    is_nothing,
    sentences,
    strip_parentheses,
    variants,
)


def test_html_is_cleaned_with_and_without_tags() -> None:
    assert clean_html("<p>one<br>two</p>") == "one two"
    assert clean_html("a <strong>b</strong>old<br />c") == "a bold c"
    assert clean_html("C&ocirc;te  d&rsquo;Ivoire&nbsp;x") == "Côte d\u2019Ivoire x"
    assert clean_html("&lt;1% and 3 < 4") == "<1% and 3 < 4"


@pytest.mark.parametrize("value", ["none", "None", "NA", "", "none (territory of the US)", "none; note - x", "-"])
def test_the_ways_to_say_nothing(value: str) -> None:
    assert is_nothing(value)


def test_none_inside_a_name_is_something() -> None:
    assert not is_nothing("Nonesuch") and not is_nothing("Norway")


def test_variants_accept_accents_brackets_and_articles_but_keep_the_surface_first() -> None:
    assert variants("São Tomé (city)")[0] == "São Tomé (city)"
    assert {"São Tomé", "Sao Tome"} <= set(variants("São Tomé (city)"))
    assert "Gambia" in variants("The Gambia")
    assert strip_parentheses("a (b (c)) d [e]") == "a d"
    assert as_typed("  Who wrote \u201cX\u201d? ") == 'who wrote "x"'


def test_first_sentence_survives_abbreviations() -> None:
    assert first_sentence("Washington, D.C. is a city. It is big.") == "Washington, D.C. is a city"
    assert sentences("Ab bc cd. De ef. Fg") == ["Ab bc cd", "De ef", "Fg"]


def write_profile(folder: Path, code: str, name: str, sections: dict[str, object]) -> None:
    (folder / "africa").mkdir(parents=True, exist_ok=True)
    government = {"Country name": {"conventional short form": {"text": name}}}
    raw = {"Government": government, **sections}
    (folder / "africa" / f"{code}.json").write_text(json.dumps(raw))


def test_a_profile_is_labelled_plain_text(tmp_path: Path) -> None:
    climate = {"Climate": {"text": "arid<br>hot"}}
    area = {"Area": {"total ": {"text": "5 sq km"}, "land": {"text": "land: 4 sq km"}}}
    write_profile(tmp_path, "zz", "The Zed", {"Geography": {**area, **climate}, "Environment": climate})
    (profile,) = load_profiles(tmp_path)
    assert profile.name == "Zed"
    labelled = dict(profile.labelled())
    assert labelled["Geography - Area"] == "total: 5 sq km; land: 4 sq km"
    assert labelled["Geography - Climate"] == "arid hot"
    assert "Environment - Climate" not in labelled
    assert profile.get("Geography", "Area", "total") == "5 sq km"
    (passage,) = list(profile_passages(profile))
    assert passage.passage_id == "factbook/zz#0" and passage.title == "Zed"
    assert "Geography - Climate: arid hot" in passage.text


def test_missing_or_damaged_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no country profile"):
        load_profiles(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "aa.json").write_text("{")
    with pytest.raises(DataError, match=r"aa\.json: is not JSON"):
        load_profiles(tmp_path)
    with pytest.raises(DataError, match="is missing"):
        load_leads(tmp_path / "none.json")
    (tmp_path / "w.json").write_text(json.dumps({"X": {"title": "X"}}))
    with pytest.raises(DataError, match="field 'extract'"):
        load_leads(tmp_path / "w.json")


def test_the_title_travels_with_later_passages_of_a_lead() -> None:
    passages = list(lead_passages(Lead("Fermi paradox", "word " * 150, "Physics")))
    assert [p.title for p in passages] == ["Fermi paradox"] * 2
    assert passages[1].passage_id == "wiki/Fermi_paradox#1"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_of_an_archive_that_claims_too_much_is_refused_in_little_memory(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("land/aa.json")
    member.type, member.size = kind, LONGEST + 512
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(member.size + 1024))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"is no readable tar archive \(a name or a header is of 67,109,376 bytes\)"):
        load_profiles(tmp_path / "a.tar.gz")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 << 20
