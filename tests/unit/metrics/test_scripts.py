"""Texts in scripts that a definition cuts to no words, or to too few: the values stay, and a note says so."""

from __future__ import annotations

import pytest

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Outcome, parse_metric
from rag_lightning.metrics.tokens import is_unspaced

ENGLISH = Outcome(Example("1", "where", ("Rome",)), "Rome", (True,))
RUSSIAN = Outcome(Example("2", "где", ("Рим",)), "Рим", (True,))
CHINESE = Outcome(Example("3", "哪里", ("罗马",)), "罗马", (False,))
EMPTY = Outcome(Example("4", "where", ("Rome",)), "...", (False,))


def notes(metric: str, *outcomes: Outcome) -> list[str]:
    return [note.text for note in parse_metric(metric).notes(outcomes)]


def test_rouge_l_has_words_of_ascii_letters_only() -> None:
    assert parse_metric("rouge_l").score(RUSSIAN) == 0.0  # type: ignore[union-attr]
    (note,) = notes("rouge_l", ENGLISH, RUSSIAN, CHINESE, EMPTY)
    assert note.startswith("2 of 4 examples have a prediction or answers in other letters than a-z")
    assert notes("rouge_l", ENGLISH, EMPTY) == []


@pytest.mark.parametrize("metric", ["f1", "answer_recall@1", "answer_precision@1", "mrr"])
def test_scripts_without_spaces_are_counted(metric: str) -> None:
    (note,) = notes(metric, ENGLISH, RUSSIAN, CHINESE)
    assert note.startswith("1 of 3 examples have answers in a script without spaces between words")
    assert notes(metric, ENGLISH, RUSSIAN) == []


@pytest.mark.parametrize(
    ("text", "unspaced"),
    [("東京", True), ("ひらがな", True), ("กรุงเทพ", True), ("서울 시", False), ("Café", False), ("", False)],
)
def test_which_scripts_have_no_spaces(text: str, unspaced: bool) -> None:
    assert is_unspaced(text) == unspaced
