"""The definition of a metric, and the names that YAML, command line, results and tables share (`answer_recall@5`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.registries import METRICS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example
from rag_lightning.metrics.statistics import FEW_CLUSTERS

CUTOFFS = (1, 2, 5, 10, 20, 50, 100)
EVERY_TASK = "*"
Need = Literal["prediction", "passages", "answers", "strings", "gold"]
"""What a metric looks at: a prediction; retrieved passages; short answers, looked for in passages; answers that are
strings, not patterns; gold passages or articles, where an example names any."""
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


WordRule = Callable[[str], Collection[str]]
"""Text -> the words that a metric compares."""


def no_notes(outcomes: Sequence[Outcome]) -> tuple[Note, ...]:
    """No notes."""
    return ()


@dataclass(frozen=True, slots=True)
class Definition:
    """The fields of every kind of metric.

    Args:
        name: Its name, printed and parsed.
        unit: `%` is shown as 0-100, "" as it is.
        direction: Whether higher or lower values are better.
        needs: What it looks at; it is scored only where all of it is there.
        beside: Metrics of a task beside which it is scored too; EVERY_TASK for all tasks.
        made_with: The tool and version the values depend on (tokeniser), "" for none.
        notes: Notes to show beside the values of these examples.
        alike: The metric by which systems are compared where its own values are degraded for one of them; "" for none.
        about: What sets it apart from metrics of nearly the same name, in one line where it is shown; "" for none.
        words: Its word rule: text -> the words that it compares; None where it compares no words. What the rule does
            not see of the answers is counted beside the values (words.py).
        unspaced: Whether it is scored only in a corpus.language without spaces between words.
    """

    name: str
    unit: Literal["%", ""]
    direction: Literal["higher", "lower"]
    needs: tuple[Need, ...] = field(default=("prediction",), kw_only=True)
    beside: tuple[str, ...] = field(default=(), kw_only=True)
    made_with: Callable[[], str] = field(default=str, kw_only=True)
    notes: Callable[[Sequence[Outcome]], tuple[Note, ...]] = field(default=no_notes, kw_only=True)
    alike: str = field(default="", kw_only=True)
    about: str = field(default="", kw_only=True)
    words: WordRule | None = field(default=None, kw_only=True)
    unspaced: bool = field(default=False, kw_only=True)

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


@dataclass(frozen=True, slots=True)
class Family(Definition):
    """A metric for each cut-off, written `name@k`.

    Args:
        score: (one example, k) -> its value in [0, 1], None where it is not defined.
        cutoffs: Those that are scored, up to the k of a run, which is scored too.
    """

    score: Callable[[Outcome, int], float | None]
    cutoffs: tuple[int, ...] = field(default=CUTOFFS, kw_only=True)

    def at(self, k: int) -> Metric:
        """The metric of one cut-off."""
        return Metric(
            f"{self.name}@{k}",
            self.unit,
            self.direction,
            lambda outcome: self.score(outcome, k),
            needs=self.needs,
            made_with=self.made_with,
            notes=self.notes,
            alike=self.alike,
            about=self.about,
            words=self.words,
            unspaced=self.unspaced,
        )

    def up_to(self, k: int) -> list[str]:
        """Names of the metrics of a run with k passages; none for 0."""
        return [f"{self.name}@{cutoff}" for cutoff in sorted({*self.cutoffs, k}) if 0 < cutoff <= k]


AnyMetric = Metric | CorpusMetric


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n examples, or a value of all n together, in the metric's unit.

    `low` and `high` are its 95 % interval, None where it has none; `clusters` is the effective number of clusters that
    it rests on, None where that is not known.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    unit: str
    clusters: float | None = None

    @property
    def approximate(self) -> bool:
        """Whether its interval rests on too few clusters to be more than approximate."""
        return self.clusters is not None and self.clusters < FEW_CLUSTERS

    def __str__(self) -> str:
        digits = 1 if self.unit == "%" else 3
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def comparable(metric: str, degraded: Iterable[Collection[str]]) -> str:
    """The metric by which systems are compared: `alike` of the metric if its values are degraded for one of them.

    Args:
        metric: Name of the metric.
        degraded: Per system the names of the metrics whose values are degraded.
    """
    return parse_metric(metric).alike or metric if any(metric in names for names in degraded) else metric


def parse_metric(name: str) -> AnyMetric:
    """The metric of a printed name.

    Raises:
        UnknownNameError: no such metric.
        ConfigError: a cut-off is missing, unwanted, or not a whole number above 0.

    >>> parse_metric("answer_recall@5").name
    'answer_recall@5'
    """
    family, at, cutoff = name.partition("@")
    found: AnyMetric | Family = METRICS.get(family)
    if not isinstance(found, Family):
        if at:
            raise ConfigError(f"metric {name!r}: {family} takes no cut-off; write {family!r}")
        return found
    if not (cutoff.isascii() and cutoff.isdigit() and int(cutoff) > 0):
        raise ConfigError(f"metric {name!r}: needs a cut-off above 0; write for example '{family}@5'")
    return found.at(int(cutoff))


def score_outcome(outcome: Outcome, metrics: Iterable[AnyMetric]) -> dict[str, float]:
    """Metric name -> value of one example; metrics of all examples, or not defined for this one, are left out."""
    values = {metric.name: metric.score(outcome) for metric in metrics if isinstance(metric, Metric)}
    return {name: value for name, value in values.items() if value is not None}


def statistics_of(outcome: Outcome, metrics: Iterable[AnyMetric]) -> dict[str, tuple[Any, ...]]:
    """Corpus metric's name -> statistics of one example; metrics that are not defined for it are left out."""
    found = {metric.name: metric.statistics(outcome) for metric in metrics if isinstance(metric, CorpusMetric)}
    return {name: tuple(values) for name, values in found.items() if values is not None}
