"""The charts of a sweep: systems on test, metric against k, retrieval against k, and what quality costs.

Small multiples with at most eight lines each, labelled where they end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from rag_lightning.core.plain import clean
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.answer import name_of
from rag_lightning.report.charts import COLOURS, INK, MARKERS, SOFT, Chart, Panel, end_labels, log_axis, plain
from rag_lightning.report.collect import Run, Sweep, found_family
from rag_lightning.report.search import SHOWN, Search, Tried

MOST = 8
"""Systems or lines of one panel."""
WIDE = 10
"""Ratio of the largest to the smallest value of an objective above which its axis is logarithmic."""
SHORT = {"rag_token": "Token", "rag_sequence": "Sequence"}
ENCODERS = ("pretrained", "warmed_up")
Points = Mapping[int, Estimate]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the panel it belongs to, its label, and its estimates by k."""

    panel: str
    label: str
    points: Points


def systems_chart(sweep: Sweep, runs: Sequence[Run], paper_values: Mapping[str, float]) -> Chart | None:
    """The objective of each system on test with its interval, best first.

    Args:
        sweep: The sweep.
        runs: Runs on test with the objective, best first; the first eight are drawn.
        paper_values: Run id -> the paper's number, where the two can be compared.
    """
    if not runs:
        return None
    shown = runs[:MOST]
    words = "; ".join(f"{run.label} {run.estimates[sweep.objective].mean:.1f}" for run in shown)
    title = f"{name_of(sweep.objective)} on {sweep.dataset} test"
    panel = Panel(title, f"{title}: {words}", partial(_draw_systems, sweep.objective, shown, paper_values))
    notes = ["Dot: mean; bar: 95 % interval. Blue: chosen on dev; grey: baseline."]
    notes += ["Triangle: the paper's number."] if paper_values else []
    return Chart(
        "systems",
        title,
        (panel,),
        notes=notes,
        width=4.1,
        height=0.62 * len(shown) + 0.75,
        margins=(0.1, 0.1, 0.35, 0.35),
    )


def objective_lines(sweep: Sweep) -> list[Line]:
    """The objective on dev against k, a panel per retriever, a line per decoding; closed book has no k.

    Of the trials that differ in other fields only, the best is drawn.
    """
    points: dict[tuple[str, str], dict[int, Estimate]] = defaultdict(dict)
    for run in sweep.on("dev", "trial"):
        estimate = run.estimates.get(sweep.objective)
        if run.k > 0 and estimate:
            line = points[run.retriever, f"{SHORT.get(run.formulation, run.formulation)}, {run.strategy}"]
            line[run.k] = max(line.get(run.k, estimate), estimate, key=lambda one: one.mean)
    return [Line(panel, label, found) for (panel, label), found in sorted(points.items())]


def recall_lines(sweep: Sweep) -> list[Line]:
    """Answer recall (or the corresponding metric of the task) against k, a panel per retriever, a line per encoder.

    Of the variants of one index kind, the one with the highest recall at the largest k is drawn.
    """
    found: dict[tuple[str, str], dict[int, Estimate]] = {}
    wanted = found_family(row.estimates for row in sweep.retrieval)
    for row in sweep.retrieval:
        points = {
            int(name.partition("@")[2]): estimate
            for name, estimate in row.estimates.items()
            if name.partition("@")[0] == wanted and name.partition("@")[2].isdigit()
        }
        key = row.retriever.partition(" · ")[0], row.model or row.retriever
        if points and (key not in found or _last(points) > _last(found[key])):
            found[key] = points
    names = {label: label.replace("_", " ").replace("(RAG-", "(", 1) for _, label in found}
    return [Line(panel, names[label], points) for (panel, label), points in found.items()]


def k_chart(sweep: Sweep) -> Chart | None:
    """Small multiples of the objective on dev against k."""
    title = f"How many passages to read: {sweep.objective} on {sweep.dataset} dev"
    notes = ["A panel per retriever, a line per decoding; shaded: 95 % interval. Of equal settings the best is drawn."]
    return _multiples("k", title, objective_lines(sweep), sweep.objective, notes)


def recall_chart(sweep: Sweep) -> Chart | None:
    """Small multiples of how often an answer is retrieved, against k."""
    name = found_family(row.estimates for row in sweep.retrieval).replace("_", " ")
    title = f"How often an answer is found: {name}@k on {sweep.dataset}, %"
    notes = ["A panel per retriever, a line per query encoder; shaded: 95 % interval."]
    return _multiples("recall", title, recall_lines(sweep), f"{name}@k, %", notes)


def cost_chart(search: Search, dataset: str) -> Chart | None:
    """The metric against each further objective of the search, a panel each; None for a single objective."""
    if not search.others or not search.tried:
        return None
    panels = []
    for name in search.others:
        head = SHOWN.get(name, (name, 1.0, 1))[0]
        words = f"{search.objective} against {head} of {len(search.tried)} trials"
        panels.append(Panel(f"{search.objective} against {head}", words, partial(_draw_cost, search, name)))
    notes = ["Filled: on the Pareto front over all objectives; hollow: dominated, or not feasible; ringed: chosen."]
    return Chart(
        "cost",
        f"What quality costs on {dataset} dev",
        panels,
        notes=notes,
        width=4.4,
        height=3.2,
        margins=(0.6, 0.2, 0.5, 0.4),
    )


