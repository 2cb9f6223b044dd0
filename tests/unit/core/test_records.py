"""Records go to JSON lines and come back the same; what is not a record is an error with file and row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import (
    Example,
    Hypothesis,
    Passage,
    Prediction,
    Ranking,
    Score,
    passage_text,
    read_jsonl,
    to_json,
    write_jsonl,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
HYPOTHESES = st.builds(
    Hypothesis, TEXT, FLOAT, st.lists(st.integers(0, 9), max_size=3).map(tuple), st.lists(FLOAT, max_size=3).map(tuple)
)
RECORDS = st.one_of(
    st.builds(Passage, TEXT, TEXT, TEXT),
    st.builds(
        Example, TEXT, TEXT, st.lists(TEXT).map(tuple), st.lists(TEXT).map(tuple), TEXT, st.dictionaries(TEXT, TEXT)
    ),
    st.builds(Ranking, TEXT, st.lists(st.integers(0), max_size=4).map(tuple), st.lists(FLOAT, max_size=4).map(tuple)),
    st.builds(Prediction, TEXT, TEXT, TEXT, FLOAT, st.lists(HYPOTHESES, max_size=3).map(tuple)),
    st.builds(Score, TEXT, TEXT, st.dictionaries(TEXT, FLOAT), st.dictionaries(TEXT, TEXT)),
)


@given(record=RECORDS)
def test_a_record_comes_back_as_it_was(record: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    assert write_jsonl(path, [record, record]) == 2
    assert list(read_jsonl(path, type(record))) == [record, record]


def test_one_record_is_one_line_whatever_it_holds() -> None:
    line = to_json(Passage("1", "a\nb", "line\u2028separator\r\n"))
    assert "\n" not in line
    assert json.loads(line)["title"] == "a\nb"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"passage_id": "2", "title": "t", "te', r"row 2: is not JSON"),
        ('["2", "t", "text"]', r"row 2: is not a Passage"),
        ('{"passage_id": "2", "title": "t"}', r"row 2: is not a Passage: .*text"),
        ('{"passage_id": "2", "title": "t", "text": "x", "score": 1}', r"row 2: is not a Passage"),
        ("", r"row 2: is not JSON"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "passages.jsonl"
    path.write_text(to_json(Passage("1", "t", "x")) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"passages\.jsonl, {problem}") as caught:
        list(read_jsonl(path, Passage))
    assert caught.value.row == 2


def test_a_hypothesis_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"example_id": "1", "text": "", "raw_text": "", "log_prob": 0, "hypotheses": ["a"]}\n')
    with pytest.raises(DataError, match="row 1: is not a Prediction"):
        list(read_jsonl(path, Prediction))


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "passages.jsonl"
    write_jsonl(path, [Passage("1", "t", "x")])

    def failing() -> Iterator[Passage]:
        yield Passage("2", "t", "x")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_jsonl(path, failing())
    assert [p.passage_id for p in read_jsonl(path, Passage)] == ["1"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_prob_that_was_not_scored_comes_back_as_none(tmp_path: Path) -> None:
    made = Prediction("a", "x", "x", -1.0, (Hypothesis("x", -1.0, (4, 3), (-0.5, None)),))
    write_jsonl(tmp_path / "p.jsonl", [made])
    assert "Infinity" not in (tmp_path / "p.jsonl").read_text(encoding="utf-8")
    assert list(read_jsonl(tmp_path / "p.jsonl", Prediction)) == [made]


def test_title_and_text_of_a_passage_are_one_string() -> None:
    assert passage_text(Passage("1", "Rome", "is red")) == "Rome is red"
    assert passage_text(Passage("1", "Rome", "It is red."), ". ") == "Rome. It is red."
    assert passage_text(Passage("1", "", "is red"), ". ") == "is red"
