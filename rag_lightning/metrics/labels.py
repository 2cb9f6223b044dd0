"""Classification (FEVER): label accuracy and confusion matrix.

Source: label accuracy as in Thorne et al. 2018, without the evidence that FEVER's own score asks for as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_lightning.metrics.answers import answer_score, check_answers
from rag_lightning.metrics.metric import Metric, Outcome

OUTSIDE = "outside the set"
"""Column of the predictions that are none of the labels."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Confusion matrix: how often each label was predicted for each true one.

    Args:
        labels: Labels in the task's order.
        counts: True label -> number per predicted label in that order, and last of predictions outside the set.
    """

    labels: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]

    def to_dict(self) -> dict[str, Any]:
        """The matrix as summary.json holds it."""
        return {"predicted": [*self.labels, OUTSIDE], "true": {label: list(row) for label, row in self.counts.items()}}


def normalize_label(text: str) -> str:
    """Convert to lower case and collapse white space.

    >>> normalize_label(" NOT  ENOUGH INFO")
    'not enough info'
    """
    return " ".join(text.lower().split())


def label_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """1 if the predicted label is the example's.

    Raises:
        ValueError: no answers.
    """
    label = normalize_label(prediction)
    return float(any(normalize_label(answer) == label for answer in check_answers(answers)))


def confusion(outcomes: Iterable[Outcome], labels: Sequence[str]) -> Confusion:
    """The confusion matrix of all outcomes with a prediction.

    Args:
        outcomes: Each with one answer, its label.
        labels: All labels, in the order of rows and columns.

    Raises:
        ValueError: an example whose label is outside the set.
    """
    places = {normalize_label(label): place for place, label in enumerate(labels)}
    rows = [[0] * (len(labels) + 1) for _ in labels]
    for outcome in outcomes:
        if outcome.prediction is None:
            continue
        true = normalize_label(check_answers(outcome.example.answers)[0])
        if true not in places:
            raise ValueError(f"example {outcome.example.example_id!r}: label {true!r} is none of {', '.join(labels)}")
        rows[places[true]][places.get(normalize_label(outcome.prediction), len(labels))] += 1
    return Confusion(tuple(labels), {label: tuple(row) for label, row in zip(labels, rows, strict=True)})


LABEL_ACCURACY = Metric("label_accuracy", "%", "higher", answer_score(label_accuracy))
