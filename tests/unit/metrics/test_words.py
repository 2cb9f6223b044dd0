"""The counts of what the word rules of metrics do not see."""

from __future__ import annotations

import pytest

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Outcome, parse_metric
from rag_lightning.metrics.summary import notes_of
from rag_lightning.metrics.words import unseen_notes


def outcomes(*answers: str, **more: object) -> list[Outcome]:
    return [Outcome(Example(str(i), "q", (answer,)), "x", **more) for i, answer in enumerate(answers)]  # type: ignore[arg-type]


def counts(name: str, *answers: str) -> list[str]:
    return [note.text for note in unseen_notes(outcomes(*answers), [parse_metric(name)])]


NONE, JOINED = "of 4 answers hold no word by this rule", "of 4 answers hold text without spaces between words"


@pytest.mark.parametrize(
    ("name", "answers", "none", "joined"),
    [
        ("em", ("The", "a cat", "!", "北京"), 2, 1),
        ("f1", ("the 東京 tower", "水", "กรุงเทพ", "서울"), 0, 2),
        ("em_kilt", ("an", "x", "y", "z"), 1, 0),
        ("em_lm_eval", ("...", "the", "x", "y"), 1, 0),
        ("rouge_l", ("北京", "القاهرة", "दिल्ली", "Évreux"), 3, 0),
        ("rouge_l_msmarco", ("北京是首都", " ", "x", "y"), 1, 1),
        ("bleu1", ("北京是首都。", "x", "y", "z"), 0, 1),
        ("answer_recall@2", ("北京", "!", " ", "x"), 1, 1),
        ("mrr", ("北京", "x", "y", "z"), 0, 1),
        ("q_bleu1", ("?!", "x", "北京是", "z"), 1, 1),
        ("em_char", ("。", "北京", "กรุงเทพ", "x"), 1, 0),
    ],
)
def test_answers_without_words_are_counted(name: str, answers: tuple[str, ...], none: int, joined: int) -> None:
    found = counts(name, *answers)
    assert len(found) == bool(none) + bool(joined)
    assert not none or found[0] == f"{none} {NONE}"
    assert not joined or found[-1].startswith(f"{joined} {JOINED}, one word by this rule")


@pytest.mark.parametrize("name", ["label_accuracy", "em_regex", "gold_recall@1"])
def test_a_metric_without_words_has_no_count(name: str) -> None:
    assert counts(name, "北京", "!") == []


def test_english_answers_need_no_note() -> None:
    metrics = [parse_metric(name) for name in ("em", "f1", "answer_recall@2", "mrr", "rouge_l")]
    assert unseen_notes(outcomes("Paris", "42", "the Who"), metrics) == {}


def test_an_answer_counts_as_often_as_it_is_given_and_metrics_share_a_note() -> None:
    metrics = [parse_metric(name) for name in ("em", "f1", "rouge_l")]
    found = {note["text"]: note["metrics"] for note in notes_of(outcomes("北京", "北京", "x"), metrics)}
    assert found == {
        "2 of 3 answers hold text without spaces between words, one word by this rule; corpus.language can add em_char "
        "and f1_char": ["em", "f1"],
        "2 of 3 answers hold no word by this rule": ["rouge_l"],
    }


def test_patterns_have_no_word_rule_in_passages() -> None:
    metrics = [parse_metric("answer_recall@2")]
    assert unseen_notes(outcomes("北京"), metrics, patterns=True) == {}
    assert unseen_notes(outcomes("北京"), metrics) != {}


def test_questions_without_passages_are_counted() -> None:
    some = [*outcomes("x", titles=(), answer_hits=()), *outcomes("y", titles=("a",), answer_hits=(True,))]
    found = {note.text: names for note, names in unseen_notes(some, [parse_metric("mrr"), parse_metric("em")]).items()}
    assert found == {"1 of 2 questions have no passage": ["mrr"]}
