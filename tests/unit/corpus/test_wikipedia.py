"""Dumps of Wikipedia: which pages make passages, how they are stored, and every way a dump can be bad."""

from __future__ import annotations

import bz2
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.assets import asset_path
from rag_lightning.core.errors import DataError
from rag_lightning.core.mediawiki import PAGE_BYTES, read_pages
from rag_lightning.core.records import Passage
from rag_lightning.corpus.passages import read_passages
from rag_lightning.corpus.work import Work
from tests.format_files import dump_of


def page(number: int, wikitext: str, **more: Any) -> dict[str, Any]:
    return {"page_id": str(number), "title": f"T{number}", "namespace": "0", "wikitext": wikitext, **more}


PAGES = [
    page(10, "", redirect="T12"),
    page(12, "'''Ada''' & [[File:a.jpg|thumb|no]] wrote <ref>x</ref> [[Note G|notes]]."),
    page(13, "#REDIRECT [[T12]]"),
    page(14, "A template.", namespace="10"),
    page(15, "May refer to:\n* [[T12]]\n{{disambig}}"),
    page(16, "Also:", title="Ada (disambiguation)"),
    page(17, "{{hndis|Ada}}"),
    page(18, "{{Human name disambiguation | x}}"),
    page(19, "[[Kategorie:Ort]]\n* nothing but a list"),
    page(20, "return {}", model="Scribunto"),
    page(21, " ".join(f"w{i}" for i in range(250)) + " {{notdisambig}}"),
]
LEFT_OUT = [
    "disambiguation pages left out: 4",
    "pages of other namespaces left out: 1",
    "pages without wikitext left out: 1",
    "redirects left out: 2",
    "rows without text left out: 1",
]
WORDS = [f"w{i}" for i in range(250)]
PASSAGES = [
    Passage("12#0", "T12", "Ada & wrote notes."),
    *(Passage(f"21#{i}", "T21", " ".join(WORDS[100 * i : 100 * i + 100])) for i in range(3)),
]


def multistream(raw: bytes) -> bytes:
    return b"".join(bz2.compress(raw[start : start + 700]) for start in range(0, len(raw), 700))


@pytest.mark.parametrize("store", [bytes, bz2.compress, multistream])
def test_articles_are_read_and_the_rest_is_counted(tmp_path: Path, store: Callable[[bytes], bytes]) -> None:
    (tmp_path / "dump").write_bytes(store(dump_of(PAGES)))
    found = read_passages(tmp_path / "dump")
    assert found.layout == "Wikipedia, Wikipedia dump"
    assert (list(found), found.notes) == (PASSAGES, LEFT_OUT)
    assert [row for _, row, _ in found.place(found.left_out)] == [2, 11, 11, 11], "the number of the page"


def test_the_parts_of_a_dump_are_one_corpus(tmp_path: Path) -> None:
    (tmp_path / "wiki-pages-articles1.xml-p1p12.bz2").write_bytes(bz2.compress(dump_of(PAGES[:2])))
    (tmp_path / "wiki-pages-articles2.xml-p13p99.bz2").write_bytes(bz2.compress(dump_of(PAGES[2:])))
    (tmp_path / "wiki-index.txt").write_text("600:10:T10\n")
    found = read_passages(tmp_path)
    assert list(found) == PASSAGES and found.notes == ["other files left out: 1", *LEFT_OUT]


@pytest.mark.parametrize("block", [1, 300, 1 << 20])
@pytest.mark.parametrize("processes", [1, 2])
def test_blocks_and_processes_change_nothing(tmp_path: Path, block: int, processes: int) -> None:
    (tmp_path / "dump").write_bytes(dump_of(PAGES))
    found = read_passages(tmp_path / "dump", work=Work(processes, tmp_path / "kept", block))
    assert (list(found), found.notes) == (PASSAGES, LEFT_OUT)


def test_finished_blocks_are_used_again_unless_they_are_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(dump_of([page(i, f"text {i}") for i in range(20)]))
    work = Work(1, tmp_path / "kept", block=1, version="1")
    rows = iter(read_passages(tmp_path / "dump", work=work))
    assert [next(rows).text for _ in range(5)] == [f"text {i}" for i in range(5)]
    rows.close()  # type: ignore[attr-defined]
    kept = sorted((tmp_path / "kept").glob("0*.json"))
    assert len(kept) == 5, "nothing is made before it is asked for"
    times = [one.stat().st_mtime_ns for one in kept]
    whole = list(read_passages(tmp_path / "dump", work=work))
    assert [one.text for one in whole] == [f"text {i}" for i in range(20)]
    assert [one.stat().st_mtime_ns for one in kept] == times
    assert list(read_passages(tmp_path / "dump", work=Work(1, tmp_path / "kept", 1, "2"))) == whole
    assert kept[0].stat().st_mtime_ns != times[0]
    kept[1].write_text(kept[1].read_text().replace("text 1", "text 9"))
    with pytest.raises(DataError, match=r"00000001\.json: was altered"):
        list(read_passages(tmp_path / "dump", work=Work(1, tmp_path / "kept", 1, "2")))


def test_an_error_behind_the_blocks_in_work_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(dump_of(PAGES)[: -len("</mediawiki>\n")])
    with pytest.raises(DataError, match=r"dump, row 12: is cut short \(line \d+, column \d+\); fetch it again"):
        list(read_passages(tmp_path / "dump", work=Work(2, None, 1)))


