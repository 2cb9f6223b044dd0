"""Figure 2, the passages behind each token of a prediction, and Figure 3, what more passages bring."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_sealed
from rag_lightning.core.plain import clean
from rag_lightning.metrics.metric import Estimate
from rag_lightning.paper.cells import PLACES, Results, metric_of, seed_of
from rag_lightning.paper.posterior import Shown
from rag_lightning.report.charts import COLOURS, INK, SOFT, Chart, Panel, end_labels, plain
from rag_lightning.report.collect import Run
from rag_lightning.report.figures import Line
from rag_lightning.report.paper import paper_dataset, paper_system
from rag_lightning.report.printed import Series
from rag_lightning.report.reading import estimate_of
from rag_lightning.runs import folders

PANELS = {
    "figure3-left": ("exact match on NQ", "EM, %"),
    "figure3-centre": ("answer recall@k on NQ", "recall@k, %"),
    "figure3-right": ("Rouge-L and BLEU-1 on MS MARCO", "%"),
}
"""Id of the lines of a panel -> its title and unit."""
METRICS = {"rouge_l_msmarco": "R-L", "bleu1_msmarco": "B-1"}
ENCODERS = {
    "trained (RAG-Token)": "RAG-Token",
    "trained (RAG-Sequence)": "RAG-Sequence",
    "warmed_up": "Fixed encoder",
    "pretrained": "Fixed encoder",
    "words": "BM25",
}
"""Query encoder of a sweep's retrieval -> the line of the paper that it corresponds to; the first there is, of two."""
RETRIEVED_BY = {
    "RAG-Token": "RAG-Token",
    "RAG-Sequence": "RAG-Sequence",
    "RAG-Sequence-Frozen": "Fixed encoder",
    "RAG-Sequence-BM25": "BM25",
}
"""System of dev runs -> the line of its query encoder."""
LETTERS = 11
"""Letters of a panel's title to an inch."""
TICKS = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Curves:
    """The lines of a panel, and whether they can be drawn beside the paper's."""

    lines: Sequence[Line]
    comparable: bool
    dataset: str = ""


def figure3(results: Results) -> Chart:
    """Three panels with the paper's points; ours in the same panels only if they can be compared, else below."""
    panels, below, missing = [], [], []
    for name, (title, unit) in PANELS.items():
        lines = [_paper_line(name, line) for line in results.paper.series if line.id == name]
        ours = _ours(results, name)
        shared = list(ours.lines) if ours.comparable else []
        panels.append(_panel(f"Paper: {title}", unit, lines, shared))
        if ours.lines and not ours.comparable:
            below.append(_panel(f"{ours.dataset}: {title.partition(' on ')[0]}", unit, [], ours.lines))
        elif not ours.lines:
            missing.append(f"{title}: not run (no dev runs at several k); command: {_command(results, name)}")
    notes = ["Grey: the points of the paper, read from its PDF, on dev."]
    if below:
        notes.append(f"Second row: ours, on other data, which cannot be compared: scale {results.config.scale}.")
    title = "Figure 3: more passages: answers, recall, and generated text"
    return Chart("figure3", title, [*panels, *below], notes=[*notes, *missing])


def figure2(results: Results, shown: Sequence[Shown]) -> list[Chart]:
    """A heat map of p(z|x,y_i) by token: the paper's, and that of each stored prediction."""
    printed = results.paper.posterior
    charts = [
        _heat_map("figure2", "Figure 2 of the paper", printed.input, printed.tokens, printed.passages, printed.values)
    ]
    for place, one in enumerate(shown):
        title = f"Figure 2, ours: {one.label}, question {one.example_id}"
        passages = [f"{z}. {name}" for z, name in enumerate(one.passages, 1)]
        charts.append(_heat_map(f"figure2-ours-{place}", title, one.query, one.tokens, passages, one.values))
    return charts


def _heat_map(
    name: str, title: str, asked: str, tokens: Sequence[str], passages: Sequence[str], values: Sequence[Sequence[float]]
) -> Chart:
    words = "; ".join(
        f"{token} mostly passage {max(range(len(row)), key=row.__getitem__) + 1}"
        for token, row in zip(tokens, values, strict=True)
    )
    draw = partial(_draw_heat_map, tokens, passages, values)
    wide, high = 2.2 + 0.34 * len(tokens), 1.3 + 0.3 * len(passages)
    panel = Panel(plain(f"input: {asked}", int(LETTERS * wide)), words, draw)
    note = (
        "p(passage | input, tokens): each column is a token of the output, each row a passage; a column adds up to 1; "
        "darker is more."
    )
    return Chart(name, title, (panel,), notes=(note,), width=wide, height=high, margins=(2.0, 0.15, 0.85, 0.4))


