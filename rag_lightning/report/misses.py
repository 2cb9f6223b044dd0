"""The wrong answers of each system as a table, a chart and a CSV file: what went wrong, and what could be gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.answer import hint, name_of
from rag_lightning.report.attribution import CLASSES, EITHER, INDEX, READER, RETRIEVER, VARIANT, Attribution
from rag_lightning.report.charts import COLOURS, INK, Chart, Panel, plain
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number

MOST = 8
"""Systems of the chart."""
MEANING = {
    INDEX: "no answer passage among the first k, but exact search with the same query encoder had one",
    RETRIEVER: "exact search had none either",
    EITHER: "no answer passage among the first k; the ranking of exact search is not stored, so the two are one class",
    READER: "an answer passage was read, and the answer is wrong",
    VARIANT: "wrong, but a more lenient exact match counts it as right",
}
HUES = dict(zip(CLASSES, (COLOURS[3], COLOURS[1], COLOURS[4], COLOURS[0], COLOURS[2]), strict=True))
WRITTEN = 0.07
"""Share of the axis from which a part of a bar has its number."""


def misses_table(
    objective: str, dataset: str, found: Sequence[Attribution], left_out: Mapping[str, Sequence[str]]
) -> Table:
    """Per system the share of each class in its wrong answers, and below in all questions."""
    there = [name for name in CLASSES if name != EITHER or any(EITHER in one.counts for one in found)]
    measure, title = name_of(objective), f"Why answers on {dataset} test are wrong, in numbers"
    columns = [Column("system", numeric=False), Column("wrong"), *map(Column, there)]
    columns += [Column("gain, at most"), Column("oracle's gain")]
    rows = []
    for one in found:
        cells = [Cell(one.run.label), Cell(f"{one.wrong:,}", one.wrong, below=f"of {one.n:,}")]
        cells += [_share(one, name) for name in there]
        cells += [_signed(one.share(INDEX, RETRIEVER, EITHER)), _signed(one.oracle)]
        rows.append(Row(tuple(cells), one.run.role == "final", hint(one.run)))
    notes = ["Each class in % of the wrong answers, which it adds up to; below in % of all questions."]
    notes += [f"{name}: {MEANING[name]}." for name in there]
    notes += [
        f"Gain, at most: what {measure} gains if every question with a miss of index or retriever is answered right.",
        f"The oracle's gain: the measured paired difference in {measure} of the same formulation, decoding and k with "
        "a gold passage first; its reader also sees better passages elsewhere, so that it can gain more or less.",
    ]
    return Table(
        title,
        tuple(columns),
        tuple(rows),
        (*notes, *_remarks(found, left_out)),
        folded=True,
    )


def misses_file(found: Sequence[Attribution]) -> Table:
    """A row per system and class for programs: count, % of the wrong answers, % of all questions with its interval."""
    columns = [Column("system", numeric=False), Column("class", numeric=False)]
    columns += map(Column, ("count", "% of wrong answers", "% of questions", "n"))
    rows = []
    for one in found:
        for name in CLASSES:
            count, share = one.counts[name], one.share(name)
            part = 100 * count / one.wrong if one.wrong else None
            cells = (number(count, 0), number(part), estimated(share), number(one.n, 0))
            rows.append(Row((Cell(one.run.label), Cell(name), *cells)))
    return Table("errors", tuple(columns), tuple(rows))


def misses_chart(objective: str, dataset: str, found: Sequence[Attribution]) -> Chart | None:
    """A bar per system, as long as its share of wrong answers, cut into the classes."""
    if not found:
        return None
    shown = found[:MOST]
    title = f"Why answers on {dataset} test are wrong"
    words = "; ".join(
        f"{one.run.label}: " + ", ".join(f"{name} {100 * count / one.n:.1f}" for name, count in one.counts.items())
        for one in shown
    )
    panel = Panel("", f"{title}, % of all questions: {words}", partial(_draw, shown))
    high, margins = 0.5 * len(shown) + 1.35, (0.15, 0.15, 0.36, 0.86)
    lead = _lead(found, name_of(objective))
    return Chart("errors", title, (panel,), lead=lead, width=4.6, height=high, margins=margins, folded=True)


def _share(one: Attribution, name: str) -> Cell:
    count = one.counts[name]
    unknown = EITHER in one.counts and name in (INDEX, RETRIEVER)
    if unknown or not one.wrong or (name == EITHER and not count):
        return Cell(NOTHING)
    part = 100 * count / one.wrong
    return Cell(f"{part:.1f}", part, below=f"{100 * count / one.n:.1f} of all")


def _signed(found: Estimate | None) -> Cell:
    cell = estimated(found)
    return cell if found is None else replace(cell, text=f"{found.mean:+.1f}")


def _remarks(found: Sequence[Attribution], left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """Notes on what the classes rest on, and on the systems without a row."""
    lenient = {name: sum(one.lenient.get(name, 0) for one in found) for one in found for name in one.lenient}
    notes = []
    if found and not lenient:
        notes.append("No more lenient exact match accepts any of them, or none is scored beside this metric.")
    if lenient:
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(lenient.items()))
        notes.append(f"Answer-variant misses by what accepts them, all systems together: {counts}.")
    if unjudged := sum(one.unjudged for one in found):
        notes.append(f"Reader misses hold {unjudged:,} wrong answers to examples that name no evidence to be found.")
    return notes + [f"Without a row ({reason}): {', '.join(labels)}." for reason, labels in left_out.items()]


def _lead(found: Sequence[Attribution], measure: str) -> str:
    """The best system in a sentence."""
    one = next((one for one in found if one.wrong), None)
    if one is None:
        return ""
    name, count = max(one.counts.items(), key=lambda item: item[1])
    gain = one.share(INDEX, RETRIEVER, EITHER).mean
    text = f"{one.run.label}: {100 * count / one.wrong:.0f} % of its {one.wrong:,} wrong answers are {name}es. "
    text += f"Perfect retrieval could add at most {gain:.1f} {measure}"
    return text + ("." if one.oracle is None else f"; the oracle, measured, differs by {one.oracle.mean:+.1f}.")


def _draw(found: Sequence[Attribution], axes: Axes) -> None:
    longest = max(100 * one.wrong / one.n for one in found) or 1.0
    for place, one in enumerate(found):
        start = 0.0
        for name in CLASSES:
            wide = 100 * one.counts[name] / one.n
            axes.barh(place, wide, 0.42, left=start, color=HUES[name], alpha=0.45, linewidth=0)
            if wide >= WRITTEN * longest:
                axes.text(start + wide / 2, place, f"{wide:.1f}", ha="center", va="center", fontsize=8, color=INK)
            start += wide
        axes.text(0, place - 0.27, plain(one.run.label, 62), fontsize=8.5, color=INK, va="bottom")
    axes.set_ylim(len(found) - 0.6, -0.75)
    axes.set_xlim(0, longest * 1.02)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    there = [name for name in CLASSES if any(one.counts[name] for one in found)]
    handles = [Patch(color=HUES[name], alpha=0.45, linewidth=0, label=name) for name in there]
    axes.legend(
        handles=handles, title="wrong answers, % of all questions", alignment="left", loc="lower left",
        bbox_to_anchor=(-0.02, 1.0), ncols=2, fontsize=8, title_fontsize=8.5, labelcolor=INK,
    )  # fmt: skip
