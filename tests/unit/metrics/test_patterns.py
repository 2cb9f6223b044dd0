"""Answers that are patterns: DrQA's and DPR's rules, and faults that are named."""

import time
import unicodedata

import pytest
import regex

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Outcome
from rag_lightning.metrics.patterns import (
    PatternFault,
    PatternMatcher,
    em_regex,
    match_patterns,
    pattern_faults,
    search_patterns,
)

SLOW, SLOW_TEXT = r"(a|aa)+$", "a" * 60 + "!"


def drqa(prediction: str, pattern: str) -> bool:
    """The rule as DrQA states it."""
    compiled = regex.compile(pattern, flags=regex.IGNORECASE + regex.UNICODE + regex.MULTILINE)
    return compiled.match(prediction) is not None


@pytest.mark.parametrize(
    ("pattern", "prediction", "right"),
    [
        (r"Jan(uary)?\s*8", "january 8, 1935", True),
        (r"Jan(uary)?\s*8", "on january 8", False),
        (r"6,?280", "6280 miles", True),
        (r"^second$", "first\nsecond", False),
        (r"first$", "first\nsecond", True),
        (r"\w+", "é", True),
        (r"Rome|Roma", "ROMA", True),
        ("", "anything", True),
    ],
)
def test_em_regex_is_drqa_s(pattern: str, prediction: str, right: bool) -> None:
    assert drqa(prediction, pattern) == right
    assert em_regex(prediction, [pattern]) == em_regex(prediction, ["zzz", pattern]) == right


def test_passages_are_searched_in_nfd() -> None:
    composed, decomposed = (unicodedata.normalize(form, "São Tomé") for form in ("NFC", "NFD"))
    assert search_patterns(f"the island of {decomposed}.", [composed]).matched
    assert search_patterns(f"the island of {composed}.", [decomposed]).matched
    assert not search_patterns("the island", [composed]).matched


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("(", "does not compile"), (r"\p{Foo}", "unknown property"), ("(" * 5000 + ")" * 5000, "nested too deeply")],
)
def test_a_pattern_that_does_not_compile_is_named(pattern: str, reason: str) -> None:
    found = match_patterns("rome", (pattern, "Rome"))
    assert found.matched and len(found.faults) == 1
    assert found.faults[0].pattern == pattern and reason in found.faults[0].reason
    assert em_regex("rome", [pattern]) == 0


def test_a_catastrophic_pattern_is_stopped_and_named() -> None:
    started = time.perf_counter()
    found = match_patterns(SLOW_TEXT, (SLOW, "a"), 0.2)
    assert time.perf_counter() - started < 30
    assert found.matched and found.faults == (PatternFault(SLOW, "runs longer than 0.2 s"),)


def test_a_faulty_pattern_is_tried_on_one_passage_only() -> None:
    read = PatternMatcher([SLOW_TEXT, SLOW_TEXT, "in 1999"].__getitem__, seconds=0.2)
    assert read.hits([SLOW, "(", r"19\d\d"], [0, 1, 2]) == (False, False, True)
    assert {fault.pattern for fault in read.faults} == {SLOW, "("}
    started = time.perf_counter()
    read.hits([SLOW], [0] * 50)
    assert time.perf_counter() - started < 5


def test_faults_are_counted_by_example() -> None:
    outcomes = [Outcome(Example(str(i), "q", ("(", "rome")), "rome") for i in range(3)]
    outcomes.append(Outcome(Example("none", "q", ("(",))))
    faults = pattern_faults(outcomes)
    assert [(fault.pattern, count) for fault, count in faults.items()] == [("(", 3)]


def test_answers_are_checked() -> None:
    with pytest.raises(ValueError, match="at least one"):
        em_regex("x", [])
