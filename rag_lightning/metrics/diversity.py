"""Diversity of the generated texts: distinct tri-grams among all tri-grams of all predictions.

Source: Lewis et al. 2020, Table 5. It does not say how texts were cut into words; here it is DPR's SimpleTokenizer in
lower case (answers.py). Tri-grams do not reach from one prediction into the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag_lightning.metrics.answers import tokenize
from rag_lightning.metrics.metric import CorpusMetric, Note, Outcome

MADE_WITH = "tokenised by DPR's SimpleTokenizer, lower-cased"


def trigrams(text: str) -> tuple[str, ...]:
    """The text's tri-grams in order, their words between spaces.

    >>> trigrams("The cat, maybe.")
    ('the cat ,', 'cat , maybe', ', maybe .')
    """
    words = tokenize(text)
    return tuple(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def distinct_share(listed: Sequence[Sequence[str]]) -> float:
    """Distinct tri-grams divided by all, 0 where there is none."""
    total = sum(map(len, listed))
    return len(set().union(*listed)) / total if total else 0.0


def _statistics(outcome: Outcome) -> tuple[str, ...] | None:
    return None if outcome.prediction is None else trigrams(outcome.prediction)


def _notes(outcomes: Sequence[Outcome]) -> tuple[Note, ...]:
    """The first reference of each example is what the paper's Gold row is made of."""
    references = distinct_share([trigrams(o.example.answers[0]) for o in outcomes if o.prediction is not None])
    return (Note(f"{MADE_WITH}; the references' own share is {100 * references:.1f} %"),)


DISTINCT_TRIGRAMS = CorpusMetric(
    "distinct_trigrams",
    "%",
    "higher",
    _statistics,
    distinct_share,
    made_with=lambda: MADE_WITH,
    notes=_notes,
    words=tokenize,
)
