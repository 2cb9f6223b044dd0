"""Text files are read one line at a time and written whole; digests follow the content."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import (
    content_digest,
    file_digest,
    folder_digest,
    read_json,
    read_jsonl_objects,
    read_lines,
    read_sealed,
    write_json,
    write_lines,
    write_sealed,
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


TEXTS = st.text(st.characters(codec="utf-8"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(TEXTS.filter(lambda name: name != "seal"), PLAIN))
def test_a_sealed_object_comes_back_and_may_be_laid_out_anew(value: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        write_sealed(path, value)
        assert read_sealed(path) == value
        raw = json.loads(path.read_text(encoding="utf-8"))
        assert list(raw)[-1] == "seal"
        path.write_text(json.dumps(raw, indent=4, sort_keys=True))
        assert read_sealed(path) == value
        write_sealed(path, raw)
        assert read_sealed(path) == value, "an earlier seal is replaced"


STATE = {"status": "finished", "metrics": {"em": {"mean": 41.5, "n": 500}}, "notes": ["a", "é"], 1: (2, None)}


@given(st.data())
def test_no_flip_or_cut_of_a_sealed_file_is_read_as_another_value(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        write_sealed(path, STATE)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del content[at:]
        before = read_sealed(path)
        path.write_bytes(content)
        try:
            assert read_sealed(path) == before, "a blank"
        except DataError as error:
            assert str(error).startswith(str(path)) and str(error).endswith("; remove it and run again")


def test_half_of_a_surrogate_pair_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would hold half of a surrogate pair; write the whole character"):
        write_sealed(tmp_path / "run.json", {"name": "\ud800"})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a": 1}', "has no seal"),
        (b'{"a": 1, "seal": "0000000000000000"}', "was altered: its seal is that of another content"),
        (b'{"a": 1, "seal": null}', "was altered"),
        (b'{"a": "\\ud800", "seal": "0000000000000000"}', "is cut short or damaged"),
        (b"\xff\xfe{}", "is cut short or damaged"),
        (b"[" * 100_000, "is cut short or damaged"),
        (b"[]", "is not a JSON object"),
        (b"", "is cut short or damaged"),
    ],
)
def test_what_is_not_sealed_is_one_line_with_the_remedy(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"run\.json: {problem}[^\n]*; remove it$"):
        read_sealed(path, "remove it")
    path.unlink()
    with pytest.raises(DataError, match=r"run\.json: is missing; remove it$"):
        read_sealed(path, "remove it")
    path.mkdir()
    with pytest.raises(DataError, match=r"run\.json: cannot be read \(Is a directory\); remove it$"):
        read_sealed(path, "remove it")
