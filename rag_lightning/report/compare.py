"""Two scored systems on the questions that both were scored on: paired difference, wins, losses, disagreements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import content_digest
from rag_lightning.metrics.metric import CorpusMetric, Estimate, Metric, comparable, parse_metric
from rag_lightning.metrics.paired import smallest_difference
from rag_lightning.metrics.statistics import TIE
from rag_lightning.metrics.summary import estimate
from rag_lightning.report.answer import difference
from rag_lightning.report.side import Side


@dataclass(frozen=True)
class Comparison:
    """The left system against the right one on the questions that they share.

    Args:
        left: The system whose gains count positive.
        right: The system it is compared with.
        metric: The metric.
        means: Mean of each on the shared questions, in the metric's unit.
        difference: Mean of left - right with its 95 % interval, in the metric's unit.
        p: Two-sided p of the paired permutation test.
        smallest: Smallest difference that these questions would show (power 0.8, level 0.05); None if undefined.
        values: Id of a shared question -> value of each, in the metric's unit.
        marks: What a reader must know before believing the numbers.
    """

    left: Side
    right: Side
    metric: Metric
    means: tuple[Estimate, Estimate]
    difference: Estimate
    p: float
    smallest: float | None
    values: Mapping[str, tuple[float, float]]
    marks: tuple[str, ...]

    @property
    def outcomes(self) -> tuple[int, int, int]:
        """(wins, ties, losses) of the left system."""
        gains = [self.gain(one) for one in self.values]
        wins, losses = sum(gain > TIE for gain in gains), sum(gain < -TIE for gain in gains)
        return wins, len(gains) - wins - losses, losses

    def gain(self, example_id: str) -> float:
        """By how much the left system is better on a question, negative where it is worse."""
        left, right = self.values[example_id]
        return left - right if self.metric.direction == "higher" else right - left

    def disagreements(self, most: int) -> list[str]:
        """Ids of the questions with the largest differences; equal ones in the order of their digests."""
        apart = [one for one in self.values if abs(self.gain(one)) > TIE]
        return sorted(apart, key=lambda one: (-abs(self.gain(one)), content_digest(one)))[:most]


def compare(left: Side, right: Side, metric: str = "") -> Comparison:
    """Compare two systems.

    Args:
        left: The system whose gains count positive.
        right: The system it is compared with.
        metric: Name of the metric; empty for the first of the left system's task.

    Raises:
        ConfigError: twice the same scores, a metric that one of them lacks, or no shared question.
    """
    if left.artifact.digest == right.artifact.digest:
        raise ConfigError(f"{left.name} and {right.name} are the same scores {left.artifact.digest}; give two systems")
    chosen = _metric(left, right, metric)
    both = [one for one in left.scores if one in right.scores]
    other = {one for one in both if _query(left, one) != _query(right, one)} if left.examples and right.examples else ()
    having = [one for one in both if one not in other]
    shared = sorted(one for one in having if all(chosen.name in side.scores[one].values for side in (left, right)))
    if not shared:
        raise ConfigError(
            f"{left.name} and {right.name} were scored on different questions: none of {len(left.scores)} and "
            f"{len(right.scores)} is the same with {chosen.name}; compare runs of one data set and split"
        )
    first, second = ([side.scores[one] for one in shared] for side in (left, right))
    seed = int(left.run.record.get("seed", 0)) if left.run else 0
    found, p = difference(first, second, chosen.name, seed)
    ours, theirs = ([score.values[chosen.name] * chosen.scale for score in listed] for listed in (first, second))
    return Comparison(
        left,
        right,
        chosen,
        (estimate(first, chosen, seed=seed), estimate(second, chosen, seed=seed)),
        found,
        p,
        smallest_difference(ours, theirs, [score.entity for score in first]),
        dict(zip(shared, zip(ours, theirs, strict=True), strict=True)),
        tuple(_marks(left, right, chosen, shared, len(having))),
    )


def _metric(left: Side, right: Side, name: str) -> Metric:
    """The metric to compare by, which both must have."""
    if not name:
        found = [one for one in map(parse_metric, left.metrics) if isinstance(one, Metric)]
        own = next((one for one in found if "passages" not in one.needs), found[0] if found else None)
        if own is None:
            raise ConfigError(f"{left.name} has no metric with a value per question; score it again")
        name = comparable(own.name, (left.degraded, right.degraded))
    chosen = parse_metric(name)
    if isinstance(chosen, CorpusMetric):
        also = ", ".join(one for one in left.metrics if one in right.metrics) or "none"
        raise ConfigError(f"metric {name!r} is one value of all questions, which cannot be paired; both have {also}")
    for side in (left, right):
        if name not in side.metrics:
            raise ConfigError(f"metric {name!r} is missing in {side.name}, which has {', '.join(side.metrics)}")
    return chosen


def _marks(left: Side, right: Side, metric: Metric, shared: list[str], having: int) -> Iterable[str]:
    """What must stand beside the numbers."""
    sides = (("A", left), ("B", right))
    apart = [f"{len(side.scores) - having} of {letter} alone" for letter, side in sides if len(side.scores) > having]
    if apart:
        yield f"Scored on different questions: only the {having:,} that both have are compared; {', '.join(apart)}."
    if having > len(shared):
        yield f"{having - len(shared):,} shared questions have no {metric.name} in one of the two and are left out."
    if left.data != right.data:
        yield f"A was scored on {left.data}, B on {right.data}."
    changed = sum(_answers(left, one) != _answers(right, one) for one in shared)
    if changed and left.examples and right.examples:
        yield f"{changed:,} shared questions have other accepted answers in B than in A."
    for letter, side in sides:
        if metric.name in side.degraded:
            yield f"{metric.name} of {letter} is degraded: its values are worth less than they look."
        gone = [what for what, there in (("questions", side.examples), ("predictions", side.predictions)) if not there]
        if gone:
            yield f"The {' and '.join(gone)} of {letter} are no longer stored."


def _query(side: Side, example_id: str) -> str | None:
    found = side.examples.get(example_id)
    return found.query if found else None


def _answers(side: Side, example_id: str) -> tuple[str, ...] | None:
    found = side.examples.get(example_id)
    return found.answers if found else None
