"""Corpus readers: formats, quoting, bounded memory, and every way a file can be bad."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage
from rag_lightning.corpus.passages import read_passages

TSV = 'id\ttext\ttitle\n1\tPlain text.\tA\n2\t"He said ""hi"" to\tme."\t"The ""B"" side"\n7\tCafé\tÉ\n'


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_dpr_tsv_is_unquoted(tmp_path: Path) -> None:
    passages = list(read_passages(write(tmp_path / "p.tsv", TSV)))
    assert passages[1] == Passage("2", 'The "B" side', 'He said "hi" to\tme.')
    assert [p.passage_id for p in passages] == ["1", "2", "7"]


def test_a_file_that_quotes_nothing_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "p.tsv", 'id\ttext\ttitle\n1\t"A Milli", a song\t"A"\n2\tsaid ""hi""\tB\n')
    assert [(p.text, p.title) for p in read_passages(path, "none")] == [
        ('"A Milli", a song', '"A"'),
        ('said ""hi""', "B"),
    ]
    with pytest.raises(DataError, match=r"row 2.*not tab-separated csv.*corpus\.quoting=none"):
        list(read_passages(path))


def test_gzip_is_told_from_content(tmp_path: Path) -> None:
    plain = list(read_passages(write(tmp_path / "p.tsv", TSV)))
    assert list(read_passages(write(tmp_path / "p.dat", gzip.compress(TSV.encode())))) == plain


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + TSV.replace("\n", "\r\n").encode()
    assert [p.title for p in read_passages(write(tmp_path / "p.tsv", content))] == ["A", 'The "B" side', "É"]


def test_jsonl_and_beir(tmp_path: Path) -> None:
    content = '{"id": 5, "title": "T", "text": "x"}\n\n{"_id": "d1", "title": "", "text": "y", "metadata": {}}\n'
    assert list(read_passages(write(tmp_path / "c.jsonl", content))) == [Passage("5", "T", "x"), Passage("d1", "", "y")]


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    rows: Iterator[Passage] = read_passages(write(tmp_path / "p.tsv", TSV + "bad row\n"))
    assert next(rows).passage_id == "1"


@pytest.mark.parametrize(
    ("content", "row", "field", "says"),
    [
        (b"", None, None, "is empty"),
        (gzip.compress(b"", mtime=0), None, None, "is empty"),
        ("id\ttext\ttitle\n", None, None, "holds no passages"),
        ("id\ttitle\tbody\n1\ta\tb\n", 1, None, "wrong header"),
        ("id\ttext\ttitle\n1\ta\n", 2, "title", "is missing"),
        ("id\ttext\ttitle\n1\ta\tb\tc\n", 2, None, "4 fields"),
        ("id\ttext\ttitle\n\ta\tb\n", 2, "id", "must be"),
        ("id\ttext\ttitle\n1\t \t\n", 2, "text", "is empty"),
        ('id\ttext\ttitle\n1\t"open\tb\n', 2, None, "not tab-separated csv"),
        ('id\ttext\ttitle\n1\t"a" b\tc\n', 2, None, "not tab-separated csv"),
        ('id\ttext\ttitle\n1\t"two\nlines"\tb\n2\tx\n', 4, "title", "is missing"),
        (b"id\ttext\ttitle\n1\ta\tb\n2\tcaf\xe9\tb\n", 3, None, "not UTF-8"),
        (gzip.compress(TSV.encode() * 50, mtime=0)[:-30], None, None, "cut or damaged gzip"),
        ('{"id": 1, "title": "a"}\n', 1, "text", "is missing"),
        ('{"id": 1, "title": "a", "text": 3}\n', 1, "text", "must be a string"),
        ('{"id": null, "title": "a", "text": "b"}\n', 1, "id", "must be"),
        ('{"id": 1, "title": "a", "text": "b"}\n{"id": 2, \n', 2, None, "is not JSON"),
        ('{"id": 1, "title": "a", "text": "b"}\n[1]\n', 2, None, "not a JSON object"),
    ],
)
def test_bad_file_is_named(tmp_path: Path, content: str | bytes, row: int | None, field: str | None, says: str) -> None:
    path = write(tmp_path / "bad.file", content)
    with pytest.raises(DataError, match=says) as caught:
        list(read_passages(path))
    assert (caught.value.path, caught.value.field) == (path, field)
    if row is not None:
        assert caught.value.row == row


@pytest.mark.parametrize("name", ["missing.tsv", "."])
def test_not_a_file_is_said_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"does not exist|is not a file"):
        read_passages(tmp_path / name)


def test_duplicate_id_names_both_rows(tmp_path: Path) -> None:
    content = 'id\ttext\ttitle\n1\ta\tx\n2\t"b\nb"\tx\n3\tc\tx\n2\td\tx\n'
    with pytest.raises(DataError, match=r"row 6, field 'id': occurs in row 3 already \(got '2'\)"):
        list(read_passages(write(tmp_path / "p.tsv", content)))


@pytest.mark.skipif("RAG_DATA" not in os.environ, reason="RAG_DATA does not name the folder of real data")
def test_real_dpr_file() -> None:
    ids = [int(p.passage_id) for p in read_passages(Path(os.environ["RAG_DATA"]) / "passages/psgs_w100.tsv.gz")]
    assert len(ids) == 33_731
    assert ids[:2] == [1, 2]
