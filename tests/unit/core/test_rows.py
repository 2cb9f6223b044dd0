"""Rows of any store: long JSON in pieces, tables, folders and archives, and what cannot be read."""

from __future__ import annotations

import bz2
import io
import json
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.json_stream import BLOCK, json_columns, json_items, json_members
from rag_lightning.core.rows import read_rows
from rag_lightning.tasks.layout import look_at_head
from rag_lightning.tasks.spec import get_task
from tests.format_files import write_rows
from tests.question_files import SAMPLES, check

NQ = get_task("nq")
CLUE = {"category": "TOWNS", "question": "'It stands on the Amber'", "answer": "Alderford", "round": "Jeopardy!"}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz", "tar.bz2"])
def test_searchqa_as_released_is_a_file_a_clue(kind: str, tmp_path: Path) -> None:
    contents = {
        f"{i:06}.json": json.dumps({**CLUE, "answer": f"Town {i}", "search_results": [{"url": "u"}]}) for i in range(3)
    }
    path = tmp_path / "train" if kind == "folder" else tmp_path / f"train.{kind}"
    if kind == "folder":
        path.mkdir()
        for name, text in contents.items():
            (path / name).write_text(text)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in contents.items():
                archive.writestr(f"train/{name}", text)
    else:
        with tarfile.open(path, f"w:{kind[-2:] if kind.endswith('gz') else 'bz2'}") as archive:
            for name, text in contents.items():
                member = tarfile.TarInfo(f"train/{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
    reading = get_task("jeopardy").reading(path)
    assert reading.layout == "SearchQA" and [e.query for e in reading.examples] == ["Town 0", "Town 1", "Town 2"]


def test_bad_archives_and_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "a.tar").write_bytes(b"no archive" * 200)
    (tmp_path / "folder").mkdir()
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "1.json").write_text('{"question": ')
    with zipfile.ZipFile(tmp_path / "splits.zip", "w") as archive:
        for name in ("train/1.json", "test/2.json"):
            archive.writestr(name, json.dumps(CLUE))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    expected = {
        "a.zip": "archive that cannot be read",
        "a.tar": "archive that cannot be read",
        "splits.zip": "holds the folders train and test; unpack it",
        "folder": "folder without arrow, parquet or JSON files",
        "json": r"1\.json: is not JSON",
        "a.parquet": "cannot be read after row 0",
    }
    for name, says in expected.items():
        with pytest.raises(DataError, match=says):
            get_task("jeopardy").read(tmp_path / name)


def test_folders_of_save_to_disk_and_arrow(tmp_path: Path) -> None:
    rows = SAMPLES[0].rows()
    check(SAMPLES[0], NQ.read(write_rows(tmp_path / "saved", "saved", rows)))
    with (
        pa.OSFile(str(tmp_path / "q.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, pa.Table.from_pylist(rows).schema) as out,
    ):
        out.write_table(pa.Table.from_pylist(rows))
    check(SAMPLES[0], NQ.read(tmp_path / "q.arrow"))
    both = tmp_path / "both"
    (both / "train").mkdir(parents=True)
    (both / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(DataError, match="holds the splits train; give one, as both/SPLIT"):
        NQ.read(both)
    for split in ("train", "validation"):
        write_rows(both / f"{split}-00000-of-00001.parquet", "parquet", rows)
    (both / "dataset_dict.json").unlink()
    with pytest.raises(DataError, match="holds files of train, validation"):
        NQ.read(both)


def test_a_long_list_is_read_in_pieces(tmp_path: Path) -> None:
    """Items of many sizes over several blocks, with numbers and words that a block's end can cut."""
    items = [{"a": "é" * (i % 7 * 20_000), "b": [i, -1.5e3, True, None], "c": '\\"]}'} for i in range(40)]
    text = json.dumps([*items, 12345, "end"], ensure_ascii=False, indent=1)
    assert len(text.encode()) > 3 * BLOCK
    (tmp_path / "l.json").write_text(text)
    (tmp_path / "l.json.bz2").write_bytes(bz2.compress(text.encode()))
    for name in ("l.json", "l.json.bz2"):
        assert [item for _, item in json_items(tmp_path / name)] == json.loads(text)
    for at in range(BLOCK - 40, BLOCK + 1):  # the end of a block falls on every character of the row
        row = '[" ", 1234567, true, false, -Infinity, "\\u00e9é"]'
        (tmp_path / "cut.json").write_text(f"[{' ' * (at - len(row))}{row}]")
        assert [len(item) for _, item in json_items(tmp_path / "cut.json")] == [6]
    members = {"large": [{"x": [1, {"y": 2}]}] * 3, "kept": {"0": "a", "1": [2]}}
    (tmp_path / "o.json").write_text(json.dumps(members))
    assert dict(json_members(tmp_path / "o.json")) == members
    found = json_columns(tmp_path / "o.json", lambda name: name != "large")
    assert list(found) == [("kept", "0", "a"), ("kept", "1", [2])]


def test_questions_with_their_passages_are_read_in_bounded_memory(tmp_path: Path) -> None:
    row = json.dumps({"question": "q", "answers": ["a"], "ctxs": [{"id": "1", "title": "T", "text": "x" * 100_000}]})
    path = tmp_path / "fid.json"
    path.write_text(f"[{','.join([row] * 150)}]")
    tracemalloc.start()
    found = NQ.reading(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.layout, len(found.examples)) == ("FiD or DPR with ctxs", 150)
    assert peak < 8 * BLOCK < path.stat().st_size


@pytest.mark.parametrize("text", ["[1, 2", '[1,\n{"a": }]', "[1] 2", "[1,]", '["a', "{", "[1 2]", '[{"a" 1}]', "[nul]"])
def test_a_broken_list_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(text)
    with pytest.raises(DataError, match="is not JSON"):
        list(json_items(tmp_path / "l.json"))


def test_large_columns_are_left_out(tmp_path: Path) -> None:
    row = {"query": "q", "answers": ["a"], "passages": {"passage_text": ["x"]}}
    for store in ("columns", "parquet"):
        assert [sorted(r) for _, r in read_rows(write_rows(tmp_path / store, store, [row]))] == [["answers", "query"]]
    assert look_at_head(tmp_path / "parquet").shape == "parquet"
