"""BLEU-1 in two definitions that differ in tokens and in digits.

- bleu1: sacrebleu (Post 2018), corpus level, its 13a tokens, case kept; bleu1_sentence is computed per example.
- bleu1_msmarco: the MS MARCO evaluator's, coco-caption `bleu_scorer.py` over spaCy tokens in lower case, corpus level.

Both clip counts by the references' maximum, and take the closest reference length (the shorter of two) for the brevity
penalty. The paper does not say which its Jeopardy numbers are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from rag_lightning.metrics.answers import check_answers
from rag_lightning.metrics.metric import CorpusMetric, Floats, Metric, Note, Outcome
from rag_lightning.metrics.tokens import KEPT, english, english_tokenizer, english_words

NO_ANSWER = "No Answer Present."
"""What MS MARCO says where its passages do not answer the query."""
_SMALL, _TINY = 1e-9, 1e-15


def sacrebleu_statistics(prediction: str, answers: Sequence[str]) -> tuple[int, int, int]:
    """Matched and all uni-grams of the prediction, and the closest reference length, by sacrebleu.

    Raises:
        ValueError: no answers.
    """
    return _sacrebleu_statistics(prediction, tuple(check_answers(answers)))


def coco_statistics(words: Sequence[str], references: Iterable[Sequence[str]]) -> tuple[int, int, int]:
    """Matched and all uni-grams, and the closest reference length, by coco-caption, from tokens."""
    listed = list(references)
    most = _counts(tuple(listed[0])) if len(listed) == 1 else _maximum(listed)
    matched = sum(min(count, most[word]) for word, count in _counts(tuple(words)).items())
    closest = min((abs(len(reference) - len(words)), len(reference)) for reference in listed)[1]
    return matched, len(words), closest


def bleu1(sums: Floats) -> Floats:
    """BLEU-1 of added statistics, [..., 3] -> [...]; without any match it is 0 (sacrebleu)."""
    matched, predicted, wanted = sums[..., 0], np.maximum(sums[..., 1], _TINY), sums[..., 2]
    penalty: Floats = np.exp(np.minimum(0.0, 1 - wanted / predicted))
    value: Floats = np.where(matched > 0, matched / predicted * penalty, 0.0)
    return value


def coco_bleu1(sums: Floats) -> Floats:
    """BLEU-1 of added statistics, [..., 3] -> [...], with coco-caption's small numbers against division by zero."""
    matched, predicted, wanted = sums[..., 0], sums[..., 1], sums[..., 2]
    ratio = (predicted + _TINY) / (wanted + _SMALL)
    penalty: Floats = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    value: Floats = (matched + _TINY) / (predicted + _SMALL) * penalty
    return value


def coco_sentence_bleu1(words: Sequence[str], reference: Sequence[str]) -> float:
    """`coco_bleu1` of one pair, without arrays."""
    matched, predicted, wanted = coco_statistics(words, [reference])
    ratio = (predicted + _TINY) / (wanted + _SMALL)
    return (matched + _TINY) / (predicted + _SMALL) * (math.exp(1 - 1 / ratio) if ratio < 1 else 1.0)


def from_sums(of_sums: Callable[[Floats], Floats]) -> Callable[[Sequence[Sequence[Any]]], float]:
    """The `combine` function of a metric whose statistics add up."""
    return lambda statistics: float(of_sums(np.asarray(statistics, dtype=np.float64).sum(axis=0)))


def evaluated(outcome: Outcome) -> str | None:
    """The prediction as the MS MARCO evaluator scores it: `No Answer Present.` is blanked.

    None without a prediction, or where a reference is `No Answer Present.`, which takes the query out.
    """
    if NO_ANSWER in outcome.example.answers:
        return None
    return "" if outcome.prediction == NO_ANSWER else outcome.prediction


def english_notes(outcomes: Sequence[Outcome]) -> tuple[Note, ...]:
    """A note that names the tokeniser."""
    return (Note(english_tokenizer()),)


@lru_cache(maxsize=4096)  # both metrics of one example ask for the same
def _sacrebleu_statistics(prediction: str, answers: tuple[str, ...]) -> tuple[int, int, int]:
    found = _sacrebleu().sentence_score(prediction, list(answers))
    return found.counts[0], found.totals[0], found.ref_len


@lru_cache(maxsize=1)
def _sacrebleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU  # imported here: 0.3 s that other metrics need not wait for

    return BLEU(max_ngram_order=1, effective_order=True)


def _words(text: str) -> list[str]:
    """Words of sacrebleu's 13a tokeniser."""
    found: list[str] = _sacrebleu().tokenizer(text).split()
    return found


def signature(references: str, by_sentence: bool = False) -> str:
    """sacrebleu's signature, for `references` per prediction ("1", "var"), of a corpus or a mean of sentence scores."""
    what, effective = ("mean of sentences, ", "yes") if by_sentence else ("", "no")
    settings = f"nrefs:{references}|case:mixed|eff:{effective}|tok:13a|smooth:exp|version:{version('sacrebleu')}"
    return f"sacrebleu {what}{settings}"


def _signed(by_sentence: bool) -> Callable[[Sequence[Outcome]], tuple[Note, ...]]:
    """The note with the signature."""

    def notes(outcomes: Sequence[Outcome]) -> tuple[Note, ...]:
        counts = {len(o.example.answers) for o in outcomes if o.prediction is not None}
        return (Note(signature(str(counts.pop()) if len(counts) == 1 else "var", by_sentence)),)

    return notes


@lru_cache(maxsize=KEPT)
def _counts(words: tuple[str, ...]) -> Counter[str]:
    return Counter(words)


def _maximum(references: Sequence[Sequence[str]]) -> Counter[str]:
    most: Counter[str] = Counter()
    for reference in references:
        most |= _counts(tuple(reference))
    return most


def _sacrebleu_of(outcome: Outcome) -> tuple[int, int, int] | None:
    return None if outcome.prediction is None else sacrebleu_statistics(outcome.prediction, outcome.example.answers)


def _sentence(outcome: Outcome) -> float | None:
    found = _sacrebleu_of(outcome)
    return None if found is None else float(bleu1(np.array(found, dtype=np.float64)))


def _msmarco(outcome: Outcome) -> tuple[int, int, int] | None:
    prediction = evaluated(outcome)
    if prediction is None:
        return None
    references = [english(answer).split() for answer in check_answers(outcome.example.answers)]
    return coco_statistics(english(prediction).split(), references)


BLEU1 = CorpusMetric(
    "bleu1",
    "%",
    "higher",
    _sacrebleu_of,
    from_sums(bleu1),
    bleu1,
    made_with=lambda: signature("var"),
    notes=_signed(False),
    words=_words,
)
BLEU1_SENTENCE = Metric(
    "bleu1_sentence",
    "%",
    "higher",
    _sentence,
    made_with=lambda: signature("var", True),
    notes=_signed(True),
    words=_words,
)
BLEU1_MSMARCO = CorpusMetric(
    "bleu1_msmarco",
    "%",
    "higher",
    _msmarco,
    from_sums(coco_bleu1),
    coco_bleu1,
    made_with=english_tokenizer,
    notes=english_notes,
    words=english_words,
)
