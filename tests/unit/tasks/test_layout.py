"""How a file's shape is told from its first part."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_head
from rag_lightning.tasks.layout import look_at_head

OBJECT = {"query": "a", "answers": ["b: {", '"x": 1']}


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("f.jsonl", json.dumps(OBJECT), "JSON lines with answers, query"),
        ("f.json", json.dumps(OBJECT), "JSON lines with answers, query"),
        ("f.json", f"{json.dumps(OBJECT)}\n{json.dumps(OBJECT)}", "JSON lines with answers, query"),
        ("f.json", json.dumps({"data": [OBJECT]}), "JSON document with data"),
        ("f.jsonl", json.dumps({"data": [OBJECT]}), "JSON lines with data"),
        ("f.json", json.dumps(OBJECT, indent=2), "JSON document with answers, query"),
        ("f.json", json.dumps({"query": {"0": "a"}, "answers": {}}), "JSON columns with query"),
        ("f.json", f"\ufeff\n [{json.dumps(OBJECT)}, 3]", "JSON list with answers, query"),
        ("f.json", "[3]", "JSON list with no fields"),
        ("f.tsv", "\n a\tB\t\nx\n", "tab-separated text of 3 columns"),
    ],
)
def test_shapes(tmp_path: Path, name: str, text: str, shown: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert str(look_at_head(tmp_path / name)) == shown
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert str(look_at_head(tmp_path / f"{name}.gz")) == shown


def test_large_columns_are_told_by_the_names_in_sight(tmp_path: Path) -> None:
    columns = {"query": {str(i): "é" * 100 for i in range(6_000)}, "answers": {}}
    (tmp_path / "f.json").write_text(json.dumps(columns, ensure_ascii=False))
    head = look_at_head(tmp_path / "f.json")
    assert head.shape == "JSON columns" and "query" in head.keys and not head.rows


def test_a_sign_cut_in_two_is_left_off(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("aé", encoding="utf-8")
    assert (read_head(tmp_path / "f", 2), read_head(tmp_path / "f", 9)) == ("a", "aé")


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    for content, says in ((b"a\nb\xff\n", "row 2: is not UTF-8"), (b" \n", "is empty"), (b"", "is empty")):
        (tmp_path / "f").write_bytes(content)
        with pytest.raises(DataError, match=says):
            look_at_head(tmp_path / "f")
    (tmp_path / "f").write_bytes(gzip.compress(b"a" * 10_000)[:30])
    with pytest.raises(DataError, match="cut or damaged gzip"):
        look_at_head(tmp_path / "f")
