"""Q-BLEU-1 against the published oracles, and its parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Outcome, comparable
from rag_lightning.metrics.qbleu import (
    MADE_WITH,
    Q_BLEU1,
    Q_BLEU1_2018,
    Q_BLEU1_UNCASED,
    SQUAD,
    STOP_WORDS,
    Weights,
    is_uncased,
    q_bleu1,
    split_parts,
)
from rag_lightning.metrics.tokens import QUESTION_WORDS

SAID, WANTED = "Is this a great question?", "Is this a good question?"
README = Weights(names=0.6, content=0.1, question=0.2, delta=0.7)
TEXT = st.text(max_size=30) | st.lists(
    st.sampled_from(["What", "which", "Paris", "is", "the", "capital", "city?", "é", "U.S."]), max_size=8
).map(" ".join)


@pytest.mark.parametrize(
    ("weights", "both_empty", "value"),
    [(SQUAD, 0.0, 0.6812), (SQUAD, 1.0, 0.8132), (README, 0.0, 0.765), (README, 1.0, 0.905)],
)
def test_the_oracles(weights: Weights, both_empty: float, value: float) -> None:
    assert q_bleu1(SAID, [WANTED], weights, both_empty) == pytest.approx(value, abs=5e-5)


def test_the_metrics_are_the_two_behaviours_with_squad_s_weights() -> None:
    outcome = Outcome(Example("1", "q", (WANTED,)), SAID)
    assert Q_BLEU1_2018.score(outcome) == pytest.approx(0.6812, abs=5e-5)
    assert Q_BLEU1.score(outcome) == pytest.approx(0.8132, abs=5e-5)
    assert Q_BLEU1.score(Outcome(Example("1", "q", (WANTED,)))) is None


@pytest.mark.parametrize(
    ("text", "names", "content", "question", "stop"),
    [
        ("Is this a great question?", "is", "great question", "", "is this a"),
        ("What city does the Seine cross in Paris?", "seine paris", "cross", "what city", "does the in"),
        ("Seine is what river", "seine", "", "what river", "is"),
        ("Who wrote Emma, and who sang?", "emma", "wrote sang", "who who", "and"),
        ("This city of the Seine", "this seine", "city", "", "this of the"),
        ("Which", "", "", "which", ""),
        ("", "", "", "", ""),
    ],
)
def test_words_are_told_apart(text: str, names: str, content: str, question: str, stop: str) -> None:
    found = split_parts(text)
    assert [" ".join(kind) for kind in (found.names, found.content, found.question, found.stop)] == [
        names,
        content,
        question,
        stop,
    ]


def test_the_word_lists_are_the_source_s() -> None:
    assert len(STOP_WORDS) == 119 and not STOP_WORDS & QUESTION_WORDS
    assert {"and", "than", "s", "t", "don", "doing"} <= STOP_WORDS and len(QUESTION_WORDS) == 9


def test_the_best_of_several_answers_counts() -> None:
    assert q_bleu1(SAID, ["Other?", WANTED]) == q_bleu1(SAID, [WANTED])
    with pytest.raises(ValueError, match="at least one"):
        q_bleu1(SAID, [])


@given(TEXT, TEXT)
def test_bounds_and_the_gap_between_the_behaviours(said: str, wanted: str) -> None:
    old, new = q_bleu1(said, [wanted], both_empty=0.0), q_bleu1(said, [wanted])
    assert 0 <= old <= new <= 1 + 1e-9
    sides = [
        (getattr(split_parts(said), kind), getattr(split_parts(wanted), kind))
        for kind in ("names", "content", "question", "stop")
    ]
    empty = [not a and not b for a, b in sides]
    gap = 0.66 * sum(weight for weight, none in zip((0.41, 0.36, 0.20, 0.03), empty, strict=True) if none)
    assert new - old == pytest.approx(gap, abs=1e-9)


@given(TEXT)
def test_identical_strings_are_the_maximum(text: str) -> None:
    if split_parts(text).all:
        assert q_bleu1(text, [text]) == pytest.approx(1, abs=1e-6)


def outcome(said: str | None, wanted: str) -> Outcome:
    return Outcome(Example("1", "q", (wanted,)), said)


def test_a_perfect_clue_in_lower_case_is_perfect_where_both_sides_are_lower_case() -> None:
    clue = "This Alexandre Dumas hero was imprisoned in the Chateau d'If"
    lower = outcome(clue.lower(), clue)
    assert Q_BLEU1.score(lower) < 0.75  # type: ignore[operator]
    assert Q_BLEU1_UNCASED.score(lower) == Q_BLEU1_UNCASED.score(outcome(clue, clue)) == pytest.approx(1, abs=1e-6)
    assert comparable("q_bleu1", [(), ("q_bleu1", "q_bleu1_2018")]) == "q_bleu1_uncased"
    assert comparable("q_bleu1", [(), ("bleu1",)]) == "q_bleu1" and comparable("em", [("em",)]) == "em"


def test_uncased_predictions_are_marked() -> None:
    lower = [outcome("this city is on the seine", "This city is on the Seine"), outcome("paris", "Paris")]
    assert is_uncased(lower) and [note.degraded for note in Q_BLEU1.notes(lower)] == [False, True]
    assert Q_BLEU1_2018.notes(lower)[0].text == MADE_WITH
    for others in (
        [*lower, outcome("Paris", "Paris")],
        [outcome("paris", "paris")],
        [outcome(None, "Paris")],
        [outcome("", "Paris")],
        [],
    ):
        assert not is_uncased(others)
