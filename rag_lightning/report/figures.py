"""The figure: metric against k, one line per system with its 95 % band, and the Pareto front of several objectives.

The same runs give the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.collect import Sweep, found_family
from rag_lightning.report.search import SHOWN, Search
from rag_lightning.report.tables import clean

COLOURS = ("#3b6fd4", "#d9622b", "#2f9e6e", "#9a4fb8", "#c8a21a", "#c0395b", "#3aa6b9", "#6b7280")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LEGEND_COLUMNS = 3
WIDE = 20
"""Ratio of the largest to the smallest value of an objective above which its axis is logarithmic."""
STYLE: Any = {
    "svg.hashsalt": "rag-lightning",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3b2",
    "axes.grid": True,
    "grid.color": "#e7eaf0",
    "legend.frameon": False,
}
Points = Mapping[int, Estimate]


@dataclass(frozen=True, slots=True)
class Line:
    """One system: its estimates by k, and the keys of its colour and marker."""

    label: str
    colour_by: str
    marker_by: str
    points: Points


def objective_lines(sweep: Sweep) -> list[Line]:
    """The objective on dev against k, one line per formulation, decoding and retriever; closed book has no k.

    Of the trials that differ in other fields only, the best is drawn.
    """
    points: dict[tuple[str, str, str], dict[int, Estimate]] = defaultdict(dict)
    for run in sweep.on("dev", "trial"):
        estimate = run.estimates.get(sweep.objective)
        if run.k > 0 and estimate:
            line = points[run.formulation, run.strategy, run.retriever]
            line[run.k] = max(line.get(run.k, estimate), estimate, key=lambda one: one.mean)
    return [
        Line(f"{retriever}, {formulation} {strategy}", f"{formulation} {strategy}", retriever, found)
        for (formulation, strategy, retriever), found in sorted(points.items())
    ]


def recall_lines(sweep: Sweep) -> list[Line]:
    """Answer recall (or the corresponding metric of the task) against k, per retriever and query encoder."""
    lines, wanted = [], found_family(row.estimates for row in sweep.retrieval)
    for row in sweep.retrieval:
        found = {}
        for name, estimate in row.estimates.items():
            family, _, cutoff = name.partition("@")
            if family == wanted and cutoff.isdigit():
                found[int(cutoff)] = estimate
        name = f"{row.retriever}, {row.model}" if row.model else row.retriever
        lines.append(Line(f"{name} ({row.split})" if row.split else name, row.retriever, row.model, found))
    return [line for line in lines if line.points]


def draw(sweep: Sweep, folder: Path, search: Search | None = None) -> None:
    """Write figure.svg and figure.png; with a search of several objectives the second row shows its front."""
    several = search if search is not None and search.others and search.tried else None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.5, 9.8 if several else 5.4), layout="constrained")
        heights = [5.4, 4.4] if several else [5.4]
        parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
        left, right = parts[0, 0].subplots(1, 2)
        where = clean(sweep.dataset)
        _panel(left, objective_lines(sweep), f"{clean(sweep.objective)} on {where} dev", "k (passages)")
        found = found_family(row.estimates for row in sweep.retrieval).replace("_", " ")
        _panel(right, recall_lines(sweep), f"{found}@k on {where}, %", "k (passages)")
        if several:
            _draw_fronts(parts[1, 0], several)
        figure.savefig(folder / "figure.svg", format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(folder / "figure.png", format="png", dpi=140, metadata={"Software": None})


def _draw_fronts(figure: Any, search: Search) -> None:
    """A panel for each further objective, against the one that selects."""
    formulations = list(dict.fromkeys(one.formulation for one in search.tried))
    colours = dict(zip(formulations, COLOURS, strict=False))
    for axes, name in zip(figure.subplots(1, len(search.others), squeeze=False)[0], search.others, strict=True):
        head, factor, _ = SHOWN.get(name, (name, 1.0, 1))
        axes.set_title(f"{clean(search.objective)} against {clean(head)}", loc="left", fontweight="bold")
        axes.set_xlabel(clean(head))
        for one in search.tried:
            place, colour = (one.values[name] * factor, one.values[search.objective]), colours[one.formulation]
            face = colour if one.on_front else "none"
            faint = 1.0 if one.on_front or one.chosen else 0.35
            axes.plot(*place, "o", color=colour, markersize=5, markerfacecolor=face, alpha=faint)
            if one.chosen:
                axes.plot(*place, "*", color="#1b2330", markersize=11, markerfacecolor=colour)
        values = [one.values[name] for one in search.tried]
        if min(values) > 0 and max(values) > WIDE * min(values):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter("{x:g}")  # matplotlib's own has mathematics in it, which STYLE turns off
            axes.minorticks_off()
    entries = [Line2D([], [], color=colours[name], linewidth=3, label=clean(name)) for name in formulations]
    marks = (("o", "on the front", "#1b2330"), ("o", "dominated, or not feasible", "none"), ("*", "chosen", "#1b2330"))
    entries += [
        Line2D([], [], color="#1b2330", marker=mark, linewidth=0, markerfacecolor=face, label=label)
        for mark, label, face in marks
    ]
    figure.legend(handles=entries, fontsize=8.5, loc="outside lower center", ncols=len(entries))


def _panel(axes: Axes, lines: Sequence[Line], title: str, xlabel: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(xlabel)
    if not lines:
        axes.text(0.5, 0.5, "nothing to draw yet", ha="center", transform=axes.transAxes, color="#6b7280")
        return
    colours = _styles(lines, lambda line: line.colour_by, COLOURS)
    markers = _styles(lines, lambda line: line.marker_by, MARKERS)
    for line in lines:
        _draw_line(axes, line, colours[line.colour_by], markers[line.marker_by], 0.6 / max(len(lines), 5))
    ticks = sorted({k for line in lines for k in line.points})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    _legend(axes, colours, markers)


def _legend(axes: Axes, colours: Mapping[str, str], markers: Mapping[str, str]) -> None:
    """One legend entry per colour and per marker, because their pairs would be too many."""
    entries = [Line2D([], [], color=colour, linewidth=3, label=clean(name)) for name, colour in colours.items()]
    if len(markers) > 1:
        entries += [
            Line2D([], [], color="#1b2330", marker=marker, markersize=5, linewidth=0, label=clean(name))
            for name, marker in markers.items()
        ]
    axes.legend(handles=entries, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=LEGEND_COLUMNS)


def _draw_line(axes: Axes, line: Line, colour: str, marker: str, shade: float) -> None:
    ks = sorted(line.points)
    found = [line.points[k] for k in ks]
    means = [estimate.mean for estimate in found]
    lows, highs = ([_or(getattr(e, name), e.mean) for e in found] for name in ("low", "high"))
    axes.plot(ks, means, color=colour, marker=marker, markersize=4, linewidth=1.4)
    if len(ks) > 1:
        axes.fill_between(ks, lows, highs, color=colour, alpha=shade, linewidth=0)
    else:
        axes.vlines(ks, lows, highs, color=colour, alpha=0.45, linewidth=1.2)


def _or(bound: float | None, mean: float) -> float:
    return mean if bound is None else bound


def _styles(lines: Sequence[Line], key: Callable[[Line], str], choices: Sequence[str]) -> dict[str, str]:
    names = dict.fromkeys(map(key, lines))
    return {name: choices[position % len(choices)] for position, name in enumerate(names)}
