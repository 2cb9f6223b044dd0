"""Answers that are regular expressions (CuratedTREC), under a time bound, every faulty pattern named.

Sources: DrQA `reader/utils.py` for predictions (`match`: from the prediction's start), DPR `qa_validation.py` for
passages (`search`, both sides in NFD). Both use the package `regex` with I, U and M, and let a pattern that does not
compile count as no match; here it does so too, and is reported. A pattern may compile as written and not in NFD, where
an escaped letter with an accent becomes an escape of its own (`Sn\\ě\\žka`): it scores predictions and no passage.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

from rag_lightning.metrics.answers import answer_score, check_answers
from rag_lightning.metrics.metric import Metric, Outcome

SECONDS = 1.0
"""Longest run of one pattern on one string; ordinary ones take microseconds."""
_FLAGS = regex.IGNORECASE | regex.UNICODE | regex.MULTILINE


@dataclass(frozen=True, slots=True)
class PatternFault:
    """A pattern that could not be used, and the reason."""

    pattern: str
    reason: str


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """Whether any pattern matches, and the patterns that could not be used."""

    matched: bool
    faults: tuple[PatternFault, ...] = ()


@lru_cache(maxsize=20_000)
def match_patterns(prediction: str, patterns: tuple[str, ...], seconds: float = SECONDS) -> PatternMatch:
    """DrQA's rule: a pattern matches at the start of the prediction, which is not normalised.

    All patterns are tried, so that the faults do not depend on their order.
    """
    return _joined([_run(pattern, prediction, "match", seconds) for pattern in patterns])


def search_patterns(text: str, patterns: Iterable[str], seconds: float = SECONDS) -> PatternMatch:
    """DPR's rule for passages: a pattern matches anywhere in the text (NFD)."""
    normal = unicodedata.normalize("NFD", text)
    return _joined([_run(pattern, normal, "search", seconds) for pattern in patterns])


def nfd_fault(pattern: str) -> PatternFault | None:
    """The fault of a pattern that cannot be looked for in passages though it compiles as written; else None."""
    found = _in_nfd(pattern)
    return found if isinstance(found, PatternFault) and not isinstance(_compile(pattern), PatternFault) else None


def find_matches(text: str, pattern: str, seconds: float = SECONDS) -> tuple[str, ...] | PatternFault:
    """All matches of a pattern in a passage (NFC, outer white space removed), in the passage's order; none empty."""
    compiled = _in_nfd(pattern)
    if isinstance(compiled, PatternFault):
        return compiled
    try:
        found = [match[0] for match in compiled.finditer(unicodedata.normalize("NFD", text), timeout=seconds)]
    except TimeoutError:
        return _too_long(pattern, seconds)
    return tuple(filter(None, (unicodedata.normalize("NFC", string).strip() for string in found)))


class PatternMatcher:
    """`search_patterns` for many queries: the AnswerMatcher of tasks whose answers are patterns.

    A pattern that was found faulty once is not tried again.

    Args:
        text_of: Row of the corpus -> the passage's text.
        seconds: Longest run of one pattern on one passage.
    """

    def __init__(self, text_of: Callable[[int], str], seconds: float = SECONDS) -> None:
        self._text_of, self._seconds = text_of, seconds
        self._faults: dict[str, PatternFault] = {}

    @property
    def faults(self) -> tuple[PatternFault, ...]:
        """The patterns that could not be used so far."""
        return tuple(self._faults.values())

    def hits(self, answers: Iterable[str], rows: Iterable[int]) -> tuple[bool, ...]:
        """For each row, in the order given: whether the passage holds a match."""
        patterns = tuple(answers)
        return tuple(self._hit(patterns, self._text_of(int(row))) for row in rows)

    def _hit(self, patterns: tuple[str, ...], text: str) -> bool:
        found = search_patterns(text, [p for p in patterns if p not in self._faults], self._seconds)
        self._faults |= {fault.pattern: fault for fault in found.faults}
        return found.matched


def em_regex(prediction: str, patterns: Sequence[str]) -> float:
    """1 if the prediction begins with a match of any pattern; faulty patterns match nothing (see `pattern_faults`).

    Raises:
        ValueError: no patterns.
    """
    return float(match_patterns(prediction, tuple(check_answers(patterns))).matched)


def pattern_faults(outcomes: Iterable[Outcome]) -> dict[PatternFault, int]:
    """The faults `em_regex` met, and in how many examples each."""
    faults: Counter[PatternFault] = Counter()
    for outcome in outcomes:
        if outcome.prediction is not None:
            faults.update(match_patterns(outcome.prediction, tuple(outcome.example.answers)).faults)
    return dict(faults)


@lru_cache(maxsize=20_000)
def _compile(pattern: str) -> regex.Pattern[str] | PatternFault:
    try:
        return regex.compile(pattern, _FLAGS)
    except regex.error as error:
        return PatternFault(pattern, f"does not compile: {error}")
    except RecursionError:
        return PatternFault(pattern, "does not compile: nested too deeply")


def _in_nfd(pattern: str) -> regex.Pattern[str] | PatternFault:
    """A pattern as passages are searched with it; the reason of a fault names NFD where only that is at fault."""
    compiled, written = _compile(unicodedata.normalize("NFD", pattern)), _compile(pattern)
    if isinstance(compiled, PatternFault):
        where = "" if isinstance(written, PatternFault) else "in NFD, which passages are searched in, "
        return PatternFault(pattern, where + compiled.reason)
    return compiled


def _run(pattern: str, text: str, how: str, seconds: float) -> bool | PatternFault:
    compiled = _compile(pattern) if how == "match" else _in_nfd(pattern)
    if isinstance(compiled, PatternFault):
        return compiled
    try:
        found = compiled.match(text, timeout=seconds) if how == "match" else compiled.search(text, timeout=seconds)
    except TimeoutError:
        return _too_long(pattern, seconds)
    return found is not None


def _too_long(pattern: str, seconds: float) -> PatternFault:
    return PatternFault(pattern, f"runs longer than {seconds:g} s")


def _joined(results: Sequence[bool | PatternFault]) -> PatternMatch:
    faults = tuple(result for result in results if isinstance(result, PatternFault))
    return PatternMatch(any(result is True for result in results), faults)


EM_REGEX = Metric("em_regex", "%", "higher", answer_score(em_regex))
