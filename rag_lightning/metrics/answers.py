"""Whether an answer is right, and whether a passage holds it: EM, token F1, and DPR's has-answer rule.

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
from rag_lightning.metrics.tokens import normal_words, normalize_answer

_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]", regex.IGNORECASE | regex.UNICODE | regex.MULTILINE)
_ASCII_TOKEN = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")


def em(prediction: str, answers: Sequence[str]) -> float:
    """1 if the normalised prediction equals any normalised answer, else 0.

    Raises:
        ValueError: no answers.
    """
    wanted = normalize_answer(prediction)
    return float(any(normalize_answer(answer) == wanted for answer in check_answers(answers)))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best token F1 of the normalised prediction against any answer.

    Two strings that are both empty after normalisation count 1 (SQuAD v2's rule; v1.1 gives 0 to equal strings).

    Raises:
        ValueError: no answers.
    """
    tokens = Counter(normal_words(prediction))
    return max(token_f1(tokens, Counter(normal_words(answer))) for answer in check_answers(answers))


def tokenize(text: str) -> list[str]:
    """DPR's SimpleTokenizer, lower-cased: NFD, runs of letters, numbers and marks, or one other visible character."""
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    return [token.lower() for token in _TOKEN.findall(unicodedata.normalize("NFD", text))]


def has_answer(answers: Iterable[str], text: str) -> bool:
    """Whether the tokens of any answer stand in the passage's text consecutively (DPR; without the title).

    An answer without any token (only white space) is never found; in DPR it is found everywhere.
    """
    return _any_in(_needles(answers), _joined(text))


class AnswerMatcher:
    """`has_answer` for many queries over the same passages: each passage is read once and tokenised at most once.

    A passage whose text lacks a token of every answer is not tokenised at all.

    Args:
        text_of: Row of the corpus -> the passage's text.
        cache_size: Passages kept; about 1 kB each.
    """

    def __init__(self, text_of: Callable[[int], str], cache_size: int = 400_000) -> None:
        self._passage = lru_cache(maxsize=cache_size)(lambda row: _Passage(text_of(row)))

    def hits(self, answers: Iterable[str], rows: Iterable[int]) -> tuple[bool, ...]:
        """For each row, in the order given: whether the passage holds an answer."""
        needles = [(_rarest_first(needle), needle) for needle in _needles(answers)]
        return tuple(self._passage(int(row)).holds(needles) for row in rows)


class _Passage:
    """A text, case-folded for a quick check, tokenised only when that is not enough."""

    __slots__ = ("_folded", "_joined", "_text")

    def __init__(self, text: str) -> None:
        # lower-casing once serves both: ASCII tokens of the lower-cased text are the lower-cased tokens
        self._folded = _folded(text)
        self._text = self._folded if text.isascii() else text
        self._joined = ""

    def holds(self, needles: Iterable[tuple[Sequence[str], str]]) -> bool:
        for tokens, needle in needles:
            for token in tokens:
                if token not in self._folded:
                    break
            else:
                if needle in self._tokens():
                    return True
        return False

    def _tokens(self) -> str:
        if not self._joined:
            self._joined = _joined(self._text)
        return self._joined


def _folded(text: str) -> str:
    """Lower-cased, so that every token of the text is a sub-string of it."""
    if text.isascii():
        return text.lower()
    return _one_sigma(unicodedata.normalize("NFD", text).lower())


def _rarest_first(needle: str) -> list[str]:
    """The tokens to look for, folded; long ones are rare."""
    return sorted(set(_one_sigma(needle).split()), key=len, reverse=True)


def _one_sigma(text: str) -> str:
    # the one letter whose lower case depends on its neighbours, which a token has lost
    return text.replace("ς", "σ")


def _joined(text: str) -> str:
    # No token holds a space, so a sub-list of tokens is a sub-string between spaces.
    return f" {' '.join(tokenize(text))} "


def _needles(answers: Iterable[str]) -> list[str]:
    return [needle for needle in map(_joined, answers) if needle.strip()]


def _any_in(needles: list[str], haystack: str) -> bool:
    return any(needle in haystack for needle in needles)


def token_f1(left: Counter[str], right: Counter[str]) -> float:
    """F1 of two multisets of tokens; 1 if both are empty."""
    if not left or not right:
        return float(left == right)
    common = (left & right).total()
    return 2 * common / (left.total() + right.total())


def check_answers(answers: Sequence[str]) -> Sequence[str]:
    """The answers themselves.

    Raises:
        ValueError: no answers, or a plain string.
    """
    if isinstance(answers, str) or not answers:
        raise ValueError(f"answers must be a sequence of at least one string, got {answers!r}")
    return answers


def answer_score(measure: Callable[[str, Sequence[str]], float]) -> Callable[[Outcome], float | None]:
    """The score function of a metric from a measure of prediction and answers; None without a prediction."""

    def score(outcome: Outcome) -> float | None:
        return None if outcome.prediction is None else measure(outcome.prediction, outcome.example.answers)

    return score


EM = Metric(
    "em",
    "%",
    "higher",
    answer_score(em),
    words=normal_words,
    about="SQuAD's, as in the paper: equal to an answer without case, articles, punctuation and extra white space",
)
F1 = Metric("f1", "%", "higher", answer_score(f1), words=normal_words)
