"""Quality by what a question asks for, by what train already holds, and by the rank of the first answer passage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rag_lightning.core.records import Example, Score
from rag_lightning.metrics.metric import CUTOFFS, Estimate, parse_metric
from rag_lightning.metrics.questions import THRESHOLD, NearDuplicates, question_type
from rag_lightning.metrics.summary import estimate
from rag_lightning.metrics.tokens import normalize_answer
from rag_lightning.report.answer import Scores
from rag_lightning.report.charts import COLOURS, INK, SOFT, Chart, Panel, plain
from rag_lightning.report.collect import Run, Sweep, found_family, read_records
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number

Slices = Mapping[str, Mapping[str, Mapping[str, Estimate]]]
"""Run id -> what is sliced by -> slice -> the objective there."""
ASKED, SEEN, RANK = "question word", "seen in train", "rank of the first answer passage"
QUESTION, ANSWER, NEITHER = "a like question", "the answer only", "neither"
MOST, PANEL_ROWS = 3, 9
"""Systems of the chart, and slices of a panel."""
NOTES = {
    SEEN: f"a like question shares at least {100 * THRESHOLD:.0f} % of the words of both; answers are compared as "
    "exact match does",
    RANK: "among the k that the system reads; of passages with evidence, where answers stand in no passage",
}


def slice_scores(sweep: Sweep, runs: Sequence[Run], scores: Scores, artifacts: Path) -> Slices:
    """The objective of each run with stored scores, by slice; what puts all questions into one slice is left out.

    Raises:
        ArtifactError, DataError: stored examples are damaged.
    """
    labelled: dict[tuple[str, str], Mapping[str, Mapping[str, str]]] = {}
    found: dict[str, dict[str, dict[str, Estimate]]] = {}
    for run in runs:
        if run.run_id not in scores or sweep.objective not in run.estimates:
            continue
        key = str(run.record.get("digests", {}).get("examples")), run.split
        if key not in labelled:
            labelled[key] = _labels(artifacts, *key, by_pattern=sweep.objective == "em_regex")
        by = {name: _grouped(scores[run.run_id], values) for name, values in labelled[key].items()}
        by[RANK] = _by_rank(run, scores[run.run_id])
        found[run.run_id] = {
            name: {
                value: estimate(listed, parse_metric(sweep.objective), seed=int(run.record.get("seed", 0)))
                for value, listed in groups.items()
            }
            for name, groups in by.items()
            if len(groups) > 1
        }
    return found


def _notes(slices: Slices) -> tuple[str, ...]:
    there = {name for groups in slices.values() for name in groups}
    return tuple(f"{name}: {text}." for name, text in NOTES.items() if name in there)


def in_order(runs: Sequence[Run], slices: Slices) -> list[tuple[str, str]]:
    """(what is sliced by, slice) of all runs; ranks as numbers, since systems of a larger k have more of them."""
    found = {(by, value): None for run in runs for by, values in slices.get(run.run_id, {}).items() for value in values}
    kinds = list(dict.fromkeys(by for by, _ in found))

    def rank(name: tuple[str, str]) -> tuple[int, int]:
        first = name[1].partition(" ")[0]
        return kinds.index(name[0]), int(first) if name[0] == RANK and first.isdigit() else len(CUTOFFS) * 1000

    return sorted(found, key=rank)


def slices_table(sweep: Sweep, runs: Sequence[Run], slices: Slices) -> Table:
    """The objective of each system on test, by slice: what the report slices by, then the tags of the data."""
    found = {
        f"{by}: {value}": [slices.get(run.run_id, {}).get(by, {}).get(value) for run in runs]
        for by, value in in_order(runs, slices)
    }
    for name in sorted({name for run in runs for name in run.slices}):
        found[name] = [run.slices.get(name, {}).get(sweep.objective) for run in runs]
    columns = (Column("slice", numeric=False), Column("n"), *(Column(run.label, bar=True) for run in runs))
    rows = []
    for name, listed in found.items():
        counts = {estimate.n for estimate in listed if estimate}
        cells = [
            replace(estimated(estimate), below=f"n = {estimate.n:,}" if estimate and len(counts) > 1 else "")
            for estimate in listed
        ]
        rows.append(Row((Cell(name), number(counts.pop(), 0) if len(counts) == 1 else Cell(NOTHING), *cells)))
    title = f"{sweep.objective} by slice on {sweep.dataset} test"
    return Table(title, columns, tuple(rows), _notes(slices), folded=True)


def slices_file(sweep: Sweep, runs: Sequence[Run], slices: Slices) -> Table:
    """A row per system and slice, for programs."""
    columns = [Column(head, numeric=False) for head in ("system", "by", "slice")]
    columns += [Column(sweep.objective), Column("n")]
    rows = [
        Row((Cell(run.label), Cell(name), Cell(value), estimated(one), number(one.n, 0)))
        for run in runs
        for name, groups in slices.get(run.run_id, {}).items()
        for value, one in groups.items()
    ]
    return Table("slices", tuple(columns), tuple(rows))


def slices_chart(sweep: Sweep, runs: Sequence[Run], slices: Slices) -> Chart | None:
    """A panel per kind of slice and system, at most three, the best of each formulation first."""
    there = [run for run in runs if slices.get(run.run_id)]
    first = {run.formulation: run for run in reversed(there)}
    shown = sorted(there, key=lambda run: run is not first[run.formulation])[:MOST]
    names = list(dict.fromkeys(name for run in shown for name in slices[run.run_id]))
    grid = [(name, run) for name in names for run in shown if name in slices[run.run_id]]
    if not grid:
        return None
    every = [one for name, run in grid for one in slices[run.run_id][name].values()]
    right = max(one.mean if one.high is None else one.high for one in every)
    panels = [_panel(sweep, run, name, slices[run.run_id][name], right) for name, run in grid]
    rows = min(PANEL_ROWS, max(len(slices[run.run_id][name]) for name, run in grid))
    return Chart(
        "slices",
        f"Where answers on {sweep.dataset} test are right",
        panels,
        notes=[*_notes(slices), "Dot: mean; bar: 95 % interval; the dotted line is the mean of all questions."],
        height=0.24 * rows + 0.95,
        margins=(1.5, 0.15, 0.5, 0.4),
        folded=True,
    )


def _panel(sweep: Sweep, run: Run, name: str, groups: Mapping[str, Estimate], right: float) -> Panel:
    words = "; ".join(f"{value} {one.mean:.1f} (n = {one.n})" for value, one in groups.items())
    kept = dict(list(groups.items())[:PANEL_ROWS])
    mean = run.estimates[sweep.objective].mean
    draw = partial(_draw, kept, mean, f"{sweep.objective} by {name}", right)
    return Panel(run.label, f"{run.label}, {sweep.objective} by {name}: {words}", draw)


def _labels(artifacts: Path, digest: str, split: str, *, by_pattern: bool) -> dict[str, dict[str, str]]:
    """What is sliced by -> example id -> slice; empty where the examples are no longer stored.

    Args:
        artifacts: Root of the artifacts.
        digest: Digest of the examples.
        split: The split that was asked.
        by_pattern: Whether answers are regular expressions, which are not compared with those of train.
    """
    asked = read_records(artifacts, "examples", digest, Example, f"{split}.jsonl")
    train = read_records(artifacts, "examples", digest, Example, "train.jsonl")
    if asked is None or train is None:
        return {}
    words = {one.example_id: question_type(one.query).partition(" ")[0] or "none" for one in asked}
    return {ASKED: words} | ({} if by_pattern else {SEEN: _seen(asked, train)})


def _seen(asked: Sequence[Example], train: Sequence[Example]) -> dict[str, str]:
    alike = NearDuplicates(one.query for one in (*train, *asked))
    for one in train:
        alike.add(one.query)
    answers = {normalize_answer(text) for one in train for text in (*one.answers, *one.targets)}

    def value(one: Example) -> str:
        if one.query in alike:
            return QUESTION
        return ANSWER if any(normalize_answer(text) in answers for text in one.answers) else NEITHER

    return {one.example_id: value(one) for one in asked}


def _grouped(scores: Sequence[Score], values: Mapping[str, str]) -> dict[str, list[Score]]:
    """Slice -> its scores, the largest first; the three of SEEN in their order."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        if score.example_id in values:
            groups[values[score.example_id]].append(score)
    order = (QUESTION, ANSWER, NEITHER)
    return dict(sorted(groups.items(), key=lambda item: order.index(item[0]) if item[0] in order else -len(item[1])))


