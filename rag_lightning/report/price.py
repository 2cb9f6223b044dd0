"""What quality costs: against seconds and bytes, and the price of an approximate index in quality."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from rag_lightning.core.records import Score
from rag_lightning.metrics.metric import comparable
from rag_lightning.report.answer import difference, hint, obstacle
from rag_lightning.report.attribution import EXACT
from rag_lightning.report.charts import COLOURS, MARKERS, Chart, Panel, end_labels, plain
from rag_lightning.report.collect import Run, Sweep, found_family, read_scores
from rag_lightning.report.search import SHOWN
from rag_lightning.report.tables import Cell, Column, Row, Table, estimated, number

MOST = 8
"""Series of the chart: retrievers."""
COSTS = ("seconds_per_query", "index_bytes")
ROOM = 1.05
"""Room beside the first and last point of an axis, as a factor."""


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
    known = dict(scores)
    rows = []
    for run, exact in _pairs(sweep):
        for one in (run, exact):
            if one.run_id not in known and (found := read_scores(one, artifacts)) is not None:
                known[one.run_id] = found
        if {run.run_id, exact.run_id} <= set(known):
            rows.append(_row(sweep, run, exact, known))
    columns = [Column("system", numeric=False), Column("split", numeric=False)]
    columns += map(Column, (f"{sweep.objective} difference", "found@k difference", "n", "index MB", "s/query"))
    notes = (
        "Paired difference to the same model, k and decoding over the flat index, whose cost stands below, with its "
        "95 % interval; below 0 the index costs quality. found@k: how often evidence is among the first k.",
        "Trials on dev are many: the least price of several is expected to look too low.",
    )
    title = f"The price of an index on {sweep.dataset}"
    return Table(title, tuple(columns), tuple(rows), notes, name="price", folded=True)


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


def _row(sweep: Sweep, run: Run, exact: Run, scores: Mapping[str, Sequence[Score]]) -> Row:
    seed, both = int(run.record.get("seed", 0)), (scores[run.run_id], scores[exact.run_id])
    metric = comparable(sweep.objective, (run.degraded, exact.degraded))
    cells = [Cell(run.label), Cell(run.split)]
    for name in (metric, f"{found_family([run.estimates])}@{run.k}"):
        why = obstacle(*both, name)
        found = None if why else difference(*both, name, seed)[0]
        cells.append(Cell(f"not comparable ({why})", tone="missing") if why else estimated(found))
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
    axes.set_xscale("log")
    axes.set_xlim(min(places) / ROOM, max(places) * ROOM)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")  # matplotlib's own has mathematics in it, which STYLE turns off
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(head)
    axes.set_ylabel(plain(sweep.objective))
    axes.margins(y=0.18)  # for the labels of the best, which stand above one another
    end_labels(axes, labels)
