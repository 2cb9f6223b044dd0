"""Reading text files: plain or gzip, one line at a time."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_json, read_jsonl_objects, read_lines


def test_plain_and_gzip_are_told_apart_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_text("é\nb", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(gzip.compress("é\nb".encode()))
    assert list(read_lines(tmp_path / "a.gz")) == list(read_lines(tmp_path / "b.txt")) == ["é\n", "b"]


def test_memory_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "big.gz"
    file.write_bytes(gzip.compress(b"0123456789\n" * 200_000))
    tracemalloc.start()
    count = sum(1 for _ in read_lines(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200_000
    assert peak < 1_000_000


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
