"""A line or value without end costs bounded memory and is one line of error, in every reader."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rag_lightning.core import compression
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_json, read_lines
from rag_lightning.core.rows import read_rows
from rag_lightning.corpus.passages import read_passages
from rag_lightning.retrieval.vector_ids import read_ids
from rag_lightning.tasks.biencoder import read_biencoder
from rag_lightning.tasks.results.record import get_format, items_of, mapping_of

MIB = 1 << 20
LONG = b"x" * (24 * MIB)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda content: gzip.compress(content, 1),
    "bz2": lambda content: bz2.compress(content, 1),
    "xz": lambda content: lzma.compress(content, preset=0),
    "zst": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
    "": bytes,
}
READERS: dict[str, tuple[bytes, bytes, Callable[[Path], Iterable[Any]]]] = {
    "corpus.jsonl": (b'{"id": "1", "text": "', b'"}\n', read_passages),
    "corpus.tsv": (b"id\ttext\ttitle\n1\t", b"\tt\n", read_passages),
    "corpus.csv": (b"id,text,title\n1,", b",t\n", read_passages),
    "corpus.json": (b'[{"id": "1", "text": "', b'"}]', read_passages),
    "folder/a.md": (b"# Title\n", b"\n", lambda path: read_passages(path.parent)),
    "folder/a.txt": (b"", b"", lambda path: read_passages(path.parent)),
    "columns.json": (b'{"query": {"0": "', b'"}}', read_rows),
    "document.json": (b'{"data": "', b'"}', lambda path: [read_json(path)]),
    "run.trec": (b"q Q0 ", b" 1 1.0 r\n", lambda path: get_format("trec").read(path)),
    "result.jsonl": (b'{"id": "', b'"}\n', lambda path: get_format("ours").read(path)),
    "result.json": (b'[{"id": "', b'"}]', items_of),
    "by_id.json": (b'{"q1": {"a": "', b'"}}', lambda path: mapping_of(path, bool) or {}),
    "biencoder.json": (b'[{"question": "', b'"}]', lambda path: read_biencoder(path, 1)),
    "ids.txt": (b"a\n", b"\n", read_ids),
    "ids.json": (b'["', b'"]', read_ids),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound that files of a test pass."""
    monkeypatch.setattr(compression, "LONGEST", MIB)


def refuse(read: Callable[[], Iterable[Any]]) -> str:
    """The error that a reader raises, with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="of more than 1 MiB") as caught:
            list(read())
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_a_line_without_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_lightning.tasks.results.record.LONGEST", MIB)
    before, after, read = READERS[name]
    path = tmp_path / f"{name}.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(COMPRESS["gz"](before + LONG + after))
    list(READERS["corpus.jsonl"][2](write_small(tmp_path)))  # imports what reads it
    assert path.name in refuse(lambda: read(path))


def write_small(folder: Path) -> Path:
    path = folder / "small.jsonl"
    path.write_text('{"id": "1", "text": "a"}\n')
    return path


@pytest.mark.parametrize("ending", COMPRESS)
def test_in_every_compression(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"lines.{ending}"
    path.write_bytes(COMPRESS[ending](b"a\n" + LONG))
    assert "row 2: is a line of more than" in refuse(lambda: read_lines(path))


def test_white_space_without_end_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "l.json.gz"
    path.write_bytes(COMPRESS["gz"](b'[{"a": 1},' + b" " * (24 * MIB) + b'{"a": 2}]'))
    tracemalloc.start()
    assert [values for _, values in read_rows(path, "JSON list")] == [{"a": 1}, {"a": 2}]
    assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    tracemalloc.stop()


def test_an_article_of_many_lines_is_bounded_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(COMPRESS["gz"](b"word\n" * (5 * MIB)))
    assert "is a text of more than" in refuse(lambda: read_passages(tmp_path))


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "folder"])
def test_a_member_of_an_archive(kind: str, tmp_path: Path) -> None:
    content = b'{"a": "' + LONG + b'"}'
    path = tmp_path / f"rows.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("a.json", content)
    elif kind == "folder":
        path.mkdir()
        (path / "a.json").write_bytes(content)
    else:
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:
            member = tarfile.TarInfo("a.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert "a.json: is a file of one row of more than" in refuse(lambda: read_rows(path, "JSON files"))


def test_a_list_or_columns_of_any_length_in_one_line_are_read(tmp_path: Path) -> None:
    """The bound is that of a row, not of a file that has no line ends."""
    row = '{"id": "%d", "text": "' + "x" * 1000 + '"}'
    (tmp_path / "l.json").write_text("[" + ", ".join(row % i for i in range(3000)) + "]")
    assert sum(1 for _ in read_passages(tmp_path / "l.json")) == sum(1 for _ in items_of(tmp_path / "l.json")) == 3000
    (tmp_path / "ids.json").write_text("[" + ", ".join(f'"{i:0100}"' for i in range(20_000)) + "]")
    assert sum(1 for _ in read_ids(tmp_path / "ids.json")) == 20_000
    column = ", ".join(f'"{i}": "{"x" * 1000}"' for i in range(3000))
    (tmp_path / "c.json").write_text(f'{{"query": {{{column}}}}}')
    assert sum(1 for _ in read_rows(tmp_path / "c.json")) == 3000


@pytest.mark.parametrize("depth", [900, 990, 1000, 100_000])
@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "ids.json"])
def test_what_is_nested_too_deeply_is_one_line(depth: int, name: str, tmp_path: Path) -> None:
    """Also just below the depth that JSON itself refuses, where the message shows the value."""
    row = '{"id": ' + "[" * depth + "]" * depth + ', "text": "a"}'
    path = tmp_path / name
    path.write_text(row if name.endswith("l") else f"[{row}]")
    with pytest.raises(DataError) as caught:
        list(read_ids(path) if name == "ids.json" else read_passages(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
