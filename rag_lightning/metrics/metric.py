"""What a metric is, and the names that YAML, command line, results and table heads share (`answer_recall@5`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

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
        "answer_recall": "rag_lightning.metrics.retrieval:answer_recall_at",
        "answer_precision": "rag_lightning.metrics.retrieval:answer_precision_at",
        "gold_recall": "rag_lightning.metrics.retrieval:gold_recall_at",
        "gold_title": "rag_lightning.metrics.pages:gold_title_at",
        "page_r_precision": "rag_lightning.metrics.pages:PAGE_R_PRECISION",
        "success": "rag_lightning.metrics.pages:success_metric_at",
        "kilt_em": "rag_lightning.metrics.pages:KILT_EM",
        "kilt_f1": "rag_lightning.metrics.pages:KILT_F1",
        "mrr": "rag_lightning.metrics.retrieval:MRR",
    },
)
"""Name -> a Metric, or a function of k that makes one (the names written with @k)."""

FAMILIES = ("answer_recall", "answer_precision", "em_unanswerable", "gold_recall", "gold_title", "success")
"""Names that need a cut-off: `answer_recall@5`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that metrics may look at for one example.

    Args:
        example: The query, its accepted answers and gold passages.
        prediction: The answer given, None if the run answered nothing (retrieval only).
        answer_hits: Per retrieved passage, best first: does its text hold an answer; None without retrieval.
        gold_hits: Per retrieved passage, best first: is it a gold passage; None without retrieval or gold passages.
        titles: Per retrieved passage, best first: title of its article; None without retrieval.
    """

    example: Example
    prediction: str | None = None
    answer_hits: tuple[bool, ...] | None = None
    gold_hits: tuple[bool, ...] | None = None
    titles: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A definition: one value in [0, 1] per example, or None where it is not defined.

    Args:
        name: Printed and parsed alike.
        unit: `%` is shown as 0-100, "" as it is.
        direction: Which way is better.
        score: The value of one example.
    """

    name: str
    unit: Literal["%", ""]
    direction: Literal["higher", "lower"]
    score: Callable[[Outcome], float | None]

    @property
    def scale(self) -> float:
        """What a per-example value is multiplied by to be in the unit."""
        return 100.0 if self.unit == "%" else 1.0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n examples with its 95 % interval, in the metric's unit."""

    mean: float
    low: float
    high: float
    n: int
    unit: str

    def __str__(self) -> str:
        digits = 1 if self.unit == "%" else 3
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def parse_metric(name: str) -> Metric:
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
        metric: Metric = found
        return metric
    if not (cutoff.isascii() and cutoff.isdigit() and int(cutoff) > 0):
        raise ConfigError(f"metric {name!r}: needs a cut-off above 0; write for example '{family}@5'")
    made: Metric = found(int(cutoff))
    return made


def score_outcome(outcome: Outcome, metrics: Iterable[Metric]) -> dict[str, float]:
    """Metric name -> value of one example; metrics that are not defined for it are left out."""
    values = {metric.name: metric.score(outcome) for metric in metrics}
    return {name: value for name, value in values.items() if value is not None}
