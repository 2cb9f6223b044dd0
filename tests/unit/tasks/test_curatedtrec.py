"""Patterns as answers: three layouts, and patterns that cannot be used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.metrics.patterns import em_regex, search_patterns
from rag_lightning.tasks.curatedtrec import MOST, expand, find_fault
from rag_lightning.tasks.spec import get_task

TSV = (
    "1787\tWhat is Anna Berg's birthday?\tMar(.|ch)?\\s* 12\n"
    '1458\tfactoid\tWhat was the name of the dog in "Red Barn"?\tRover\n'
    '\n2030\tfactoid\t"cat" in French?\tchat | p[eé]tit \r\n'
)
SLOW = "(b|bb)+$"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_tsv_of_three_and_of_four_columns(tmp_path: Path) -> None:
    reading = get_task("curatedtrec").reading(write(tmp_path / "t.tsv", TSV))
    examples = reading.examples
    assert reading.layout == "CuratedTREC TSV"
    assert [e.example_id for e in examples] == ["1787", "1458", "2030"]
    assert examples[1].query == 'What was the name of the dog in "Red Barn"?'
    assert [e.answers for e in examples] == [("Mar(.|ch)?\\s* 12",), ("Rover",), ("chat | p[eé]tit",)]
    assert em_regex("Mar. 12", examples[0].answers) == 1.0


def test_dpr_layouts_keep_backslashes(tmp_path: Path) -> None:
    pattern = r"\b2,?[4567][0-9]\b"
    row = {"question": "How high?", "answer": [pattern, "x+"]}
    (from_json,) = get_task("curatedtrec").read(write(tmp_path / "t.jsonl", json.dumps(row)))
    (from_csv,) = get_task("curatedtrec").read(write(tmp_path / "t.csv", f"How high?\t{[pattern, 'x+']!r}\n"))
    assert from_json.answers == from_csv.answers == (pattern, "x+")


@pytest.mark.parametrize(
    ("text", "row", "field", "says"),
    [
        ("1\tq\ta\n2\tq\t(\n", 2, "pattern", "does not compile: missing"),
        (f"1\tq\ta\n2\tq\t{SLOW}\n", 2, "pattern", "runs longer than"),
        (f"q\t['a']\nr\t['a', '{SLOW}']\n", 2, "answers", "runs longer than"),
        ("1\tq\ta\n2\tq\n", 2, None, "2 fields instead of 3 or 4"),
        ("1\tq\ta\n\tq\ta\n", 2, "qid", "is empty"),
        ("1\t \ta\n", 1, "question", "must be a string that is not empty"),
        ("1\tq\t\n", 1, "pattern", "not a string or empty"),
        ("1\tq\ta\n1\tr\tb\n", 2, "qid", "is the id of row 1 too"),
        ("id\ttext\ttitle\n1\tx\ty\n", 1, None, "header of a file of passages"),
        ("only one cell\n", 1, None, "tab-separated text of 1 columns"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, row: int, field: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        get_task("curatedtrec").read(write(tmp_path / "bad.tsv", text))
    assert (caught.value.row, caught.value.field) == (row, field)


def test_a_pattern_that_does_not_compile_in_nfd_is_kept_counted_and_named(tmp_path: Path) -> None:
    """DrQA's rule takes the pattern as written; DPR's finds it nowhere. The real file has such rows."""
    text = "1\tq\tRome\n2\tHighest peak?\tSn\\ě\\žka\n3\tr\tSněžka\n"
    reading = get_task("curatedtrec").reading(write(tmp_path / "t.tsv", text))
    assert [e.answers for e in reading.examples] == [("Rome",), (r"Sn\ě\žka",), ("Sněžka",)]
    assert [em_regex("Sněžka", e.answers) for e in reading.examples] == [0, 1, 1]
    found = [search_patterns("The peak Sněžka.", e.answers) for e in reading.examples]
    assert [one.matched for one in found] == [False, False, True]
    assert [fault.pattern for one in found for fault in one.faults] == [r"Sn\ě\žka"]
    assert "in NFD, which passages are searched in, does not compile: bad escape" in found[1].faults[0].reason
    ((note, times),) = reading.notes.items()
    assert times == 1 and r"found in no passage: pattern 'Sn\\ě\\žka' of row 2 in NFD" in note


@pytest.mark.parametrize(
    "pattern", ["\\b21\\b|twenty-one", "((Berg|Lund|M[uü]ller).*){3}", "E.U\\s?. Court", "(.*a){12}x", "ř+"]
)
def test_ordinary_patterns_have_no_fault(pattern: str) -> None:
    assert find_fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "strings"),
    [
        ("1865", ["1865"]),
        (r"Jan(uary)?\.? 1", ["January. 1", "January 1", "Jan. 1", "Jan 1"]),
        (r"1865|April 9,? 1865", ["1865", "April 9, 1865", "April 9 1865"]),
        (r"(red|blue) (cat|dog)", ["red cat", "red dog", "blue cat", "blue dog"]),
        (r"[Cc]at", ["Cat"]),
        (r"(8|9) planets", ["8 planets", "9 planets"]),
        (r"Porto[-\s]Novo", ["Porto Novo"]),
        (r"\s*Mount\s+Everest\.*", ["Mount Everest.", "Mount Everest"]),
        (r"J\. ?R\.\s*Tolkien", ["J. R. Tolkien", "J. R.Tolkien", "J.R. Tolkien", "J.R.Tolkien"]),
        (r"\bRome\b(?! Georgia)", ["Rome"]),
        (r"(?:ab){2,}c", ["ababc"]),
        (r"(?P<x>a)b(?>c|d)e", ["abce", "abde"]),
        (r"\$5", ["$5"]),
        (r".*", []),
        (r"\d+", []),
    ],
)
def test_alternatives_and_options_are_followed(pattern: str, strings: list[str]) -> None:
    assert list(expand(pattern)) == strings


def test_what_is_deterministic_matches_itself() -> None:
    for pattern in (r"(red|blue) (cat|dog)s?", r"1865|April 9,? 1865", r"J\. ?R\. ?R\. Tolkien"):
        assert all(re.fullmatch(pattern, string) for string in expand(pattern))


@pytest.mark.parametrize(
    "pattern", ["(a|b|c|d)" * 30, "(x?y?)" * 20, "((a|bb)(c|dd)?)*" * 10, "(ab){1,100000}", "(a{50}){50}"]
)
def test_there_are_never_more_than_asked_and_none_twice(pattern: str) -> None:
    for most in (1, 5, MOST):
        found = expand(pattern, most)
        assert 1 <= len(found) <= most and len(set(found)) == len(found)
        assert all(string and len(string) < 1000 for string in found)


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "(?P<x", "[z-a]"])
def test_a_pattern_that_cannot_be_read_is_named(pattern: str) -> None:
    with pytest.raises(DataError, match="cannot be expanded") as caught:
        expand(pattern)
    assert caught.value.value == pattern
