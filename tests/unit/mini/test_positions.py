"""Editions of country profiles are read from archives, and the offices that changed between two of them are found."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.mini.offices import office_of
from rag_lightning.mini.positions import Holder, Position, changed_positions, same_person
from rag_lightning.mini.sources import load_profiles
from tests.editions import NEW, OLD, write_edition


def positions(folder: Path, countries: set[str], left_out: Counter[str]) -> list[Position]:
    old, new = (load_profiles(write_edition(folder / f"{n}.tgz", held)) for n, held in (("old", OLD), ("new", NEW)))
    return changed_positions(old, new, countries, left_out)


def test_only_offices_that_changed_are_asked_for_each_pair_once(tmp_path: Path) -> None:
    left_out = Counter[str]()
    found = positions(tmp_path, {*OLD} - {"Russa"}, left_out)
    assert [(one.question, one.old.names[0], one.new.names[0]) for one in found] == [
        ("who is the president of chadia", "Idris DEBO", "Mahamat DEBO"),
        ("who is the prime minister of chadia", "Kalze DEUBO", "Allamaye HALINO"),
        ("who is the prime minister of egypta", "Sherif ISMAIL", "Mostafa MADBO"),
        ("who is the president of perua", "Olan HUMALO Tasso", "José JERÍ"),
        ("who is the president of swissa", "Simona SOMMARO", "Guy PARMO"),
    ]
    assert left_out == {
        "the holder did not change": 2,  # a spelling; a king
        "head of state and of government are one: asked once": 1,
        "another office in the other edition": 1,
        "the country is not in task.without: training may have asked about it": 1,
    }
    assert {"Jose JERI", "President José JERÍ"} <= {*found[3].new.names} and "Olan HUMALO" in found[3].old.names


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (
            "President Barack H. OBAMA (since 2009); Vice President Joseph BIDEN (since 2009)",
            "Barack H. OBAMA",
        ),
        ("Prime Minister Boris JOHNSON (Conservative) (since 24 July 2019)", "Boris JOHNSON"),
        (
            "Interim Prime Minister Gen. PRAYUT Chan-ocha (since 2014) Deputies PRAWIT, Gen.",
            "PRAYUT Chan-ocha",
        ),
        (
            "Queen ELIZABETH II (since 6 February 1952); represented by Peter X (since 2014)",
            "ELIZABETH II",
        ),
        ("President (vacant); note - the term of President Michel SULAYMAN (since 2008) expired", None),
        ("President of the Republic Bujar NISHANI (since 24 July 2012)", None),
        ("Sultan and Prime Minister HAITHAM bin Tarik (since 11 January 2020)", None),
        ("Prime Minister Bernard WHITEMAN (1 September 2015)", None),
        ("", None),
    ],
)
def test_the_first_holder_of_a_field_is_read_or_none(field: str, expected: str | None) -> None:
    found = office_of(field)
    assert (found and found[1][0][0]) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Abdelfattah Said ELSISI", "Abdel Fattah EL-SISI", True),
        ("Arthur Peter MUTHARIKA", "Peter MUTHARIKA", True),
        ("Binyamin NETANYAHU", "Benyamin NETANYAHU", True),
        ("Islom KARIMOV", "Islom KARÍMOV", True),
        ("LI Keqiang", "LI Qiang", False),
        ("HUN SEN", "HUN MANET", False),
        ("Keith MITCHELL", "Dickon MITCHELL", False),
    ],
)
def test_spellings_of_a_name_are_one_person(one: str, other: str, same: bool) -> None:
    first, second = (Holder("President", (name,), since) for name, since in ((one, "2001"), (other, "2002")))
    assert same_person(first, second) is same_person(second, first) is same


def test_one_day_of_office_is_one_person() -> None:
    assert same_person(Holder("King", ("HANS ADAM II",), "1989"), Holder("King", ("John",), "1989"))


def test_an_archive_is_read_as_its_folder(tmp_path: Path) -> None:
    archive = write_edition(tmp_path / "new.tar.gz", NEW)
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "folder", filter="data")
    found = load_profiles(archive)
    assert found == load_profiles(tmp_path / "folder") and [one.code for one in found] == ["ch", "eg", "pe", "ru", "sw"]


def odd_folder(folder: Path, kind: str) -> None:
    """A folder of profiles, one of which is no file, or of which two are of one country."""
    (folder / "land").mkdir(parents=True)
    (folder / "sea").mkdir()
    (folder / "land/ch.json").write_text('{"a": {}}')
    odd = folder / "sea" / ("ch.json" if kind == "twice" else "aa.json")
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    elif kind == "broken link":
        odd.symlink_to(folder / "absent")
    else:
        odd.write_text('{"a": {}}')


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pipe", r"sea/aa\.json: is not a file"),
        ("folder", r"sea/aa\.json: is not a file"),
        ("broken link", r"sea/aa\.json: does not exist"),
        ("twice", r"field 'name': holds a country twice \(got 'sea/ch\.json'\)"),
    ],
)
def test_what_is_no_profile_in_a_folder_is_named(kind: str, says: str, tmp_path: Path) -> None:
    odd_folder(tmp_path, kind)
    with pytest.raises(DataError, match=says):
        load_profiles(tmp_path)


def test_an_archive_that_is_cut_between_two_files_is_no_smaller_edition(tmp_path: Path) -> None:
    whole = gzip.decompress(write_edition(tmp_path / "new.tar.gz", NEW).read_bytes())
    with tarfile.open(tmp_path / "new.tar.gz") as opened:
        second = opened.getmembers()[1].offset
    (tmp_path / "cut.tar").write_bytes(whole[:second])
    with pytest.raises(DataError, match=r"is no readable tar archive .it ends without the mark of its end"):
        load_profiles(tmp_path / "cut.tar")


def test_a_profile_with_half_of_a_surrogate_pair_is_named(tmp_path: Path) -> None:
    content = b'{"Government": {"Executive branch": {"text": "King \\ud83d"}}}'
    with pytest.raises(DataError, match=r"land/zz\.json: holds half of a surrogate pair .got 'King .ud83d'"):
        load_profiles(write_edition(tmp_path / "new.tar.gz", NEW, **{"land__zz.json": content}))


@pytest.mark.parametrize("name", ["..__x__aa.json", "__etc__aa.json", "land__..__..__aa.json"])
def test_a_path_outside_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    archive = write_edition(tmp_path / "new.tar.gz", NEW, **{name: b"{}"})
    with pytest.raises(DataError, match="holds a path outside of its folder"):
        load_profiles(archive)


def test_links_of_an_archive_are_not_followed(tmp_path: Path) -> None:
    archive = tmp_path / "links.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        link = tarfile.TarInfo("land/aa.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    with pytest.raises(DataError, match=r"holds a country that is no file \(got 'land/aa\.json'\)"):
        load_profiles(archive)


@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000, b'"\xff"'])
def test_a_damaged_profile_is_named(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"land/zz.json.*(is not a country profile|is not JSON)"):
        load_profiles(write_edition(tmp_path / "new.tar.gz", NEW, **{"land__zz.json": content}))


def test_a_country_twice_and_damaged_archives_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds a country twice"):
        load_profiles(write_edition(tmp_path / "twice.tar.gz", NEW, **{"other__ch.json": b'{"a": {}}'}))
    whole = write_edition(tmp_path / "whole.tar.gz", NEW).read_bytes()
    for number, damaged in enumerate((whole[: len(whole) // 2], whole[:30], b"no archive", whole[:200] + b"\0" * 40)):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is no readable tar archive"):
            load_profiles(path)
    with pytest.raises(DataError, match="absent"):
        load_profiles(tmp_path / "absent.tar.gz")


def test_real_editions_are_read() -> None:
    folder = Path(os.environ.get("RAG_DATA", "absent")) / "factbook"
    if not folder.is_dir():
        pytest.skip("RAG_DATA names no folder with two editions of factbook.json")
    old, new = (load_profiles(folder / f"factbook.json-{date}.tar.gz") for date in ("2016-11-26", "2021-01-01"))
    assert (len(old), len(new)) == (261, 261)
    left_out = Counter[str]()
    found = changed_positions(old, new, [profile.name for profile in new], left_out)
    assert len(found) == 139 and len({(one.code, one.old.names[0], one.new.names[0]) for one in found}) == 139
    france = next(one for one in found if one.question == "who is the president of france")
    assert (france.old.names[0], france.new.names[0]) == ("Francois HOLLANDE", "Emmanuel MACRON")
