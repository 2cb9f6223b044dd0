"""From per-example scores to estimates: the content of summary.json, and arrays that tests can compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Score
from rag_lightning.metrics.labels import confusion
from rag_lightning.metrics.metric import AnyMetric, CorpusMetric, Estimate, Note, Outcome, parse_metric
from rag_lightning.metrics.outcomes import Outcomes, score_all
from rag_lightning.metrics.statistics import Floats, bootstrap_interval, bootstrap_sums_interval, effective_clusters
from rag_lightning.metrics.words import unseen_notes


def scored(
    outcomes: Outcomes, names: Sequence[str], labels: Sequence[str], *, seed: int
) -> tuple[list[Score], dict[str, Any]]:
    """Scores per example, and the content of summary.json.

    Args:
        outcomes: What the metrics see.
        names: Names of the metrics.
        labels: Labels of a classification task, for the confusion; empty for other tasks.
        seed: Seed of the resampling.

    Raises:
        ValueError, UnknownNameError: as `summarise`.
    """
    metrics = [parse_metric(name) for name in names]
    scores = score_all(outcomes, metrics)
    summary = summarise(scores, seed=seed)
    shown = [metric for metric in metrics if metric.name in summary["metrics"]]
    summary["notes"] = notes_of(outcomes.listed, shown, outcomes.patterns)
    if labels and "label_accuracy" in summary["metrics"]:
        summary["confusion"] = confusion(outcomes.listed, labels).to_dict()
    return scores, summary


def tools(names: Iterable[str]) -> dict[str, str]:
    """Metric -> the tool and version that its values depend on, of the metrics that depend on one."""
    return {name: made_with for name in names if (made_with := parse_metric(name).made_with())}


def estimate(scores: Sequence[Score], metric: AnyMetric, *, seed: int) -> Estimate:
    """Value and 95 % interval of one metric over the scores that have it, entities resampled as clusters.

    Raises:
        ValueError: no score has the metric, or a value is not finite.
    """
    if isinstance(metric, CorpusMetric):
        return _corpus_estimate(scores, metric, seed)
    having = [score for score in scores if metric.name in score.values]
    values = np.array([score.values[metric.name] for score in having], dtype=np.float64) * metric.scale
    entities = [score.entity for score in having]
    low, high = bootstrap_interval(values, entities, seed=seed)
    return Estimate(float(values.mean()), low, high, len(having), metric.unit, effective_clusters(entities))


def _corpus_estimate(scores: Sequence[Score], metric: CorpusMetric, seed: int) -> Estimate:
    having = [score for score in scores if metric.name in score.statistics]
    if not having:
        raise ValueError(f"no score has statistics of {metric}")
    statistics = [score.statistics[metric.name] for score in having]
    value, low, high = metric.combine(statistics) * metric.scale, None, None
    entities = [score.entity for score in having]
    if metric.of_sums:
        parts = np.array(statistics, dtype=np.float64)
        bounds = bootstrap_sums_interval(parts, metric.of_sums, entities, seed=seed)
        low, high = (bound * metric.scale for bound in bounds)
    return Estimate(value, low, high, len(having), metric.unit, effective_clusters(entities))


def summarise(scores: Sequence[Score], *, seed: int) -> dict[str, Any]:
    """The content of summary.json: estimates over all examples and over each slice (`family=definition`).

    Raises:
        ValueError: no scores, or a value that is not finite.
        UnknownNameError: a value of an unknown metric.
    """
    if not scores:
        raise ValueError("no scores to summarise")
    slices: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        for key, value in score.tags.items():
            slices[f"{key}={value}"].append(score)
    return {
        "metrics": _estimates(scores, seed),
        "slices": {name: _estimates(slices[name], seed) for name in sorted(slices)},
    }


def notes_of(outcomes: Sequence[Outcome], metrics: Sequence[AnyMetric], patterns: bool = False) -> list[dict[str, Any]]:
    """The notes as summary.json holds them: text, metrics, and whether the values are degraded.

    Those of the metrics come first, then what their word rules do not see of the answers (`patterns` as there).
    """
    about: dict[Note, list[str]] = defaultdict(list)
    for metric in metrics:
        for note in metric.notes(outcomes):
            about[note].append(metric.name)
    about |= unseen_notes(outcomes, metrics, patterns)
    return [{"metrics": names, "text": note.text, "degraded": note.degraded} for note, names in about.items()]


def align(scores: Mapping[str, Sequence[Score]], metric: str) -> tuple[dict[str, Floats], list[str]]:
    """Several systems' values of one metric on the same examples: name -> [n] (0 to 1), and the examples' entities.

    Raises:
        DataError: two systems were not scored on the same examples, or an example lacks the metric.
    """
    by_id = {name: {score.example_id: score for score in listed} for name, listed in scores.items()}
    ids = sorted(next(iter(by_id.values()))) if by_id else []
    arrays = {}
    for name, found in by_id.items():
        _check_same(name, set(ids), found, metric)
        arrays[name] = np.array([found[example_id].values[metric] for example_id in ids], dtype=np.float64)
    first = next(iter(by_id.values())) if by_id else {}
    return arrays, [first[example_id].entity for example_id in ids]


def _estimates(scores: Sequence[Score], seed: int) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for score in scores for name in (*score.values, *score.statistics))
    return {name: asdict(estimate(scores, parse_metric(name), seed=seed)) for name in names}


def _check_same(name: str, ids: set[str], found: Mapping[str, Score], metric: str) -> None:
    different = sorted(ids ^ set(found))
    if different:
        raise DataError(f"scores of {name}", f"{len(different)} ids differ from the others'", value=different[:10])
    without = sorted(example_id for example_id, score in found.items() if metric not in score.values)
    if without:
        raise DataError(f"scores of {name}", f"{len(without)} examples have no {metric}", value=without[:10])
