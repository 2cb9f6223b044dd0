"""Data sets of the hub as corpora, from local folders: their faults end in one line that names the data set."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage
from rag_lightning.corpus.passages import read_hub


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def folder(path: Path, *rows: dict[str, object]) -> Path:
    path.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path / "train-00000-of-00001.parquet")
    return path


def test_layouts_of_the_hub_are_those_of_files(tmp_path: Path) -> None:
    rows = [{"docid": str(i), "title": "T", "text": f"text {i}", "vector": [1.0]} for i in range(40)]
    found = read_hub(str(folder(tmp_path / "d", *rows)), "", "")
    assert found.layout == "Tevatron, hub"
    assert list(found) == [Passage(str(i), "T", f"text {i}") for i in range(40)]


def test_a_folder_of_save_to_disk_is_read_as_one(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_list([{"id": "1", "text": "a"}]).save_to_disk(tmp_path / "saved")
    assert list(read_hub(str(tmp_path / "saved"), "", "")) == [Passage("1", "", "a")]


@pytest.mark.parametrize("fault", ["cut", "empty", "not JSON"])
def test_faults_of_the_library_end_in_one_line(tmp_path: Path, fault: str) -> None:
    data = folder(tmp_path / "d", {"id": "1", "text": "a"})
    file = data / "train-00000-of-00001.parquet"
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:40])
    else:
        file.unlink()
    if fault == "not JSON":
        (data / "train.jsonl").write_text(json.dumps({"id": "1", "text": "a"}) + '\n{"id": \n')
    with pytest.raises(DataError, match=r"d: cannot be loaded: [^\n]+; expected a split train of passages$"):
        list(read_hub(str(data), "", ""))
