"""FEVER and KILT: labels, evidence sets, gold articles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.examples import Reading
from rag_lightning.tasks.spec import get_task

FILM = "Soul_Food_-LRB-film-RRB-"
SUPPORTED = {
    "id": 137334,
    "verifiable": "VERIFIABLE",
    "label": "SUPPORTS",
    "claim": "Fox 2000 Pictures released the film Soul Food.",
    "evidence": [[[1, 2, FILM, 0]], [[3, 4, FILM, 0], [3, 5, "Fox_2000_Pictures", 1]], [[6, 7, FILM, 5]]],
}
UNKNOWN = {"id": 91198, "label": "NOT ENOUGH INFO", "claim": "He is tall.", "evidence": [[[108548, None, None, None]]]}
KILT = {
    "id": "k1",
    "input": "Rome is new.",
    "output": [
        {"answer": "REFUTES", "provenance": [{"wikipedia_id": "1", "title": "Rome", "start_paragraph_id": 1}]},
        {"answer": "REFUTES", "provenance": [{"wikipedia_id": "1", "title": "Rome"}, {"title": "Lazio"}]},
        {"provenance": [{"wikipedia_id": "2", "title": "Lazio"}]},
    ],
}


def read(path: Path, *rows: Any, task: str = "fever3") -> Reading:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return get_task(task).reading(path)


def test_fever(tmp_path: Path) -> None:
    first, second, third = read(
        tmp_path / "f.jsonl", SUPPORTED, UNKNOWN, {**UNKNOWN, "id": 3, "evidence": None}
    ).examples
    assert (first.example_id, first.query, first.answers) == ("137334", SUPPORTED["claim"], ("supports",))
    assert first.gold_titles == ("Soul Food (film)", "Fox 2000 Pictures|Soul Food (film)")
    assert second.answers == third.answers == ("not enough info",)
    assert second.gold_titles == third.gold_titles == ()


def test_kilt(tmp_path: Path) -> None:
    (example,) = read(tmp_path / "k.jsonl", KILT).examples
    assert (example.example_id, example.query, example.answers) == ("k1", "Rome is new.", ("refutes",))
    assert example.gold_titles == ("Rome", "Lazio|Rome", "Lazio")


def test_fever2_drops_what_is_undecided(tmp_path: Path) -> None:
    reading = read(tmp_path / "f.jsonl", SUPPORTED, UNKNOWN, task="fever2")
    assert [e.example_id for e in reading.examples] == ["137334"]
    assert reading.notes == {"dropped: NOT ENOUGH INFO": 1}


def test_evidence_that_is_a_sentence_is_the_context(tmp_path: Path) -> None:
    ((example, context),) = read(tmp_path / "s.jsonl", {**SUPPORTED, "evidence": "It was released by Fox ."}).pairs
    assert (example.gold_titles, context) == ((), "It was released by Fox .")


@pytest.mark.parametrize("task", ["fever2", "fever3"])
@pytest.mark.parametrize(
    ("bad", "field", "says"),
    [
        ({**SUPPORTED, "id": 2, "label": "SUPORTS"}, "label", "is no label of FEVER"),
        ({**SUPPORTED, "id": 2, "label": 1}, "label", "is no label of FEVER"),
        ({**SUPPORTED, "id": 2, "label": None}, "label", "is missing"),
        ({**SUPPORTED, "id": 2, "claim": ""}, "claim", "must be a string"),
        ({"id": 2, "label": "REFUTES", "claim": "c"}, "evidence", "is missing"),
        ({**SUPPORTED, "id": 2, "evidence": []}, "evidence", "names no article"),
        ({**SUPPORTED, "id": 2, "evidence": [[[1, None, None, None]]]}, "evidence", "names no article"),
        ({**SUPPORTED, "id": 2, "evidence": [["a"]]}, "evidence", "must be a list of evidence sets"),
        ({**SUPPORTED, "id": 2, "evidence": " "}, "evidence", "must be a list of evidence sets"),
        (SUPPORTED, "id", "is the id of row 1 too"),
        (KILT, "claim", "is missing, as is all else that tells FEVER"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, task: str, bad: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path / "bad.jsonl", SUPPORTED, bad, task=task)
    assert (caught.value.row, caught.value.field) == (2, field)


@pytest.mark.parametrize(
    ("output", "field", "says"),
    [
        (None, "output", "is missing"),
        ([], "output.answer", "is missing"),
        ([{"answer": "MAYBE"}], "output.answer", "is no label"),
        ([{"answer": "SUPPORTS"}, {"answer": "REFUTES"}], "output.answer", "more than one label"),
        ([{"answer": "SUPPORTS", "provenance": "Rome"}], "output.provenance", "must be a list of objects"),
    ],
)
def test_bad_kilt_rows_are_named(tmp_path: Path, output: Any, field: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path / "bad.jsonl", KILT, {"id": "k2", "input": "c", "output": output})
    assert (caught.value.row, caught.value.field) == (2, field)
