"""What quality costs: against seconds and bytes, and the price of an approximate index in quality."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from rag_lightning.core.records import Ranking, Score
from rag_lightning.metrics.metric import comparable, parse_metric
from rag_lightning.metrics.statistics import TIE, Floats, bootstrap_sums_interval
from rag_lightning.report.answer import difference, hint, obstacle
from rag_lightning.report.attribution import EXACT
from rag_lightning.report.charts import COLOURS, MARKERS, Chart, Panel, end_labels, log_axis, plain
from rag_lightning.report.collect import Run, Sweep, found_family, read_records, read_scores
from rag_lightning.report.search import SHOWN
from rag_lightning.report.tables import Cell, Column, Row, Table, estimated, number

MOST = 8
"""Series of the chart: retrievers."""
ENOUGH = 12
"""Approximate indexes from which on a slope is told."""
COSTS = ("seconds_per_query", "index_bytes")


def price_chart(sweep: Sweep) -> Chart | None:
    """The objective of each trial against seconds a question and bytes of the index, a series per retriever."""
    series: dict[str, list[Run]] = defaultdict(list)
    for run in sweep.on("dev", "trial"):
        if sweep.objective in run.estimates:
            series[run.retriever].append(run)
    best = {name: max(_mean(sweep, run) for run in runs) for name, runs in series.items()}
    shown = {name: series[name] for name in sorted(series, key=lambda name: (-best[name], name))[:MOST]}
    panels = []
    for cost in COSTS:
        there = {name: kept for name, runs in shown.items() if (kept := [run for run in runs if _cost(run, cost)])}
        if len({_cost(run, cost) for runs in there.values() for run in runs}) > 1:
            head = SHOWN[cost][0]
            words = "; ".join(f"{name} {best[name]:.1f}" for name in there)
            title = f"{sweep.objective} against {head}"
            panels.append(Panel(title, f"{title}, best of each: {words}", partial(_draw, sweep, there, cost)))
    if not panels:
        return None
    notes = [
        "A point per configuration; filled and named: the best of each retriever. Searches that need no index file"
    ]
    notes[0] += " have no bytes."
    title = f"Quality against seconds and bytes on {sweep.dataset} dev"
    return Chart("price", title, panels, notes=notes, width=4.4, height=3.1, margins=(0.6, 1.05, 0.5, 0.4), folded=True)


def price_table(sweep: Sweep, scores: Mapping[str, Sequence[Score]], artifacts: Path) -> Table:
    """What each approximate index costs in quality: the paired difference to exact search, model and decoding alike.

    Of the pairs of an index and a formulation the one with the best exact run is shown; on test where it was run there,
    else on dev.

    Args:
        sweep: The sweep.
        scores: Run id -> per-example scores that are read already; those of trials are read here, where needed.
        artifacts: Root of the artifacts.

    Raises:
        ArtifactError, DataError: stored scores are damaged.
    """
    known, measured = dict(scores), []
    for run, exact in _pairs(sweep):
        for one in (run, exact):
            if one.run_id not in known and (found := read_scores(one, artifacts)) is not None:
                known[one.run_id] = found
        if {run.run_id, exact.run_id} <= set(known):
            measured.append(Priced(run, exact, _recall(run, exact, artifacts)))
    columns = [Column("system", numeric=False), Column("split", numeric=False)]
    names = (f"{sweep.objective} difference", "found@k difference", "recall@k", "n", "index MB", "s/query")
    columns += map(Column, names)
    notes = (
        "Paired difference to the same model, k and decoding over the flat index, whose cost stands below, with its "
        "95 % interval; below 0 the index costs quality. found@k: how often evidence is among the first k. recall@k: "
        "how many of the first k passages of exact search the index finds.",
        "Trials on dev are many: the least price of several is expected to look too low.",
        *_slopes(sweep, measured, known),
    )
    title = f"The price of an index on {sweep.dataset}"
    rows = tuple(_row(sweep, one, known) for one in measured)
    return Table(title, tuple(columns), rows, notes, name="price", folded=True)


@dataclass(frozen=True)
class Priced:
    """A run over an approximate index, its twin over the flat one, and example id -> recall@k in % of exact search.

    `recall` is empty where the rankings are no longer stored.
    """

    run: Run
    exact: Run
    recall: Mapping[str, float]


def _recall(run: Run, exact: Run, artifacts: Path) -> Mapping[str, float]:
    rankings = []
    for one in (run, exact):
        stored = read_records(artifacts, "rankings", one.record.get("digests", {}).get("rankings"), Ranking)
        rankings.append({ranking.example_id: set(ranking.rows[: one.k]) for ranking in stored or ()})
    own, flat = rankings
    if not own or own.keys() != flat.keys():
        return {}
    return {name: 100.0 * len(own[name] & rows) / len(rows) for name, rows in flat.items() if rows}


def _slopes(sweep: Sweep, measured: Sequence[Priced], scores: Mapping[str, Sequence[Score]]) -> list[str]:
    """A note per exact run with enough indexes beside it: the slope of the objective against recall@k."""
    beside: dict[str, list[Priced]] = defaultdict(list)
    for one in measured:
        if one.recall:
            beside[one.exact.run_id].append(one)
    notes = []
    for run_id, group in beside.items():
        metric = comparable(sweep.objective, [one.degraded for each in group for one in (each.run, each.exact)])
        flat, exact = {score.example_id: score for score in scores[run_id]}, group[0].exact
        if len(group) < ENOUGH or any(obstacle(scores[one.run.run_id], scores[run_id], metric) for one in group):
            continue
        known = [{score.example_id: score.values[metric] for score in scores[one.run.run_id]} for one in group]
        names = [name for name in flat if all(name in one.recall for one in group)]
        scale = parse_metric(metric).scale
        parts = [[scale * (own[name] - flat[name].values[metric]) for name in names] for own in known]
        parts += [[one.recall[name] for name in names] for one in group] + [[1.0] * len(names)]
        sums, entities = np.array(parts, dtype=float).T, [flat[name].entity for name in names]
        if not names or np.ptp(sums[:, len(group) : -1].mean(axis=0)) < TIE:
            continue
        low, high = bootstrap_sums_interval(sums, _slope, entities, seed=int(exact.record.get("seed", 0)))
        notes.append(
            f"{exact.formulation}, k={exact.k}: {metric} changes by {_slope(sums.sum(axis=0)):+.2f} [{low:+.2f}, "
            f"{high:+.2f}] per point of recall@k, by least squares over {len(group)} indexes and exact search "
            f"(n = {len(names):,})."
        )
    return notes


def _slope(sums: Floats) -> Floats:
    """[..., 2 I + 1] added differences of I indexes, their added recalls in %, and the number of questions -> [...].

    Exact search is one more point, with a difference of 0 at a recall of 100.
    """
    means = sums[..., :-1] / sums[..., -1:]
    difference, recall = np.split(means, 2, axis=-1)
    here = [(0, 0)] * (sums.ndim - 1) + [(0, 1)]
    difference, recall = np.pad(difference, here), np.pad(recall, here, constant_values=100.0)
    apart = recall - recall.mean(axis=-1, keepdims=True)
    return np.asarray((apart * difference).sum(axis=-1) / (apart**2).sum(axis=-1))


def _pairs(sweep: Sweep) -> list[tuple[Run, Run]]:
    """(run over an approximate index, its twin over the flat one), per index and formulation the best twin."""
    runs = [*sweep.on("test", "final", "baseline", "cell"), *sweep.on("dev", "trial", "baseline")]
    runs = [run for run in runs if sweep.objective in run.estimates]
    twins: dict[str, Run] = {}
    for run in runs:
        if run.retriever == EXACT:
            twins.setdefault(_but_index(run), run)
    found: dict[tuple[str, str], tuple[Run, Run]] = {}
    for run in runs:
        exact = twins.get(_but_index(run))
        if exact is None or run.retriever == EXACT or run.config["retriever"]["kind"] != "dense":
            continue
        key = json.dumps(run.config["index"], sort_keys=True), run.formulation
        kept = found.get(key)
        rank = (exact.split == "test", _mean(sweep, exact))
        if kept is None or rank > (kept[1].split == "test", _mean(sweep, kept[1])):
            found[key] = run, exact
    return sorted(found.values(), key=lambda pair: (pair[0].formulation, pair[0].label))


def _row(sweep: Sweep, one: Priced, scores: Mapping[str, Sequence[Score]]) -> Row:
    run, exact = one.run, one.exact
    seed, both = int(run.record.get("seed", 0)), (scores[run.run_id], scores[exact.run_id])
    metric = comparable(sweep.objective, (run.degraded, exact.degraded))
    cells = [Cell(run.label), Cell(run.split)]
    for name in (metric, f"{found_family([run.estimates])}@{run.k}"):
        why = obstacle(*both, name)
        found = None if why else difference(*both, name, seed)[0]
        cells.append(Cell(f"not comparable ({why})", tone="missing") if why else estimated(found))
    cells.append(number(float(np.mean(list(one.recall.values()))) if one.recall else None, 1))
    cells.append(number(run.estimates[sweep.objective].n, 0))
    for cost in reversed(COSTS):
        _, factor, digits = SHOWN[cost]
        own, flat = (number(None if (v := _cost(one, cost)) is None else v * factor, digits) for one in (run, exact))
        cells.append(replace(own, below=f"flat {flat.text}"))
    return Row(tuple(cells), hint=hint(run))


def _but_index(run: Run) -> str:
    config = {name: value for name, value in run.config.items() if name != "index"}
    return json.dumps([run.split, config], sort_keys=True)


def _cost(run: Run, name: str) -> float | None:
    """The measured cost; None where it was not measured, or nothing is searched."""
    value = run.seconds_per_query if name == "seconds_per_query" else run.record.get("work", {}).get(name)
    return float(value) if value else None


def _mean(sweep: Sweep, run: Run) -> float:
    return run.estimates[sweep.objective].mean


def _draw(sweep: Sweep, series: Mapping[str, Sequence[Run]], cost: str, axes: Axes) -> None:
    head, factor, _ = SHOWN[cost]
    labels = []
    for at, (name, runs) in enumerate(series.items()):
        colour, marker = COLOURS[at], MARKERS[at]
        points = [((_cost(run, cost) or 0.0) * factor, _mean(sweep, run)) for run in runs]
        axes.plot(*zip(*points, strict=True), marker, color=colour, markersize=4.5, markerfacecolor="none", alpha=0.55)
        x, y = max(points, key=lambda point: (point[1], -point[0]))
        axes.plot(x, y, marker, color=colour, markersize=6)
        labels.append((name, x, y, colour))
    places = [(_cost(run, cost) or 0.0) * factor for runs in series.values() for run in runs]
    log_axis(axes, places)
    axes.set_xlabel(head)
    axes.set_ylabel(plain(sweep.objective))
    axes.margins(y=0.18)  # for the labels of the best, which stand above one another
    end_labels(axes, labels)