def _multiples(name: str, title: str, lines: Sequence[Line], ylabel: str, notes: Sequence[str]) -> Chart | None:
    if not lines:
        return None
    panels: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        panels[line.panel].append(line)
    styles = _styles(list(dict.fromkeys(line.label for line in lines)))
    bounds = [b for line in lines for e in line.points.values() for b in (_or(e.low, e.mean), _or(e.high, e.mean))]
    pad = 0.04 * (max(bounds) - min(bounds) or 1.0)
    limits = min(bounds) - pad, max(bounds) + pad
    ks = sorted({k for line in lines for k in line.points})
    drawn = [
        Panel(panel, _words(panel, found), partial(_draw_lines, found[:MOST], styles, limits, ks, ylabel))
        for panel, found in panels.items()
    ]
    return Chart(name, title, drawn, notes=notes)


def _words(panel: str, lines: Sequence[Line]) -> str:
    parts = []
    for line in lines:
        values = ", ".join(f"k={k} {line.points[k].mean:.1f}" for k in sorted(line.points)[:6])
        parts.append(f"{line.label}: {values}")
    return f"{panel}. {'; '.join(parts)}"


def _draw_systems(objective: str, runs: Sequence[Run], paper_values: Mapping[str, float], axes: Axes) -> None:
    found = [run.estimates[objective] for run in runs]
    low = min(0.0, *(_or(one.low, one.mean) for one in found))
    for place, (run, one) in enumerate(zip(runs, found, strict=True)):
        colour = COLOURS[0] if run.role == "final" else SOFT
        axes.hlines(place, _or(one.low, one.mean), _or(one.high, one.mean), color=colour, linewidth=5, alpha=0.3)
        axes.plot(one.mean, place, "o", color=colour, markersize=6)
        if run.run_id in paper_values:
            axes.plot(paper_values[run.run_id], place, "v", color=COLOURS[1], markersize=7)
        axes.text(low, place - 0.3, plain(run.label, 56), fontsize=9, color=INK, va="bottom")
        end = _or(one.high, one.mean)
        axes.annotate(f"{one.mean:.1f}", (end, place), (6, 0), textcoords="offset points", va="center", color=colour)
    axes.set_ylim(len(runs) - 0.6, -0.85)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    right = max(_or(one.high, one.mean) for one in found)
    axes.set_xlim(low, right + 0.14 * (right - low or 1.0))


def _draw_lines(
    lines: Sequence[Line],
    styles: Mapping[str, tuple[str, str]],
    limits: tuple[float, float],
    ks: Sequence[int],
    ylabel: str,
    axes: Axes,
) -> None:
    labels = []
    for line in lines:
        colour, marker = styles[line.label]
        places = sorted(line.points)
        found = [line.points[k] for k in places]
        lows, highs = [_or(e.low, e.mean) for e in found], [_or(e.high, e.mean) for e in found]
        axes.plot(places, [e.mean for e in found], color=colour, marker=marker, markersize=4, linewidth=1.5)
        if len(places) > 1:
            axes.fill_between(places, lows, highs, color=colour, alpha=0.12, linewidth=0)
        else:
            axes.vlines(places, lows, highs, color=colour, alpha=0.45, linewidth=1.2)
        labels.append((line.label, float(places[-1]), found[-1].mean, colour))
    axes.set_xscale("log")
    shown = [k for place, k in enumerate(ks) if len(ks) <= 8 or place % 2 == 0 or k == ks[-1]]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(k) for k in shown])
    if len(ks) > 1:
        axes.set_xlim(ks[0] / 1.12, ks[-1] * 1.12)
    axes.set_ylim(*limits)
    axes.set_xlabel("k, passages read")
    axes.set_ylabel(plain(ylabel))
    end_labels(axes, labels)


def _draw_cost(search: Search, name: str, axes: Axes) -> None:
    head, factor, _ = SHOWN.get(name, (name, 1.0, 1))
    formulations = list(dict.fromkeys(one.formulation for one in search.tried))
    colours = dict(zip(formulations, COLOURS, strict=False))
    chosen: list[tuple[Tried, float, float]] = []
    for one in search.tried:
        x, y = one.values[name] * factor, one.values[search.objective]
        colour = colours.get(one.formulation, SOFT)
        face, faint = (colour, 1.0) if one.on_front else ("none", 0.4)
        axes.plot(x, y, MARKERS[formulations.index(one.formulation) % len(MARKERS)], color=colour,
                  markersize=5, markerfacecolor=face, alpha=faint)  # fmt: skip
        if one.chosen:
            chosen.append((one, x, y))
            axes.plot(x, y, "o", color=INK, markersize=11, markerfacecolor="none", markeredgewidth=1.1)
    values = [one.values[name] for one in search.tried]
    if min(values) > 0 and max(values) > WIDE * min(values):
        log_axis(axes, [value * factor for value in values])
    axes.set_xlabel(clean(head))
    axes.set_ylabel(plain(search.objective))
    handles = [
        Line2D([], [], color=colours.get(name, SOFT), marker=MARKERS[at % len(MARKERS)], linewidth=0,
               markersize=5, label=plain(SHORT.get(name, name), 20))
        for at, name in enumerate(formulations)
    ]  # fmt: skip
    axes.legend(handles=handles, loc="lower right", fontsize=8.5, labelcolor="linecolor")


def _styles(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    return {
        label: (COLOURS[at % len(COLOURS)], MARKERS[at % len(MARKERS)])
        for at, label in enumerate(sorted(labels, key=_style_order))
    }


def _style_order(label: str) -> tuple[bool, str]:
    """Encoders that are not trained come last, so that lines of the trained ones have the first colours."""
    return label.replace(" ", "_") in ENCODERS, label


def _last(points: Points) -> float:
    return points[max(points)].mean


def _or(bound: float | None, mean: float) -> float:
    return mean if bound is None else bound
