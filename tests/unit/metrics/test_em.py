"""The exact matches side by side, each against its source's rule spelled out."""

import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.metrics.answers import em, f1
from rag_lightning.metrics.em import em_contains, em_kilt, em_lm_eval, f1_kilt
from rag_lightning.metrics.tokens import normalize_answer

TEXT = st.text(max_size=20) | st.lists(st.sampled_from(["the", "The", "a", "an", "Cat", "cat,", "U.S.", "é"])).map(
    " ".join
)
ANSWERS = st.lists(TEXT, min_size=1, max_size=3)


def harness(prediction: str, answers: list[str]) -> float:
    """exact_match of the harness as it is written there: numpy arrays, steps in its order."""
    predictions, references = np.array([prediction.lstrip()] * len(answers)), np.array(answers)
    pattern = "\\b(?:The |the |An |A |The |a |an )"
    predictions = np.array([re.sub(pattern, "", x) for x in predictions])
    references = np.array([re.sub(pattern, "", x) for x in references])
    predictions, references = np.char.lower(predictions), np.char.lower(references)
    table = str.maketrans("", "", string.punctuation)
    predictions, references = np.char.translate(predictions, table), np.char.translate(references, table)
    return float((predictions == references).any())


@pytest.mark.parametrize(
    ("prediction", "answers", "values"),
    [
        ("Paris", ["paris"], (1, 1, 1, 1)),
        ("the  Paris", ["Paris"], (1, 1, 0, 1)),
        ("THE Paris", ["Paris"], (1, 1, 0, 1)),
        ("Paris ", ["Paris"], (1, 1, 0, 1)),
        (" Paris", ["Paris"], (1, 1, 1, 1)),
        ("the", ["a"], (1, 1, 0, 1)),
        ("a", ["the"], (1, 1, 0, 1)),
        ("it is Paris, France", ["Paris"], (0, 0, 0, 1)),
        ("Parisian", ["Paris"], (0, 0, 0, 1)),
        ("", ["", "x"], (1, 0, 1, 1)),
        ("", ["x"], (0, 0, 0, 0)),
        ("U.S.", ["US"], (1, 1, 1, 1)),
        ("rock-and-roll", ["rock and roll"], (0, 0, 0, 0)),
    ],
)
def test_the_definitions_differ_where_they_should(prediction: str, answers: list[str], values: tuple[int, ...]) -> None:
    found = (em(prediction, answers), em_kilt(prediction, answers), em_lm_eval(prediction, answers))
    assert (*found, em_contains(prediction, answers)) == values


@given(prediction=TEXT.filter(lambda text: "\0" not in text), answers=ANSWERS)
def test_em_lm_eval_equals_the_harness(prediction: str, answers: list[str]) -> None:
    kept = [answer.replace("\0", "") for answer in answers]  # numpy drops trailing NULs
    assert em_lm_eval(prediction, kept) == harness(prediction, kept)


@given(prediction=TEXT, answers=ANSWERS)
def test_their_order(prediction: str, answers: list[str]) -> None:
    assert em_kilt(prediction, answers) <= em(prediction, answers) <= em_contains(prediction, answers)
    assert em(prediction, answers) <= f1(prediction, answers)


@given(prediction=TEXT, answers=ANSWERS)
def test_the_order_of_answers_does_not_matter(prediction: str, answers: list[str]) -> None:
    for measure in (em_kilt, em_lm_eval, em_contains):
        assert measure(prediction, answers) == measure(prediction, answers[::-1])


@given(text=st.text(min_size=1, max_size=30).filter(str.strip))
def test_identical_strings_are_right(text: str) -> None:
    text = text.lstrip()
    assert em_kilt(text, [text]) == em_lm_eval(text, [text]) == em_contains(text, [text]) == 1


@pytest.mark.parametrize("measure", [em_kilt, em_lm_eval, em_contains])
def test_answers_are_checked_and_long_strings_work(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match="at least one"):
        measure("x", [])
    long = "word " * 10_000
    assert measure(long, [long]) == 1 and measure(long, ["other"]) == 0


def kilt_f1(prediction: str, answers: list[str]) -> float:
    """KILT's rule: no shared token is 0, empty answers are dropped."""
    found = [0.0]
    for answer in answers:
        said, wanted = normalize_answer(prediction).split(), normalize_answer(answer).split()
        shared = sum((Counter(said) & Counter(wanted)).values())
        found.append(2 * shared / (len(said) + len(wanted)) if shared else 0.0)
    return max(found)


@given(TEXT, ANSWERS)
def test_f1_kilt_is_kilts(prediction: str, answers: list[str]) -> None:
    assert f1_kilt(prediction, answers) == pytest.approx(kilt_f1(prediction, answers))


def test_nothing_against_nothing_is_no_f1_of_kilt() -> None:
    assert [f1_kilt(said, ["the", "Rome"]) for said in ("", "the", "Rome", " ")] == [0, 0, 1, 0]
    assert f1("", ["the"]) == 1, "SQuAD v2's rule"
