"""Nested fields of a wrong type: the row and the field are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.results.record import score_of
from rag_lightning.tasks.spec import get_task

FLASHRAG = {"id": "2", "question": "who?", "golden_answers": ["a"]}
HOTPOT = {"_id": "2", "question": "who?", "answer": "a"}
TRIVIA = {"question_id": "2", "question": "who?"}
FACTS = [
    True,
    5,
    "Ann",
    ["Ann", 5],
    [[]],
    [[1, 2]],
    [[None, 0]],
    [["Ann", 0], 5],
    {"title": [None]},
    {"title": 5},
    {"a": 1},
]


def fault(tmp_path: Path, *rows: Any) -> str:
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError) as raised:
        get_task("triviaqa").reading(path)
    return str(raised.value)


@pytest.mark.parametrize("facts", FACTS)
def test_supporting_facts(tmp_path: Path, facts: Any) -> None:
    says = "row 2, field 'supporting_facts': must be pairs of title and sentence"
    good = {"title": ["Ann"], "sent_id": [0]}
    rows = [{**FLASHRAG, "id": "1", "metadata": {"supporting_facts": good}}]
    assert says in fault(tmp_path, *rows, {**FLASHRAG, "metadata": {"supporting_facts": facts}})
    first = [{**HOTPOT, "_id": name, "supporting_facts": good} for name in "01"]
    assert says.replace("2", "3") in fault(tmp_path, *first, {**HOTPOT, "supporting_facts": facts})


@pytest.mark.parametrize("name", ["aliases", "normalized_aliases"])
@pytest.mark.parametrize("value", [True, 5, "Ann", {"a": 1}])
def test_aliases(tmp_path: Path, name: str, value: Any) -> None:
    good = {"value": "Ann", "aliases": ["Ann"], "normalized_aliases": ["ann"]}
    rows = [{**TRIVIA, "question_id": "1", "answer": good}, {**TRIVIA, "answer": {**good, name: value}}]
    assert f"row 2, field 'answer.{name}': must be a list of strings" in fault(tmp_path, *rows)


@pytest.mark.parametrize("score", [True, "nan", "1e300", -1e39, 10**400, [1], "high"])
def test_scores(score: Any) -> None:
    with pytest.raises(DataError, match=r"row 3, field 'score': must be a (finite )?number"):
        score_of(Path("run"), 3, score)
    assert score_of(Path("run"), 3, "-3.4e38") == -3.4e38
