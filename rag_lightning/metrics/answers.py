"""Is the answer right, and does a passage hold it: EM, token F1, and DPR's has-answer rule.

Sources: EM and F1 as in the SQuAD v1.1 evaluation (Rajpurkar et al. 2016); SimpleTokenizer and has-answer as in DPR
(Karpukhin et al. 2020, `qa_validation.py`), which took them from DrQA.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import regex

from rag_lightning.metrics.metric import Metric, Outcome
from rag_lightning.metrics.normalize import normalize_answer

_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]", regex.IGNORECASE | regex.UNICODE | regex.MULTILINE)
_ASCII_TOKEN = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")


def em(prediction: str, answers: Sequence[str]) -> float:
    """1 if the normalised prediction equals any normalised answer, else 0.

    Raises:
        ValueError: no answers.
    """
    wanted = normalize_answer(prediction)
    return float(any(normalize_answer(answer) == wanted for answer in _checked(answers)))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best token F1 of the normalised prediction against any answer.

    Two strings that are both empty after normalisation count 1 (SQuAD v2's rule; v1.1 gives 0 to equal strings).

    Raises:
        ValueError: no answers.
    """
    tokens = Counter(normalize_answer(prediction).split())
    return max(_token_f1(tokens, Counter(normalize_answer(answer).split())) for answer in _checked(answers))


def tokenize(text: str) -> list[str]:
    """DPR's SimpleTokenizer, lower-cased: NFD, then runs of letters, numbers and marks, or one other visible sign."""
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    return [token.lower() for token in _TOKEN.findall(unicodedata.normalize("NFD", text))]


def has_answer(answers: Iterable[str], text: str) -> bool:
    """Do the tokens of any answer stand in the passage's text one after the other (DPR; the title does not count)?

    An answer without any token (only white space) is never found; in DPR it is found everywhere.
    """
    return _any_in(_needles(answers), _joined(text))


class AnswerMatcher:
    """`has_answer` for many queries over the same passages: each passage is tokenised once.

    Args:
        text_of: Row of the corpus -> the passage's text.
        cache_size: Passages kept; about 1 kB each.
    """

    def __init__(self, text_of: Callable[[int], str], cache_size: int = 200_000) -> None:
        self._joined = lru_cache(maxsize=cache_size)(lambda row: _joined(text_of(row)))

    def hits(self, answers: Iterable[str], rows: Iterable[int]) -> tuple[bool, ...]:
        """Per row, in the order given: does the passage hold an answer?"""
        needles = _needles(answers)
        return tuple(_any_in(needles, self._joined(int(row))) for row in rows)


def _joined(text: str) -> str:
    # No token holds a space, so a sub-list of tokens is a sub-string between spaces.
    return f" {' '.join(tokenize(text))} "


def _needles(answers: Iterable[str]) -> list[str]:
    return [needle for needle in map(_joined, answers) if needle.strip()]


def _any_in(needles: list[str], haystack: str) -> bool:
    return any(needle in haystack for needle in needles)


def _token_f1(left: Counter[str], right: Counter[str]) -> float:
    if not left or not right:
        return float(left == right)
    common = (left & right).total()
    return 2 * common / (left.total() + right.total())


def _checked(answers: Sequence[str]) -> Sequence[str]:
    if isinstance(answers, str) or not answers:
        raise ValueError(f"answers must be a sequence of at least one string, got {answers!r}")
    return answers


def _answered(measure: Callable[[str, Sequence[str]], float]) -> Callable[[Outcome], float | None]:
    def score(outcome: Outcome) -> float | None:
        return None if outcome.prediction is None else measure(outcome.prediction, outcome.example.answers)

    return score


EM = Metric("em", "%", "higher", _answered(em))
F1 = Metric("f1", "%", "higher", _answered(f1))
