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

TSV = 'id\ttext\ttitle\n1\tPlain text.\tA\n2\t"He said ""hi"" to me."\t"The ""B"" side"\n7\tCafé\tÉ\n'


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_dpr_tsv_is_unquoted(tmp_path: Path) -> None:
    passages = list(read_passages(write(tmp_path / "p.tsv", TSV)))
    assert passages[1] == Passage("2", 'The "B" side', 'He said "hi" to me.')
    assert [p.passage_id for p in passages] == ["1", "2", "7"]


def test_a_file_that_quotes_nothing_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "p.tsv", 'id\ttext\ttitle\n1\t"A Milli", a song\t"A"\n2\tsaid ""hi""\tB\n')
    for quoting in ("none", "csv"):
        found = read_passages(path, quoting)  # type: ignore[arg-type]
        assert [(p.text, p.title) for p in found] == [('"A Milli", a song', '"A"'), ('said ""hi""', "B")]
        assert found.notes == (
            ["p.tsv: read without csv quoting: a field of row 2 begins with a double quote and is not quoted as csv"]
            if quoting == "csv"
            else []
        )


def test_the_user_decides_where_a_file_can_be_read_both_ways(tmp_path: Path) -> None:
    path = write(tmp_path / "p.tsv", 'id\ttext\ttitle\n1\t"the ""B"" side"\tT\n')
    assert [p.text for p in read_passages(path)] == ['the "B" side']
    assert [p.text for p in read_passages(path, "none")] == ['"the ""B"" side"']


def test_gzip_is_told_from_content(tmp_path: Path) -> None:
    plain = list(read_passages(write(tmp_path / "p.tsv", TSV)))
    assert list(read_passages(write(tmp_path / "p.dat", gzip.compress(TSV.encode())))) == plain


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + TSV.replace("\n", "\r\n").encode()
    assert [p.title for p in read_passages(write(tmp_path / "p.tsv", content))] == ["A", 'The "B" side', "É"]


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    rows: Iterator[Passage] = iter(read_passages(write(tmp_path / "p.tsv", TSV + "bad row\n")))
    assert next(rows).passage_id == "1"


@pytest.mark.parametrize(
    ("content", "row", "field", "says"),
    [
        (b"", None, None, "is empty"),
        (gzip.compress(b"", mtime=0), None, None, "is empty"),
        ("id\ttext\ttitle\n", None, None, "holds no passages"),
        ("id\ttitle\tbody\n1\ta\tb\n", 1, None, "wrong header"),
        ("id\ttext\ttitle\n1\ta\n", 2, None, "has 2 fields instead of 3"),
        ("id\ttext\tID\n1\ta\tb\n", 1, "header", "names a column twice"),
        ("id\ttext\ttitle\n1\ta\tb\tc\n", 2, None, "4 fields"),
        ("id\ttext\ttitle\n\ta\tb\n", 2, "id", "must be"),
        ("id\ttext\ttitle\n1\t \t\n", 2, "text", "is empty"),
        ('id\ttext\ttitle\n1\t"two\nlines"\tb\n', 2, None, "has 2 fields instead of 3; row 2 opens a double quote"),
        ('id\ttext\ttitle\n1\t"a\tb"\tc\n', 2, None, "has 4 fields instead of 3; row 2 opens a double quote"),
        (b"id\ttext\ttitle\n1\ta\tb\n2\tcaf\xe9\tb\n", 3, None, "not UTF-8"),
        (gzip.compress(TSV.encode() * 50, mtime=0)[:-30], None, None, "cut or damaged gzip"),
        ('{"id": 1, "title": "a"}\n', 1, "text", "is missing"),
        ('{"id": 1, "title": "a", "text": 3}\n', 1, "text", "must be a string"),
        ('{"id": null, "title": "a", "text": "b"}\n', 1, "id", "is null, and must be"),
        ('{"id": 1, "title": 2, "text": "b"}\n', 1, "title", "must be a string"),
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


def test_a_path_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; check the path; a data set of the hub is given as hub:NAME"):
        read_passages(tmp_path / "missing.tsv")


def test_duplicate_id_names_both_rows(tmp_path: Path) -> None:
    content = "id\ttext\ttitle\n1\ta\tx\n2\tb\tx\n\n3\tc\tx\n2\td\tx\n"
    with pytest.raises(DataError, match=r"row 6, field 'id': occurs in row 3 already \(got '2'\)"):
        list(read_passages(write(tmp_path / "p.tsv", content)))


@pytest.mark.skipif("RAG_DATA" not in os.environ, reason="RAG_DATA does not name the folder of real data")
def test_real_dpr_file() -> None:
    ids = [int(p.passage_id) for p in read_passages(Path(os.environ["RAG_DATA"]) / "passages/psgs_w100.tsv.gz")]
    assert len(ids) == 33_731
    assert ids[:2] == [1, 2]
