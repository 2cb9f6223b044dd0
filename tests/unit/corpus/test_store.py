"""The corpus on disk: rows and ids, duplicates, damage, other processes."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    with pytest.raises(ArtifactError, match=f"passages.jsonl: has no row {row}, only 50 passages"):
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


class Touched:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return os.mkdir, (os.environ["TOUCHED"],)


def objects() -> Any:
    return np.array([Touched()] * 51, dtype=object)


@pytest.mark.parametrize("name", ["offsets.npy", "ids.npy"])
@pytest.mark.parametrize(
    "made",
    [objects, lambda: np.zeros(51, dtype=np.float32), lambda: np.zeros((51, 2), dtype=np.int64), lambda: np.empty(0)],
)
def test_an_array_of_another_kind_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, name: str, made: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOUCHED", str(tmp_path / "touched"))
    write_passages(tmp_path, PASSAGES)
    np.save(tmp_path / name, made(), allow_pickle=True)
    with pytest.raises(ArtifactError, match=rf"{name}: (is no array of numbers|holds) [^\n]*; remove the folder"):
        PassageStore(tmp_path)
    np.savez(tmp_path / "a.npz", a=made())
    (tmp_path / "a.npz").replace(tmp_path / name)
    with pytest.raises(ArtifactError, match=rf"{name}: holds an archive"):
        PassageStore(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Touched()))
    with pytest.raises(ArtifactError, match=rf"{name}: is no array of numbers"):
        PassageStore(tmp_path)
    assert not (tmp_path / "touched").exists()


def test_offsets_rows_and_passages_that_cannot_be_are_one_line(tmp_path: Path) -> None:
    write_passages(tmp_path, PASSAGES)
    offsets, ids = np.load(tmp_path / "offsets.npy"), np.load(tmp_path / "ids.npy")
    np.save(tmp_path / "offsets.npy", np.concatenate([[-50, 10**12], offsets[2:]]))
    for row in (0, 1):
        with pytest.raises(ArtifactError, match=rf"passages\.jsonl, row {row + 1}: is no passage; remove the folder"):
            PassageStore(tmp_path)[row]
    np.save(tmp_path / "offsets.npy", offsets)
    ids["row"] = 10**9
    np.save(tmp_path / "ids.npy", ids)
    with pytest.raises(ArtifactError, match=r"ids\.npy: names row 1000000000 of 50 passages; remove the folder"):
        PassageStore(tmp_path).find("p3")
    text = (tmp_path / "passages.jsonl").read_text().replace('"p0"', "1234")
    (tmp_path / "passages.jsonl").write_text(text)
    with pytest.raises(ArtifactError, match="row 1: holds a field that is no text"):
        PassageStore(tmp_path)[0]
