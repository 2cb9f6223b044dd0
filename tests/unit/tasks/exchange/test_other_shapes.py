"""Results in shapes that are read as one of the formats: Atlas's and Pyserini's retrieval, SQuAD's predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.results.record import Result, RetrievedPassage, get_format


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_retrieval_of_atlas_and_of_pyserini_is_read(tmp_path: Path) -> None:
    atlas = {
        "query": "who",
        "answers": ["x"],
        "generation": "an x",
        "passages": [{"id": "1", "title": "T", "text": "a"}],
    }
    (found,) = get_format("dpr").read(write(tmp_path / "a.jsonl", json.dumps(atlas) + "\n"))
    assert found == Result("", "who", prediction="an x", passages=(RetrievedPassage("1", 0.0, "T", "a"),))
    contexts = [{"docid": "7", "score": 80.5, "text": "T\nthe text", "has_answer": True}, {"docid": "8", "text": "one"}]
    pyserini = {
        "0": {"question": "who", "answers": ["x"], "contexts": contexts},
        "1": {"question": "why", "contexts": []},
    }
    for indent in (None, 4):
        first, second = get_format("dpr").read(write(tmp_path / "p.json", json.dumps(pyserini, indent=indent)))
        assert first.passages == (RetrievedPassage("7", 80.5, "T", "the text"), RetrievedPassage("8", 0.0, "", "one"))
        assert (second.question, second.passages) == ("why", ())


def test_predictions_of_squad_are_read(tmp_path: Path) -> None:
    for indent in (None, 1):
        found = get_format("ours").read(write(tmp_path / "p.json", json.dumps({"q1": "x", "q2": ""}, indent=indent)))
        assert found == [Result("q1", prediction="x"), Result("q2", prediction="")]
    with pytest.raises(DataError, match="row 2, field 'q2': must be a string"):
        get_format("ours").read(write(tmp_path / "p.json", json.dumps({"q1": "x", "q2": 3})))
