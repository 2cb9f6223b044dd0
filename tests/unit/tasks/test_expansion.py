"""Regular expressions become the strings they were written for."""

from __future__ import annotations

import re

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.expansion import MOST, expand


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