def _by_rank(run: Run, scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Rank of the first passage with evidence -> scores, between the cut-offs that were scored."""
    family = found_family([run.estimates])
    cutoffs = sorted({*(k for k in CUTOFFS if k < run.k), run.k} - {0})
    names = list(_intervals(cutoffs))
    groups: dict[str, list[Score]] = {name: [] for name in (*names, "none")}
    for score in scores:
        hits = [score.values.get(f"{family}@{k}") for k in cutoffs]
        if None not in hits:
            groups[names[hits.index(1.0)] if 1.0 in hits else "none"].append(score)
    return {name: listed for name, listed in groups.items() if listed}


def _intervals(cutoffs: Sequence[int]) -> Iterator[str]:
    for low, high in zip((0, *cutoffs), cutoffs, strict=False):
        yield str(high) if high == low + 1 else f"{low + 1} to {high}"


def _draw(groups: Mapping[str, Estimate], mean: float, xlabel: str, right: float, axes: Axes) -> None:
    axes.axvline(mean, color=SOFT, linewidth=1, linestyle=":")
    for place, one in enumerate(groups.values()):
        low, high = (one.mean if bound is None else bound for bound in (one.low, one.high))
        axes.hlines(place, low, high, color=COLOURS[0], linewidth=4, alpha=0.3)
        axes.plot(one.mean, place, "o", color=COLOURS[0], markersize=5)
    axes.set_yticks(range(len(groups)), [f"{plain(name, 26)}, n={one.n:,}" for name, one in groups.items()])
    axes.tick_params(axis="y", labelsize=7.5, labelcolor=INK, length=0)
    axes.set_ylim(max(len(groups), 3) - 0.5, -0.5)
    axes.set_xlim(0, right * 1.04 or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(plain(xlabel, 60), loc="right")
