"""ROUGE-L against rouge-score, the table of the LCS, and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer, scoring

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Outcome
from rag_lightning.metrics.rouge import BETA, ROUGE_L_MSMARCO, lcs_length, rouge_l, rouge_l_msmarco
from rag_lightning.metrics.tokens import english

LETTERS = st.lists(st.sampled_from("abcd"), max_size=12)
TEXT = st.text(max_size=30) | st.lists(st.sampled_from(["the", "Cat", "cat,", "U.S.", "é", "sat"])).map(" ".join)
ANSWERS = st.lists(TEXT, min_size=1, max_size=3)


class SingleSpaces:
    """The MS MARCO evaluator's tokens for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return english(text).split(" ")


def table(left: list[str], right: list[str]) -> int:
    """The LCS by its textbook table."""
    row = [0] * (len(right) + 1)
    for a in left:
        above = row[:]
        for j, b in enumerate(right):
            row[j + 1] = above[j] + 1 if a == b else max(above[j + 1], row[j])
    return row[-1]


def google(prediction: str, answer: str, tokenizer: SingleSpaces | None = None) -> scoring.Score:
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False, tokenizer=tokenizer)
    return scorer.score(answer, prediction)["rougeL"]


@given(LETTERS, LETTERS)
def test_the_lcs_equals_its_table(left: list[str], right: list[str]) -> None:
    assert lcs_length(left, right) == table(left, right) == lcs_length(right, left)


@given(TEXT, ANSWERS)
def test_rouge_l_equals_rouge_score(prediction: str, answers: list[str]) -> None:
    assert rouge_l(prediction, answers) == pytest.approx(max(google(prediction, a).fmeasure for a in answers))


@given(TEXT, ANSWERS)
def test_the_msmarco_rouge_l_takes_both_maxima_by_themselves(prediction: str, answers: list[str]) -> None:
    found = [google(prediction, answer, SingleSpaces()) for answer in answers]
    precision, recall = max(f.precision for f in found), max(f.recall for f in found)
    expected = (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision else 0.0
    assert rouge_l_msmarco(prediction, answers) == pytest.approx(expected)


def test_precision_and_recall_may_come_from_different_references() -> None:
    assert rouge_l_msmarco("the cat sat", ["the cat sat on the mat today", "the"]) == pytest.approx(1.0)
    assert rouge_l_msmarco("the cat sat", ["the cat sat on the mat today"]) == pytest.approx(
        2.44 * (3 / 7) / (3 / 7 + 1.44)
    )


def test_a_double_space_is_an_empty_word() -> None:
    pytest.importorskip("spacy", reason="the fallback makes no empty words")
    assert rouge_l_msmarco("the  cat", ["the cat"]) == pytest.approx(2.44 * (2 / 3) / (1 + 1.44 * 2 / 3))


@given(TEXT, ANSWERS)
def test_bounds_and_order(prediction: str, answers: list[str]) -> None:
    for measure in (rouge_l, rouge_l_msmarco):
        assert 0 <= measure(prediction, answers) <= 1 + 1e-12
        assert measure(prediction, answers) == measure(prediction, answers[::-1])


@given(TEXT, ANSWERS)
def test_identical_strings_are_the_maximum(text: str, answers: list[str]) -> None:
    assert rouge_l_msmarco(text, [*answers, text]) == pytest.approx(1)
    if any(sign.isascii() and sign.isalnum() for sign in text.lower()):
        assert rouge_l(text, [*answers, text]) == 1


def test_empty_strings() -> None:
    assert rouge_l("", [""]) == rouge_l("", ["x"]) == rouge_l_msmarco("", ["x"]) == rouge_l_msmarco("x", [""]) == 0
    assert rouge_l_msmarco("", [""]) == 1, "the source's split gives one empty word on each side"


def test_queries_without_an_answer_are_left_out() -> None:
    assert ROUGE_L_MSMARCO.score(Outcome(Example("1", "q", ("No Answer Present.",)), "x")) is None
    assert ROUGE_L_MSMARCO.score(Outcome(Example("1", "q", ("x",)))) is None
    assert ROUGE_L_MSMARCO.score(Outcome(Example("1", "q", ("No answer.",)), "No Answer Present.")) == 0, "blanked"
    for measure in (rouge_l, rouge_l_msmarco):
        with pytest.raises(ValueError, match="at least one"):
            measure("x", [])