def test_a_killed_process_is_one_line_and_finished_blocks_stay(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(dump_of([page(i, f"text {i}") for i in range(100)]))
    work = Work(2, tmp_path / "kept", 1)
    rows = iter(read_passages(tmp_path / "dump", work=work))
    next(rows)
    for child in multiprocessing.active_children():
        child.kill()
    with pytest.raises(DataError, match=r"dump, row \d+: a process that reads it was killed.*lower corpus\.processes"):
        list(rows)
    assert list((tmp_path / "kept").glob("0*.json")) and not multiprocessing.active_children()
    assert [one.text for one in read_passages(tmp_path / "dump", work=work)] == [f"text {i}" for i in range(100)]


START = b"<mediawiki><page><title>a</title><ns>0</ns><id>1</id><revision><text>a</text></revision></page>"
BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;">]>' + START.replace(b"<text>a", b"<text>&c;")
TWICE = START.replace(b"</revision>", b"</revision><revision><text>b</text></revision>") + b"</mediawiki>"
BAD = {
    "cut XML": (START, r"row 2: is cut short \(line 1, column \d+\)"),
    "a tag that is not closed": (START[:-7] + b"</mediawiki>", r"row 1: is not well-formed XML \(mismatched"),
    "bytes that are not UTF-8": (START + b" " * (1 << 20) + b"<a>\xff</a>", r"row 2: is not well-formed XML \(not"),
    "an entity bomb": (BOMB, "row 1: declares a document type, as no dump does; nothing of it was expanded"),
    "an unknown entity": (START + b"<page>&nbsp;", r"row 2: is not well-formed XML \(undefined entity, line 1"),
    "several revisions": (TWICE, "row 1: has several revisions of a page; give pages-articles"),
    "no namespace": (START.replace(b"<ns>0</ns>", b"") + b"</mediawiki>", "field 'namespace': is missing"),
    "deep elements": (START + b"<page>" + b"<a>" * 20, "row 2: has elements nested more than 16 deep"),
    "a long title": (START + b"<page><title>" + b"a" * 5000, "row 2: has a title of more than 4 KiB"),
    "a long page": (START + b"<page><revision><text>" + b"a" * (PAGE_BYTES + 1), "row 2: has a wikitext of more"),
    "an encoding of no text": (b'<?xml version="1.0" encoding="zlib"?>' + START, "row 1: names an encoding that"),
    "an encoding of no name": (b'<?xml version="1.0" encoding="x-no"?>' + START, "row 1: names an encoding that"),
    "an encoding of many bytes": (b'<?xml version="1.0" encoding="gb2312"?>' + START, "row 1: names an encoding that"),
    "endless namespaces": (
        b"<mediawiki><siteinfo><namespaces>" + b'<namespace key="6">F</namespace>' * 101,
        "row 1: has more names of namespaces than any wiki",
    ),
    "something behind the end": (START + b"</mediawiki><mediawiki>", "is not well-formed XML .junk after document"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_dump_is_one_line_with_its_page(tmp_path: Path, bad: str) -> None:
    raw, says = BAD[bad]
    (tmp_path / "dump").write_bytes(raw)
    with pytest.raises(DataError, match=says) as found:
        list(read_passages(tmp_path / "dump"))
    assert str(found.value).startswith(f"{tmp_path / 'dump'}, row ") and "\n" not in str(found.value)


def test_a_tag_of_any_length_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "dump").open("wb") as handle:
        handle.write(START + b"<page a='")
        for _ in range((PAGE_BYTES >> 20) + 2):
            handle.write(b"a" * (1 << 20))
    with pytest.raises(DataError, match="row 2: has a tag of more than 4 MiB"):
        list(read_pages(tmp_path / "dump"))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_cut_bzip2_file_is_told(tmp_path: Path, share: float) -> None:
    pages = [page(i, " ".join(f"{hash((i, j))}" for j in range(300))) for i in range(300)]
    raw = multistream(dump_of(pages)) if share < 0.5 else bz2.compress(dump_of(pages), 1)
    (tmp_path / "dump").write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(DataError, match=r"dump, row \d+: is (a cut or damaged bzip2 file|cut short)"):
        list(read_passages(tmp_path / "dump"))


@pytest.mark.skipif("RAG_ASSETS" not in os.environ, reason="RAG_ASSETS names no folder of fetched assets")
def test_the_sample_of_2016() -> None:
    dump = asset_path("wikipedia_2016", Path(os.environ["RAG_ASSETS"]))
    if not dump.exists():
        pytest.skip("RAG_ASSETS holds no wikipedia_2016: `rag-lightning fetch --corpus.source wikipedia_2016`")
    found = read_passages(dump, work=Work(2))
    passages = list(found)
    assert len(passages) == 4079 and len({one.title for one in passages}) == 97
    assert max(len(one.text.split()) for one in passages) == 100
    assert passages[0].passage_id == "12#0" and passages[0].title == "Anarchism"
    assert passages[0].text.startswith("Anarchism is a political philosophy that advocates self-governed societies")
    assert found.notes == [
        "disambiguation pages left out: 8", "redirects left out: 100", "rows without text left out: 1"
    ]  # fmt: skip
    assert not [one for one in passages if "[[" in one.text or "{{" in one.text or "<ref" in one.text]