def _draw_heat_map(
    tokens: Sequence[str], passages: Sequence[str], values: Sequence[Sequence[float]], axes: Axes
) -> None:
    by_passage = [list(row) for row in zip(*values, strict=True)]
    axes.pcolormesh(by_passage, cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="#ffffff", linewidth=0.6)
    axes.set_xticks([place + 0.5 for place in range(len(tokens))], [plain(one, 14) for one in tokens], rotation=60)
    axes.set_yticks([place + 0.5 for place in range(len(passages))], [_two_lines(one) for one in passages])
    axes.tick_params(length=0, labelcolor=INK, labelsize=8)
    axes.invert_yaxis()
    axes.grid(visible=False)
    for place, row in enumerate(by_passage):
        for at, value in enumerate(row):
            if value >= 0.5:
                axes.text(
                    at + 0.5,
                    place + 0.5,
                    f"{value:.2f}".lstrip("0"),
                    ha="center",
                    va="center",
                    color="#fffffe",
                    fontsize=7,
                )


def _two_lines(text: str) -> str:
    """The title of a passage, as wide as the margin left of a heat map."""
    return "\n".join(wrap(clean(text), 28, max_lines=2, placeholder="…"))


def _paper_line(name: str, line: Series) -> Line:
    label = f"{line.system} {METRICS[line.metric]}" if line.metric in METRICS else line.system
    points = {int(k): Estimate(point[-1], None, None, 0, line.unit) for k, point in line.points.items()}
    return Line(name, label, points)


def _panel(title: str, unit: str, paper: Sequence[Line], ours: Sequence[Line]) -> Panel:
    words = "; ".join(
        f"{line.label} {line.points[min(line.points)].mean:.1f} at k={min(line.points)}, "
        f"{line.points[max(line.points)].mean:.1f} at k={max(line.points)}"
        for line in (*paper, *ours)
    )
    return Panel(title, f"{title}: {words}", partial(_draw_curves, unit, paper, ours))


def _draw_curves(unit: str, paper: Sequence[Line], ours: Sequence[Line], axes: Axes) -> None:
    labels = []
    for lines, drawn in ((paper, False), (ours, True)):
        for place, line in enumerate(lines):
            ks, found = sorted(line.points), [line.points[k] for k in sorted(line.points)]
            colour = COLOURS[place % len(COLOURS)] if drawn else SOFT
            style: dict[str, Any] = {
                "linestyle": "-" if drawn else ("-", "--", ":", "-.")[place % 4],
                "linewidth": 1.6 if drawn else 1.2,
            }
            axes.plot(
                ks, [one.mean for one in found], color=colour, marker="o" if drawn else ".", markersize=4, **style
            )
            if drawn:
                lows = [one.mean if one.low is None else one.low for one in found]
                highs = [one.mean if one.high is None else one.high for one in found]
                axes.fill_between(ks, lows, highs, color=colour, alpha=0.12, linewidth=0)
            labels.append((line.label, float(ks[-1]), found[-1].mean, colour))
    axes.set_xscale("log")
    every = [k for line in (*paper, *ours) for k in line.points]
    ticks = [k for k in TICKS if min(every) <= k <= max(every)] or [min(every)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(k) for k in ticks])
    axes.set_xlabel("k, passages read")
    axes.set_ylabel(unit)
    axes.autoscale_view()
    axes.set_ylim(*axes.get_ylim())
    end_labels(axes, labels)


def _ours(results: Results, name: str) -> Curves:
    if name == "figure3-centre":
        return _recall(results)
    dataset, metrics = ("nq", ("em",)) if name == "figure3-left" else ("msmarco", tuple(METRICS))
    lines, comparable, called = [], results.config.scale == "paper", ""
    for system in ("RAG-Token", "RAG-Sequence", "RAG-Token-Frozen", "RAG-Sequence-Frozen"):
        for metric in metrics:
            by_k = _at_several_k(results, system, dataset, metric)
            if by_k:
                first = next(iter(by_k.values()))[0]
                label = " ".join(filter(None, (system, METRICS.get(metric), _index_of(first))))
                points = {k: results.over_seeds(runs, metric_of(runs[0], metric))[0] for k, runs in by_k.items()}
                lines.append(Line(name, label, points))
                called = first.dataset
                comparable = comparable and called == dataset
    return Curves(lines, comparable, called)


