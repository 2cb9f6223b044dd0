"""Clues: HTML, quotes, which column is the clue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.jeopardy import clean, without_quotes
from rag_lightning.tasks.spec import get_task

RAW = {
    "category": "HISTORY",
    "air_date": "2004-12-31",
    "question": "'For 8 years he kept a lighthouse, and wrote of this guest's theory'",
    "value": "$200",
    "answer": "Anna Berg",
    "round": "Jeopardy!",
    "show_number": "4680",
}
CLUE = "For 8 years he kept a lighthouse, and wrote of this guest's theory"


def read(path: Path, text: str) -> Any:
    path.write_text(text, encoding="utf-8")
    return get_task("jeopardy").reading(path)


@pytest.mark.parametrize("text", [json.dumps([RAW], indent=1), json.dumps([RAW]), json.dumps(RAW)])
def test_the_answer_is_the_query_and_the_clue_its_target(tmp_path: Path, text: str) -> None:
    (example,) = read(tmp_path / "j.json", text).examples
    assert (example.query, example.answers, example.entity) == ("Anna Berg", (CLUE,), "anna berg")
    assert example.tags == {"round": "Jeopardy!"}


def test_html_and_quotes_are_removed() -> None:
    link = """'<a href="x.jpg" target="_blank">Sarah</a> is at a &amp; b<br />in <i>Rome</i>; 5 < 6 \\'n\\' 7'"""
    assert clean(without_quotes(link, "'")) == "Sarah is at a & b in Rome; 5 < 6 'n' 7"
    assert without_quotes("'", "'") == "'" and without_quotes("'tis", "'") == "'tis"


@pytest.mark.parametrize(
    "text",
    [
        'clue\tanswer\n"A ""big"" apple"\tNew York\nIt\'s "red"\tMars\n',
        'Round\tAnswer\tQuestion\n1\t"A ""big"" apple"\tNew York\n1\tIt\'s "red"\tMars\n',
    ],
)
def test_a_tsv_names_its_columns(tmp_path: Path, text: str) -> None:
    examples = read(tmp_path / "clues.tsv", text).examples
    assert [(e.query, *e.answers) for e in examples] == [("New York", 'A "big" apple'), ("Mars", 'It\'s "red"')]


def test_clues_of_nothing_but_a_link_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [RAW, {**RAW, "question": "'<a href=\"x.jpg\"></a>'"}, {**RAW, "answer": ""}, RAW]
    reading = read(tmp_path / "j.json", json.dumps(rows))
    assert reading.notes == {"dropped: no clue or no answer is left without its HTML": 2}
    assert len({e.example_id for e in reading.examples}) == 2


@pytest.mark.parametrize(
    ("text", "row", "field", "says"),
    [
        (json.dumps([RAW, {**RAW, "question": None}]), 2, "question", "is missing"),
        (json.dumps([RAW, {**RAW, "answer": 3}]), 2, "answer", "must be a string"),
        (json.dumps([RAW, 3]), 2, None, "is not an object with"),
        ("answer\tvalue\nx\ty\n", 1, "header", "names no clue and entity"),
        ("clue\tanswer\nx\ty\tz\n", 2, None, "3 fields instead of 2"),
        ("clue\tanswer\n", None, None, "holds no questions"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, row: int | None, field: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path / "bad", text)
    assert (caught.value.row, caught.value.field) == (row, field)
