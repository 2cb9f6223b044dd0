"""The corpus on disk: rows and ids, duplicates, damage, other processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from rag_lightning.core.errors import ArtifactError, DataError
from rag_lightning.core.records import Passage, read_jsonl
from rag_lightning.corpus import store
from rag_lightning.corpus.store import PassageStore, first_duplicate, write_passages

PASSAGES = [Passage(f"p{i}", f"Título {i}", f'line\nbreak \u2028 "quotes" {i}' * (i + 1)) for i in range(50)]


def test_rows_and_ids_come_back(tmp_path: Path) -> None:
    info = write_passages(tmp_path, iter(PASSAGES))
    opened = PassageStore(tmp_path)
    assert info["passages"] == len(opened) == 50
    assert list(opened) == PASSAGES
    assert [opened.row(p.passage_id) for p in PASSAGES] == list(range(50))
    assert opened[np.int64(7)] == PASSAGES[7]
    assert list(read_jsonl(tmp_path / "passages.jsonl", Passage)) == PASSAGES


@pytest.mark.parametrize("row", [-1, 50])
def test_row_outside_is_an_error(tmp_path: Path, row: int) -> None:
    write_passages(tmp_path, PASSAGES)
    with pytest.raises(IndexError, match="50 passages"):
        PassageStore(tmp_path)[row]


def test_unknown_id(tmp_path: Path) -> None:
    write_passages(tmp_path, PASSAGES)
    assert PassageStore(tmp_path).find("p50") is None
    with pytest.raises(DataError, match="p50"):
        PassageStore(tmp_path).row("p50")


def test_duplicate_ids_name_both_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 51, field 'passage_id': occurs in row 4 already"):
        write_passages(tmp_path, [*PASSAGES, PASSAGES[3]])


def test_equal_hashes_of_different_ids_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "hash_id", lambda passage_id: 42)
    write_passages(tmp_path, PASSAGES)
    assert [PassageStore(tmp_path).row(p.passage_id) for p in PASSAGES[::7]] == list(range(0, 50, 7))
    assert PassageStore(tmp_path).find("nothing") is None


def test_different_ids_have_different_hashes() -> None:
    assert store.hash_id("a") != store.hash_id("b")


def test_first_duplicate_is_the_earliest_repetition() -> None:
    ids = ["a", "b", "c", "b", "a"]
    hashes = np.array([store.hash_id(i) for i in ids], dtype=np.uint64)
    assert first_duplicate(hashes, ids.__getitem__) == (1, 3)
    assert first_duplicate(hashes[:3], ids.__getitem__) is None


def test_empty_corpus(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no passages"):
        write_passages(tmp_path, [])


def test_missing_and_cut_files(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is missing"):
        PassageStore(tmp_path)
    write_passages(tmp_path, PASSAGES)
    text = (tmp_path / "passages.jsonl").read_bytes()
    (tmp_path / "passages.jsonl").write_bytes(text[:-9])
    with pytest.raises(ArtifactError, match="its offsets say"):
        PassageStore(tmp_path)


def test_survives_pickling(tmp_path: Path) -> None:
    write_passages(tmp_path, PASSAGES)
    assert pickle.loads(pickle.dumps(PassageStore(tmp_path)))[3] == PASSAGES[3]
