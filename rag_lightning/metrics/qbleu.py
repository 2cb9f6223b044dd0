"""Q-BLEU-1 (Nema & Khapra 2018): answerability mixed with BLEU-1, in both published behaviours.

Q = delta A + (1 - delta) BLEU-1, where A weighs how names, content words, question words and stop words agree. Weights
and delta are those tuned on SQuAD, which Lewis et al. 2020 use. A part that is empty on both sides counts 0 in the code
of October 2018 (`q_bleu1_2018`) and 1 in that of November 2019 (`q_bleu1`): clues seldom hold a question word, so this
alone is worth up to 13 points. The paper does not say which it ran.

Names are told by their capitals, so a writer without capitals never writes one: a perfect clue in lower case has 68.3.
A comparison with such a writer uses `q_bleu1_uncased` for both sides: clue and references in lower case, without names.

Source: github.com/PrekshaNema25/Answerability-Metric, `answerability_score.py`; tokens by `treebank` in place of
Stanford's tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rag_lightning.metrics.answers import answer_score, check_answers
from rag_lightning.metrics.bleu import coco_sentence_bleu1
from rag_lightning.metrics.metric import Metric, Note, Outcome
from rag_lightning.metrics.tokens import KEPT, QUESTION_WORDS, treebank

_STOP_WORDS = """
a about above after again against all am an and any are as at be because been before being below between both but by
can did do does doing don down during each few for from further had has have having he her here hers herself him
himself his i if in into is it its itself just me more most my myself no nor not now of off on once only or other our
ours ourselves out over own s same she should so some such t than that the their theirs them themselves then there
these they this those through to too under until up very was we were while will with you your yours yourself
yourselves
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
MADE_WITH = "tokenised by treebank rules in place of Stanford's tokenizer"
_ASKED = QUESTION_WORDS | {word.capitalize() for word in QUESTION_WORDS}


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of names, content words and question words (stop words have the rest), and of A against BLEU-1."""

    names: float = 0.41
    content: float = 0.36
    question: float = 0.20
    delta: float = 0.66


SQUAD = Weights()


@dataclass(frozen=True, slots=True)
class Parts:
    """The words of a question by kind, each as tokens; all of them first."""

    all: tuple[str, ...]
    names: tuple[str, ...]
    content: tuple[str, ...]
    question: tuple[str, ...]
    stop: tuple[str, ...]


def q_bleu1(prediction: str, answers: Sequence[str], weights: Weights = SQUAD, both_empty: float = 1.0) -> float:
    """Q-BLEU-1 against the best of the answers (the source knows one).

    Args:
        prediction: The question or clue written.
        answers: References.
        weights: Weights of its parts.
        both_empty: Value of a part that is empty on both sides: 0 in October 2018, 1 since November 2019.

    Raises:
        ValueError: no answers.
    """
    predicted = split_parts(prediction)
    return max(_q_bleu1(predicted, split_parts(answer), weights, both_empty) for answer in check_answers(answers))


@lru_cache(maxsize=KEPT)
def split_parts(text: str) -> Parts:
    """Split a question by kind of word, by white space and case as the source does; then words become tokens."""
    words = text.split()
    asking = [place for place, word in enumerate(words) if word in _ASKED]
    # the noun after what and which says what is asked for
    asked = [w for i in asking for w in words[i : i + (2 if words[i].lower() in ("what", "which") else 1)]]
    lower = [word for word in words if word not in asked and not word[0].isupper()]
    named = words[1:] if words and words[0].lower() in QUESTION_WORDS else words
    kinds = (
        words,
        [word for word in named if word[0].isupper()],
        [word for word in lower if word not in STOP_WORDS],
        asked,
        [word for word in words if word.lower() in STOP_WORDS],
    )
    return Parts(*(treebank(" ".join(kind)) for kind in kinds))


def is_uncased(outcomes: Sequence[Outcome]) -> bool:
    """Whether the references have upper-case letters and no prediction has any, so that no name is recognised."""
    predicted = [outcome for outcome in outcomes if outcome.prediction]
    if not predicted or any(_cased(outcome.prediction or "") for outcome in predicted):
        return False
    return any(_cased(answer) for outcome in predicted for answer in outcome.example.answers)


def _q_bleu1(predicted: Parts, wanted: Parts, weights: Weights, both_empty: float) -> float:
    agreements, bleu = _compare(predicted, wanted)
    names, content, question, stop = (both_empty if found is None else found for found in agreements)
    rest = 1 - weights.names - weights.content - weights.question
    answerability = weights.names * names + weights.content * content + weights.question * question + rest * stop
    return weights.delta * answerability + (1 - weights.delta) * bleu


@lru_cache(maxsize=KEPT)  # both behaviours ask for the same
def _compare(predicted: Parts, wanted: Parts) -> tuple[tuple[float | None, ...], float]:
    """How names, content, question and stop words agree (None for what neither side has), and BLEU-1 of all words."""
    kinds = ("names", "content", "question", "stop")
    agreements = tuple(_agreement(getattr(predicted, kind), getattr(wanted, kind)) for kind in kinds)
    return agreements, coco_sentence_bleu1(predicted.all, wanted.all)


def _agreement(predicted: tuple[str, ...], wanted: tuple[str, ...]) -> float | None:
    if not predicted and not wanted:
        return None
    precision, recall = coco_sentence_bleu1(predicted, wanted), coco_sentence_bleu1(wanted, predicted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _cased(text: str) -> bool:
    return any(sign.isupper() for sign in text)


def _notes(outcomes: Sequence[Outcome]) -> tuple[Note, ...]:
    mark = Note("degraded: no prediction has an upper-case letter, so its names are never found", degraded=True)
    return (Note(MADE_WITH), mark) if is_uncased(outcomes) else (Note(MADE_WITH),)


def _q_bleu1_2018(prediction: str, answers: Sequence[str]) -> float:
    return q_bleu1(prediction, answers, both_empty=0.0)


def _q_bleu1_uncased(prediction: str, answers: Sequence[str]) -> float:
    return q_bleu1(prediction.lower(), [answer.lower() for answer in answers])


Q_BLEU1 = Metric(
    "q_bleu1",
    "%",
    "higher",
    answer_score(q_bleu1),
    made_with=lambda: MADE_WITH,
    notes=_notes,
    words=treebank,
    alike="q_bleu1_uncased",
)
Q_BLEU1_2018 = replace(Q_BLEU1, name="q_bleu1_2018", score=answer_score(_q_bleu1_2018))
Q_BLEU1_UNCASED = Metric(
    "q_bleu1_uncased",
    "%",
    "higher",
    answer_score(_q_bleu1_uncased),
    beside=("q_bleu1",),
    made_with=lambda: MADE_WITH,
    words=treebank,
)
