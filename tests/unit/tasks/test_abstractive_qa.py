"""MS MARCO: columns, lines and lists give the same; what is dropped is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.spec import get_task

ROWS: list[dict[str, Any]] = [
    {"query": ". what is a barn?", "answers": ["A building."], "wellFormedAnswers": "[]"},
    {"query": "pain scale", "answers": ["5", "five"], "wellFormedAnswers": ["It is 5.", "It is 5.", "It is five."]},
    {"query": "no", "answers": ["No Answer Present."], "wellFormedAnswers": "[]"},
    {"query": "why", "answers": [], "wellFormedAnswers": []},
    {"query": "v1.1", "answers": ["Old."]},
]
ROWS = [{"query_id": number, "query_type": "NUMERIC", "passages": [], **row} for number, row in enumerate(ROWS, 10)]


def columns(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: {str(i): row[name] for i, row in enumerate(rows) if name in row} for name in names}


def write(path: Path, layout: str, rows: list[dict[str, Any]] = ROWS) -> Path:
    texts = {
        "columns": json.dumps(columns(rows)),
        "list": json.dumps(rows, indent=1),
        "lines": "\n".join(map(json.dumps, rows)),
    }
    path.write_text(texts[layout], encoding="utf-8")
    return path


@pytest.mark.parametrize("layout", ["columns", "lines", "list"])
def test_rows_without_a_well_formed_answer_are_dropped_and_counted(tmp_path: Path, layout: str) -> None:
    reading = get_task("msmarco").reading(write(tmp_path / "dev_v2.1.json", layout))
    (example,) = reading.examples
    assert (example.example_id, example.query) == ("11", "pain scale")
    assert example.answers == ("It is 5.", "It is five.")
    assert reading.layout == "MS MARCO"
    assert reading.notes == {"dropped: no well-formed answer": 3, 'dropped: "No Answer Present."': 1}


def test_other_answers_by_fallback_are_counted(tmp_path: Path) -> None:
    reading = get_task("msmarco").reading(write(tmp_path / "dev.json", "columns"), fallback=True)
    assert [e.answers for e in reading.examples] == [("A building.",), ("It is 5.", "It is five."), ("Old.",)]
    assert reading.notes == {
        "by fallback: no well-formed answer": 2,
        'dropped: "No Answer Present."': 1,
        "dropped: no well-formed answer": 1,
    }


@pytest.mark.parametrize("layout", ["columns", "lines", "list"])
@pytest.mark.parametrize(
    ("change", "row", "field", "says"),
    [
        ({"query": " "}, 2, "query", "must be a string"),
        ({"answers": None}, 2, "answers", "is missing.*hide their answers"),
        ({"answers": "5"}, 2, "answers", "must be a list of strings"),
        ({"wellFormedAnswers": [5]}, 2, "wellFormedAnswers", "must be a list of strings"),
        ({"wellFormedAnswers": "[ ]"}, 2, "wellFormedAnswers", "must be a list of strings"),
        ({"query_id": [1]}, 2, "query_id", "must be a string or a whole number"),
        ({"query_id": 10, "wellFormedAnswers": ["x"]}, 2, "query_id", "is the id of row 1 too"),
    ],
)
def test_bad_rows_are_named(
    tmp_path: Path, layout: str, change: dict[str, Any], row: int, field: str, says: str
) -> None:
    rows = [{**ROWS[0], "wellFormedAnswers": ["A building."]}, {**ROWS[1], **change}]
    with pytest.raises(DataError, match=says) as caught:
        get_task("msmarco").read(write(tmp_path / "bad.json", layout, rows))
    assert (caught.value.row, caught.value.field) == (row, field)


def test_a_file_of_which_nothing_is_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no questions: dropped: no well-formed answer \(1 rows\)"):
        get_task("msmarco").read(write(tmp_path / "none.json", "columns", ROWS[:1]))


def test_columns_of_another_kind_are_named(tmp_path: Path) -> None:
    table = {**columns(ROWS), "query": ["a"]}
    (tmp_path / "bad.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="field 'query': must be a dictionary keyed by row number"):
        get_task("msmarco").read(tmp_path / "bad.json")
