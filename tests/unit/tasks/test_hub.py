"""The hub's loaders on local files of the same layout; nothing is asked of the hub."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.corpus import hub as corpus_hub
from rag_lightning.tasks import hub


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def questions(folder: Path, count: int, answers: list[str] | None = None) -> Path:
    data = folder / "nq_open"
    data.mkdir()
    for split, size in (("train", count), ("validation", 3)):
        rows = {"question": [f"{split} question {i}" for i in range(size)], "answer": [answers or ["a", "b"]] * size}
        pq.write_table(pa.table(rows), data / f"{split}-00000-of-00001.parquet")
    return data


def test_dev_is_held_out_of_train_and_validation_is_test(tmp_path: Path) -> None:
    folder = questions(tmp_path, 40)
    parts = hub.read_hub(str(folder), "", "", seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 36, "dev": 4, "test": 3}
    assert not {e.query for e in parts["train"]} & {e.query for e in parts["dev"]}
    assert parts["test"][0].answers == ("a", "b")
    assert [e.example_id for e in hub.read_hub(str(folder), "", "", 0)["dev"]] == [e.example_id for e in parts["dev"]]
    assert [e.example_id for e in hub.read_hub(str(folder), "", "", 1)["dev"]] != [e.example_id for e in parts["dev"]]


def test_a_row_without_answers_is_named(tmp_path: Path) -> None:
    folder = questions(tmp_path, 3)
    pq.write_table(
        pa.table({"question": ["q"], "answer": pa.array([[]], pa.list_(pa.string()))}),
        folder / "train-00000-of-00001.parquet",
    )
    with pytest.raises(DataError, match="row 1, field 'answer'"):
        hub.read_hub(str(folder), "", "", 0)


def test_passages_are_streamed(tmp_path: Path) -> None:
    rows = {"id": ["1", "2"], "title": ["A", "B"], "text": ["one", "two"]}
    pq.write_table(pa.table(rows), tmp_path / "train-00000-of-00001.parquet")
    found = list(corpus_hub.read_hub(str(tmp_path), "", ""))
    assert [(p.passage_id, p.title, p.text) for p in found] == [("1", "A", "one"), ("2", "B", "two")]


def test_a_passage_without_text_is_named(tmp_path: Path) -> None:
    rows = {"id": ["1", "2"], "title": ["A", "B"], "text": ["one", None]}
    pq.write_table(pa.table(rows), tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="row 2, field 'text'"):
        list(corpus_hub.read_hub(str(tmp_path), "", ""))
