"""Text files are read one line at a time and written whole; digests follow the content."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import (
    content_digest,
    file_digest,
    folder_digest,
    read_json,
    read_jsonl_objects,
    read_lines,
    write_json,
    write_lines,
)


def test_plain_and_gzip_are_told_apart_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_text("é\nb", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(gzip.compress("é\nb".encode()))
    assert list(read_lines(tmp_path / "a.gz")) == list(read_lines(tmp_path / "b.txt")) == ["é\n", "b"]


def test_objects_keep_the_row_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n')
    assert list(read_jsonl_objects(tmp_path / "a.jsonl")) == [(1, {"a": 1}), (3, {"a": 2})]


def test_fault_of_a_json_file_names_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[\n1,\n2,,\n]")
    with pytest.raises(DataError, match=r"a\.json, row 3: is not JSON"):
        read_json(tmp_path / "a.json")


def test_encoding_fault_names_row_and_byte(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok\nab\xff\n")
    with pytest.raises(DataError, match=r"row 2: is not UTF-8 \(byte 3"):
        list(read_lines(tmp_path / "a.txt"))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert write_lines(path, ["é", "b"]) == 2
    assert path.read_text(encoding="utf-8") == "é\nb\n"

    def lines() -> Iterator[str]:
        yield "half"
        raise DataError("source", "is cut short")

    with pytest.raises(DataError, match="cut short"):
        write_lines(path, lines())
    assert path.read_text(encoding="utf-8") == "é\nb\n"
    assert list(tmp_path.iterdir()) == [path]


def test_digests_follow_content_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("1")
    (tmp_path / "y.txt").write_text("1")
    assert file_digest(tmp_path / "a" / "x.txt") == file_digest(tmp_path / "y.txt") == content_digest("1")
    before = folder_digest(tmp_path)
    (tmp_path / "empty").touch()
    assert folder_digest(tmp_path) == before
    (tmp_path / "y.txt").rename(tmp_path / "z.txt")
    assert folder_digest(tmp_path) != before
    with pytest.raises(DataError, match="is empty"):
        file_digest(tmp_path / "empty")


def test_write_json_leaves_the_old_file_where_the_value_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"é": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    assert list(tmp_path.iterdir()) == [path]
