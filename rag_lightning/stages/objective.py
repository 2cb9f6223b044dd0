"""What a task is trained and searched for: metrics with a value per example, whatever the k and the retriever."""

from __future__ import annotations

from collections.abc import Sequence

from rag_lightning.core.records import Example
from rag_lightning.metrics.metric import Metric, Outcome, parse_metric
from rag_lightning.tasks.spec import TaskSpec

OF_PASSAGES = ("mrr", "page_r_precision", "kilt_em", "kilt_f1", "kilt_accuracy")
"""Metrics that look at what was retrieved, beside those with a cut-off."""


def objectives(task: TaskSpec) -> tuple[Metric, ...]:
    """The task's metrics of a single prediction, the task's own objective first; metrics of a corpus are left out."""
    names = [name for name in task.metrics if "@" not in name and name not in OF_PASSAGES]
    found: list[object] = [parse_metric(name) for name in names]
    return tuple(metric for metric in found if isinstance(metric, Metric))


def values(metric: Metric, texts: Sequence[str], examples: Sequence[Example]) -> list[float]:
    """The metric of each prediction, 0 where it is not defined."""
    pairs = zip(texts, examples, strict=True)
    return [metric.score(Outcome(example, text)) or 0.0 for text, example in pairs]
