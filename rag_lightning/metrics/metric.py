"""The definition of a metric, and the names that YAML, command line, results and tables share (`answer_recall@5`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example
from rag_lightning.core.registry import Registry

METRICS = Registry(
    "metric",
    {
        "em": "rag_lightning.metrics.answers:EM",
        "em_kilt": "rag_lightning.metrics.em:EM_KILT",
        "em_lm_eval": "rag_lightning.metrics.em:EM_LM_EVAL",
        "em_contains": "rag_lightning.metrics.em:EM_CONTAINS",
        "em_regex": "rag_lightning.metrics.patterns:EM_REGEX",
        "em_unanswerable": "rag_lightning.metrics.retrieval:em_unanswerable_at",
        "f1": "rag_lightning.metrics.answers:F1",
        "bleu1": "rag_lightning.metrics.bleu:BLEU1",
        "bleu1_sentence": "rag_lightning.metrics.bleu:BLEU1_SENTENCE",
        "bleu1_msmarco": "rag_lightning.metrics.bleu:BLEU1_MSMARCO",
        "rouge_l": "rag_lightning.metrics.rouge:ROUGE_L",
        "rouge_l_msmarco": "rag_lightning.metrics.rouge:ROUGE_L_MSMARCO",
        "q_bleu1": "rag_lightning.metrics.qbleu:Q_BLEU1",
        "q_bleu1_2018": "rag_lightning.metrics.qbleu:Q_BLEU1_2018",
        "distinct_trigrams": "rag_lightning.metrics.diversity:DISTINCT_TRIGRAMS",
        "label_accuracy": "rag_lightning.metrics.labels:LABEL_ACCURACY",
        "answer_recall": "rag_lightning.metrics.retrieval:answer_recall_at",
        "answer_precision": "rag_lightning.metrics.retrieval:answer_precision_at",
        "gold_recall": "rag_lightning.metrics.retrieval:gold_recall_at",
        "gold_title": "rag_lightning.metrics.pages:gold_title_at",
        "page_r_precision": "rag_lightning.metrics.pages:PAGE_R_PRECISION",
        "success": "rag_lightning.metrics.pages:success_metric_at",
        "kilt_em": "rag_lightning.metrics.pages:KILT_EM",
        "kilt_f1": "rag_lightning.metrics.pages:KILT_F1",
        "kilt_accuracy": "rag_lightning.metrics.pages:KILT_ACCURACY",
        "mrr": "rag_lightning.metrics.retrieval:MRR",
    },
)
"""Name -> a Metric or CorpusMetric, or a function of k that makes one (the names written with @k)."""

FAMILIES = ("answer_recall", "answer_precision", "em_unanswerable", "gold_recall", "gold_title", "success")
"""Names that need a cut-off: `answer_recall@5`."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a metric sees of one example.

    Args:
        example: The query, its accepted answers and gold passages.
        prediction: The answer given, None if the run answered nothing (retrieval only).
        answer_hits: Per retrieved passage, best first: whether it holds an answer; None without retrieval.
        gold_hits: Per retrieved passage, best first: whether it is gold; None without retrieval or gold passages.
        titles: Per retrieved passage, best first: title of its article; None without retrieval.
    """

    example: Example
    prediction: str | None = None
    answer_hits: tuple[bool, ...] | None = None
    gold_hits: tuple[bool, ...] | None = None
    titles: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A note shown beside the values of a metric; `degraded` where the values are less reliable than usual."""

    text: str
    degraded: bool = False


def no_notes(outcomes: Sequence[Outcome]) -> tuple[Note, ...]:
    """No notes."""
    return ()


@dataclass(frozen=True, slots=True)
class Definition:
    """The fields of both kinds of metric.

    Args:
        name: Its name, printed and parsed.
        unit: `%` is shown as 0-100, "" as it is.
        direction: Whether higher or lower values are better.
        made_with: The tool and version the values depend on (tokeniser), "" for none.
        notes: Notes to show beside the values of these examples.
    """

    name: str
    unit: Literal["%", ""]
    direction: Literal["higher", "lower"]
    made_with: Callable[[], str] = field(default=str, kw_only=True)
    notes: Callable[[Sequence[Outcome]], tuple[Note, ...]] = field(default=no_notes, kw_only=True)

    @property
    def scale(self) -> float:
        """Factor from a value in [0, 1] to the unit."""
        return 100.0 if self.unit == "%" else 1.0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Metric(Definition):
    """A definition by example: its value is the mean of one value in [0, 1] per example.

    Args:
        score: The value of one example, None where it is not defined.
    """

    score: Callable[[Outcome], float | None]


@dataclass(frozen=True, slots=True)
class CorpusMetric(Definition):
    """A definition for all examples together: one value in [0, 1] from the statistics of each.

    Args:
        statistics: Statistics of one example (numbers, or words as strings), None where they are not defined.
        combine: The value of all examples, from a list of their statistics; their order does not matter.
        of_sums: The value from added statistics, [..., D] -> [...]; None where they do not add up, so that examples
            cannot be resampled and the value has no interval.
    """

    statistics: Callable[[Outcome], Sequence[Any] | None]
    combine: Callable[[Sequence[Sequence[Any]]], float]
    of_sums: Callable[[Floats], Floats] | None = None


AnyMetric = Metric | CorpusMetric


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n examples, or a value of all n together, in the metric's unit.

    `low` and `high` are its 95 % interval, None where it has none.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    unit: str

    def __str__(self) -> str:
        digits = 1 if self.unit == "%" else 3
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def parse_metric(name: str) -> AnyMetric:
    """The metric of a printed name.

    Raises:
        UnknownNameError: no such metric.
        ConfigError: a cut-off is missing, unwanted, or not a whole number above 0.

    >>> parse_metric("answer_recall@5").name
    'answer_recall@5'
    """
    family, at, cutoff = name.partition("@")
    found = METRICS.get(family)
    if family not in FAMILIES:
        if at:
            raise ConfigError(f"metric {name!r}: {family} takes no cut-off; write {family!r}")
        metric: AnyMetric = found
        return metric
    if not (cutoff.isascii() and cutoff.isdigit() and int(cutoff) > 0):
        raise ConfigError(f"metric {name!r}: needs a cut-off above 0; write for example '{family}@5'")
    made: Metric = found(int(cutoff))
    return made


def score_outcome(outcome: Outcome, metrics: Iterable[AnyMetric]) -> dict[str, float]:
    """Metric name -> value of one example; metrics of all examples, or not defined for this one, are left out."""
    values = {metric.name: metric.score(outcome) for metric in metrics if isinstance(metric, Metric)}
    return {name: value for name, value in values.items() if value is not None}


def statistics_of(outcome: Outcome, metrics: Iterable[AnyMetric]) -> dict[str, tuple[Any, ...]]:
    """Corpus metric's name -> statistics of one example; metrics that are not defined for it are left out."""
    found = {metric.name: metric.statistics(outcome) for metric in metrics if isinstance(metric, CorpusMetric)}
    return {name: tuple(values) for name, values in found.items() if values is not None}
