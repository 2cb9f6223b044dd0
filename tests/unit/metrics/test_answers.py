"""EM, F1 and has-answer against SQuAD's scorer, DPR's rule spelled out, and properties."""

import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.text import squad

from rag_lightning.metrics.answers import AnswerMatcher, em, f1, has_answer, tokenize
from rag_lightning.metrics.tokens import normalize_answer

TEXT = st.text(max_size=30) | st.lists(st.sampled_from(["the", "a", "Cat", "cat,", "U.S.", "é", "1,234"])).map(" ".join)
ANSWERS = st.lists(TEXT, min_size=1, max_size=3)


def naive_has_answer(answers: list[str], text: str) -> bool:
    """DPR's rule as the paper's notes state it: contiguous sub-list of lower-cased tokens after NFD."""
    pattern = regex.compile(r"([\p{L}\p{N}\p{M}]+)|([^\p{Z}\p{C}])", regex.I | regex.U | regex.M)

    def tokens(string: str) -> list[str]:
        return [m.group().lower() for m in pattern.finditer(unicodedata.normalize("NFD", string))]

    passage = tokens(text)
    for answer in map(tokens, answers):
        if answer and any(passage[i : i + len(answer)] == answer for i in range(len(passage) - len(answer) + 1)):
            return True
    return False


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Beatles", "beatles"),
        ("an apple  a day", "apple day"),
        ("U.S.", "us"),
        ("theatre", "theatre"),
        ("1,234", "1234"),
        ("the-end", "theend"),
        ("“quoted”", "“quoted”"),
        ("“the”end", "“ ”end"),
        ("", ""),
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


@given(prediction=TEXT, answers=ANSWERS)
def test_em_and_f1_equal_torchmetrics(prediction: str, answers: list[str]) -> None:
    reference = {"id": "1", "answers": {"answer_start": [0] * len(answers), "text": answers}}
    expected = squad({"id": "1", "prediction_text": prediction}, reference)  # type: ignore[arg-type]
    assert em(prediction, answers) * 100 == pytest.approx(expected["exact_match"].item())
    if normalize_answer(prediction):
        assert f1(prediction, answers) * 100 == pytest.approx(expected["f1"].item(), abs=1e-3)


@given(prediction=TEXT, answers=ANSWERS)
def test_em_is_at_most_f1(prediction: str, answers: list[str]) -> None:
    assert 0 <= em(prediction, answers) <= f1(prediction, answers) <= 1


@given(text=TEXT, others=st.lists(TEXT, max_size=2))
def test_identical_strings_are_the_maximum(text: str, others: list[str]) -> None:
    assert em(text, [*others, text]) == f1(text, [*others, text]) == 1


@given(prediction=TEXT, answers=ANSWERS)
def test_the_order_of_answers_does_not_matter(prediction: str, answers: list[str]) -> None:
    assert f1(prediction, answers) == f1(prediction, answers[::-1])
    assert em(prediction, answers) == em(prediction, answers[::-1])


def test_f1_counts_repeated_tokens() -> None:
    assert f1("york york", ["new york"]) == pytest.approx(0.5)


@pytest.mark.parametrize("answers", [[], (), "a string"])
def test_answers_must_be_a_list_with_something_in_it(answers: object) -> None:
    with pytest.raises(ValueError, match="at least one"):
        em("x", answers)  # type: ignore[arg-type]


def test_tokens_are_dpr_s() -> None:
    assert tokenize("Curaçao's 1,234 km²") == ["curac\u0327ao", "'", "s", "1", ",", "234", "km²"]
    assert tokenize("a_b\tc\u200bd") == ["a", "_", "b", "c", "d"]


@given(st.text(st.characters(max_codepoint=127)))
def test_the_ascii_path_equals_the_unicode_one(text: str) -> None:
    assert tokenize(text) == tokenize(text + " é")[:-1]


@given(
    answers=st.lists(st.text("ab é,", max_size=5), max_size=3),
    passages=st.lists(st.text("abcé, \n", max_size=20), min_size=1, max_size=4),
)
def test_has_answer_equals_the_naive_rule(answers: list[str], passages: list[str]) -> None:
    expected = [naive_has_answer(answers, passage) for passage in passages]
    assert [has_answer(answers, passage) for passage in passages] == expected
    assert list(AnswerMatcher(passages.__getitem__).hits(answers, range(len(passages)))) == expected


@given(
    answers=st.lists(st.text("aΣσςİi̇ſKéE\u0301'·. ", max_size=4), max_size=3),
    passage=st.text("aΣσςİi̇ſKéE\u0301'·. ", max_size=16),
)
def test_the_quick_look_misses_nothing(answers: list[str], passage: str) -> None:
    """Letters whose lower case depends on their neighbours, or is more than one letter."""
    assert AnswerMatcher([passage].__getitem__).hits(answers, [0]) == (naive_has_answer(answers, passage),)


def test_has_answer_needs_whole_tokens_in_order() -> None:
    text = "He moved to New York City in 1999."
    assert has_answer(["new york"], text) and has_answer(["YORK city"], text) and has_answer(["x", "1999"], text)
    assert not has_answer(["york new"], text) and not has_answer(["199"], text) and not has_answer([" "], text)
    assert has_answer(["Sao Tome"], "Sao Tome") and not has_answer(["São Tomé"], "Sao Tome")
    assert has_answer([unicodedata.normalize("NFC", "São")], unicodedata.normalize("NFD", "São"))


def test_a_passage_is_read_once() -> None:
    read: list[int] = []

    def text_of(row: int) -> str:
        read.append(row)
        return "text"

    matcher = AnswerMatcher(text_of)
    matcher.hits(["a"], [3, 4, 3])
    matcher.hits(["text", "e"], [3, 4])
    assert matcher.hits(["text"], [4]) == (True,)
    assert read == [3, 4]
