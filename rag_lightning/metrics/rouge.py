"""ROUGE-L in two definitions, both from the longest common subsequence (LCS) of words.

- rouge_l_msmarco: the MS MARCO evaluator's, coco-caption `rouge.py`: spaCy tokens in lower case, beta 1.2, and the best
  precision and the best recall may come from different references.
- rouge_l: Google's `rouge-score` 0.1.2 without stemming: runs of ASCII letters and digits, F1, the best reference.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from functools import lru_cache

from rag_lightning.metrics.answers import answer_score, check_answers
from rag_lightning.metrics.bleu import english_notes, evaluated
from rag_lightning.metrics.metric import Metric, Outcome
from rag_lightning.metrics.tokens import KEPT, english, english_tokenizer, english_words

BETA = 1.2
_WORD = re.compile(r"[a-z0-9]+")


def lcs_length(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence: a row of the table is one whole number (Hyyrö 2004, bit-parallel).

    >>> lcs_length("the cat sat".split(), "the dog sat".split())
    2
    """
    places: dict[Hashable, int] = {}
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(left)) - 1
    row = full
    for word in right:
        if shared := row & places.get(word, 0):
            row = ((row + shared) | (row - shared)) & full
    return len(left) - row.bit_count()


def rouge_l_msmarco(prediction: str, answers: Sequence[str]) -> float:
    """F with beta 1.2 of the best precision and the best recall, tokens split at every single space.

    Raises:
        ValueError: no answers.
    """
    predicted = english(prediction).split(" ")
    wanted = [english(answer).split(" ") for answer in check_answers(answers)]
    shared = [lcs_length(reference, predicted) for reference in wanted]
    precision = max(shared) / len(predicted)
    recall = max(count / len(reference) for count, reference in zip(shared, wanted, strict=True))
    if not precision:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def rouge_l(prediction: str, answers: Sequence[str]) -> float:
    """The best F1 of the LCS against any answer, 0 where either has no word.

    Raises:
        ValueError: no answers.
    """
    return max(_f1(_words(prediction), _words(answer)) for answer in check_answers(answers))


@lru_cache(maxsize=KEPT)
def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _f1(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    return 2 * lcs_length(wanted, predicted) / (len(predicted) + len(wanted)) if predicted and wanted else 0.0


def _msmarco(outcome: Outcome) -> float | None:
    prediction = evaluated(outcome)
    return None if prediction is None else rouge_l_msmarco(prediction, outcome.example.answers)


ROUGE_L = Metric("rouge_l", "%", "higher", answer_score(rouge_l), words=_words)
ROUGE_L_MSMARCO = Metric(
    "rouge_l_msmarco",
    "%",
    "higher",
    _msmarco,
    made_with=english_tokenizer,
    notes=english_notes,
    words=english_words,
)
