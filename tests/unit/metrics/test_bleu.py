"""BLEU-1 against sacrebleu, and coco-caption's rule spelled out."""

import math
from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from rag_lightning.core.records import Example
from rag_lightning.metrics.bleu import (
    BLEU1,
    BLEU1_MSMARCO,
    BLEU1_SENTENCE,
    bleu1,
    coco_bleu1,
    coco_sentence_bleu1,
    coco_statistics,
    from_sums,
    sacrebleu_statistics,
)
from rag_lightning.metrics.metric import Outcome

WORDS = st.lists(st.sampled_from(["the", "The", "cat", "cat,", "sat.", "U.S.", "é", "1,234"]), max_size=8).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=6)
Pairs = list[tuple[str, list[str]]]


def sacre(pairs: Pairs, **options: str) -> float:
    """sacrebleu over whole columns; a missing reference is None there."""
    most = max(len(references) for _, references in pairs)
    columns = [[refs[i] if i < len(refs) else None for _, refs in pairs] for i in range(most)]
    scorer = BLEU(max_ngram_order=1, **options)  # type: ignore[arg-type]
    return scorer.corpus_score([said for said, _ in pairs], columns).score / 100  # type: ignore[arg-type]


def coco(pairs: Pairs) -> float:
    """coco-caption's corpus BLEU-1 as it is written there, option `closest`."""
    guess = correct = reference_length = 0
    for said, references in pairs:
        words = said.split()
        guess += len(words)
        for word in set(words):
            correct += min(words.count(word), max(reference.split().count(word) for reference in references))
        reference_length += min((abs(len(r.split()) - len(words)), len(r.split())) for r in references)[1]
    value = (correct + 1e-15) / (guess + 1e-9)
    ratio = (guess + 1e-15) / (reference_length + 1e-9)
    return value * math.exp(1 - 1 / ratio) if ratio < 1 else value


@given(PAIRS)
def test_bleu1_equals_sacrebleu(pairs: Pairs) -> None:
    statistics = [sacrebleu_statistics(*pair) for pair in pairs]
    assert from_sums(bleu1)(statistics) == pytest.approx(sacre(pairs))


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_a_sentence_s_bleu1_equals_sacrebleu_s(said: str, references: list[str]) -> None:
    expected = BLEU(max_ngram_order=1, effective_order=True).sentence_score(said, references).score / 100
    assert BLEU1_SENTENCE.score(Outcome(Example("1", "q", tuple(references)), said)) == pytest.approx(expected)


@given(PAIRS)
def test_the_msmarco_bleu1_equals_coco_caption_and_nearly_sacrebleu(pairs: Pairs) -> None:
    statistics = [coco_statistics(said.split(), [r.split() for r in references]) for said, references in pairs]
    value = from_sums(coco_bleu1)(statistics)
    assert value == pytest.approx(coco(pairs), abs=1e-12)
    assert value == pytest.approx(sacre(pairs, tokenize="none"), abs=1e-6)
    said, references = pairs[0]
    assert coco_sentence_bleu1(said.split(), references[0].split()) == pytest.approx(coco([(said, references[:1])]))


def test_the_evaluator_s_tokens_are_lower_cased_and_keep_punctuation() -> None:
    outcomes = [
        Outcome(Example("1", "q", ("The cat isn't here.",)), "the cat is here"),
        Outcome(Example("2", "q", ("Yes.", "Certainly, yes.")), "Yes, certainly."),
    ]
    statistics = [BLEU1_MSMARCO.statistics(outcome) for outcome in outcomes]
    assert statistics == [(4, 4, 6), (4, 4, 4)]


def test_queries_without_an_answer_are_left_out() -> None:
    asked = Example("1", "q", ("No Answer Present.",))
    assert BLEU1_MSMARCO.statistics(Outcome(asked, "x")) is None
    assert BLEU1.statistics(Outcome(asked, "x")) is not None
    assert BLEU1.statistics(Outcome(asked)) is BLEU1_MSMARCO.statistics(Outcome(asked)) is None


def test_a_prediction_of_no_answer_is_blanked_as_the_evaluator_does() -> None:
    """Its words would match such a reference's otherwise."""
    asked = Example("1", "q", ("No answer is present.",))
    blank, words = (BLEU1_MSMARCO.statistics(Outcome(asked, said)) for said in ("", "no answer present ."))
    assert BLEU1_MSMARCO.statistics(Outcome(asked, "No Answer Present.")) == blank == (0, 0, 5)
    assert words == (4, 4, 5), "only the string itself"


def test_the_signature_is_sacrebleu_s() -> None:
    one, two = Example("1", "q", ("a",)), Example("2", "q", ("a", "b"))
    scorer = BLEU(max_ngram_order=1)
    scorer.corpus_score(["a"], [["a"]])
    (note,) = BLEU1.notes([Outcome(one, "a")])
    assert note.text == f"sacrebleu {scorer.get_signature()}" and not note.degraded
    (note,) = BLEU1.notes([Outcome(one, "a"), Outcome(two, "a")])
    assert note.text.startswith("sacrebleu nrefs:var|")
    assert version("sacrebleu") in BLEU1.made_with()


def test_the_signature_of_sentences_is_that_of_their_scorer() -> None:
    scorer = BLEU(max_ngram_order=1, effective_order=True)
    scorer.sentence_score("a", ["a"])
    (note,) = BLEU1_SENTENCE.notes([Outcome(Example("1", "q", ("a",)), "a")])
    assert note.text == f"sacrebleu mean of sentences, {scorer.get_signature()}"
    assert BLEU1_SENTENCE.made_with() != BLEU1.made_with()


def test_values_at_the_edges() -> None:
    rows = np.array([[0, 0, 0], [0, 0, 5], [0, 5, 0], [5, 5, 5], [0, 3, 3], [3, 3, 6]], dtype=np.float64)
    assert bleu1(rows).tolist() == pytest.approx([0, 0, 0, 1, 0, math.exp(-1)])
    assert coco_bleu1(rows).tolist() == pytest.approx([0, 0, 0, 1, 0, math.exp(-1)], abs=1e-8)


@pytest.mark.parametrize("metric", [BLEU1, BLEU1_SENTENCE, BLEU1_MSMARCO])
def test_answers_are_checked(metric: object) -> None:
    measure = getattr(metric, "statistics", None) or metric.score  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="at least one"):
        measure(Outcome(Example("1", "q", ()), "x"))