def _at_several_k(results: Results, system: str, dataset: str, metric: str) -> dict[int, list[Run]]:
    """k, at least two -> a system's dev runs by seed, which differ in seed and k only: of most k, then most seeds."""
    groups: dict[str, dict[int, dict[int, Run]]] = defaultdict(lambda: defaultdict(dict))
    for run in results.runs:
        fits = run.finished and run.split == "dev" and paper_dataset(run.dataset) == dataset and run.k > 0
        if fits and paper_system(run.config) == system and metric_of(run, metric) in run.estimates:
            groups[_but_k(run)][run.k].setdefault(seed_of(run), run)
    best = max(groups.values(), key=lambda by_k: (len(by_k), min(map(len, by_k.values()))), default={})
    if len(best) < 2:
        return {}
    return {k: [run for _, run in sorted(by_seed.items())] for k, by_seed in sorted(best.items())}


def _index_of(run: Run) -> str:
    """The index in brackets; empty for exact search."""
    kind = run.config.get("index", {}).get("kind", "flat")
    return "" if kind == "flat" or run.config["retriever"]["kind"] != "dense" else f"({kind})"


def _but_k(run: Run) -> str:
    config = {name: value for name, value in run.config.items() if name not in PLACES}
    decoding: Mapping[str, object] = {name: value for name, value in config["decoding"].items() if name != "k"}
    return json.dumps([run.dataset, {**config, "decoding": decoding}], sort_keys=True)


def _recall(results: Results) -> Curves:
    """Answer recall on NQ by query encoder: of the sweep with the most cut-offs, without one of the dev runs."""
    best: dict[str, dict[int, Estimate]] = {}
    called = ""
    for path in sorted(folders.runs(results.config.folder).glob("*/sweep.json")):
        raw = read_sealed(path)
        dataset = str(raw.get("dataset", ""))
        scale = "nq-subset" if dataset.endswith("-subset") else raw.get("scale")
        if paper_dataset(dataset) != "nq" or scale != results.config.scale:
            continue
        found = _recall_of(path, raw)
        if sum(map(len, found.values())) > sum(map(len, best.values())):
            best, called = found, dataset
    if not best:
        best, called = _recall_of_runs(results)
    lines = [Line("figure3-centre", label, points) for label, points in best.items()]
    return Curves(lines, results.config.scale == "paper" and called == "nq", called)


def _recall_of_runs(results: Results) -> tuple[dict[str, dict[int, Estimate]], str]:
    """Label -> answer recall by cut-off of the dev runs with the most passages, and their data set."""
    found, called = {}, ""
    for system, label in RETRIEVED_BY.items():
        by_k = _at_several_k(results, system, "nq", "em")
        runs = by_k[max(by_k)] if by_k else []
        names = [name for name in (runs[0].estimates if runs else ()) if name.startswith("answer_recall@")]
        if names:
            found[label] = {int(name.partition("@")[2]): results.over_seeds(runs, name)[0] for name in names}
            called = runs[0].dataset
    return found, called


def _recall_of(path: Path, raw: Mapping[str, Any]) -> dict[str, dict[int, Estimate]]:
    by_encoder: dict[str, dict[int, Estimate]] = {}
    for row in raw.get("retrieval") or ():
        if not isinstance(row, dict) or not isinstance(row.get("metrics"), dict):
            raise DataError(path, "is not a table row", field="retrieval", value=row)
        if str(row.get("model")) not in ENCODERS or row.get("retriever") not in ("flat", "bm25"):
            continue
        for metric, value in row["metrics"].items():
            family, _, cutoff = metric.partition("@")
            if family == "answer_recall" and cutoff.isdigit():
                point = estimate_of(path, value, f"retrieval.{metric}")
                by_encoder.setdefault(str(row["model"]), {})[int(cutoff)] = point
    found: dict[str, dict[int, Estimate]] = {}
    for encoder, label in ENCODERS.items():
        if encoder in by_encoder:
            found.setdefault(label, by_encoder[encoder])
    return found


def _command(results: Results, name: str) -> str:
    scale = results.config.scale
    if name == "figure3-right":
        return f"rag-lightning sweep --config sweeps/msmarco.yaml --experiment.scale {scale}"
    return (
        "rag-lightning sweep --config sweeps/k_curve.yaml" if scale == "mini" else f"make sweep TASK=nq SCALE={scale}"
    )
