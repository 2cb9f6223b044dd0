"""The tables and the chart of the bench, from stored measures."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from rag_lightning.bench.child import CUTOFFS
from rag_lightning.bench.laws import LAWS, TELLING, WIKIPEDIA, Law, laws_of
from rag_lightning.bench.measuring import ANSWER_CUTOFFS
from rag_lightning.config.registries import INDEX_KINDS
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.console import say
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import write_text
from rag_lightning.core.tables import Grid
from rag_lightning.report.charts import COLOURS, MARKERS, Chart, Panel, log_axis
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, number, to_csv, to_markdown

REAL, GENERATED = "real", "generated"
Measure = Mapping[str, Any]
APART = 2.0
"""Points of recall@20 from which generated vectors count as another thing than the real ones."""
SHOWN_FROM, DRAWN_FROM = 95.0, 90.0
"""Least recall@20 of what is printed, and drawn where there are such indexes; the tables hold everything."""
SHORT = ("index", "recall@20", "q/s", "p99 ms", "bytes", "own MiB")
HEADS = (
    *(f"recall@{k}" for k in CUTOFFS),
    *(f"answer_recall@{k}" for k in ANSWER_CUTOFFS),
    "queries_per_second",
    "queries_per_second_64",
    "queries_per_cpu_second",
    "queries_per_cpu_second_64",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "first_seconds",
    "build_seconds",
    "build_cpu_seconds",
    "bytes_a_vector",
    "build_mib",
    "anonymous_mib",
    "mapped_mib",
    "read_mib",
)
SHOWN = (
    "recall@1",
    "recall@20",
    "answer_recall@20",
    "queries_per_second",
    "queries_per_second_64",
    "p99_ms",
    "build_seconds",
    "bytes_a_vector",
    "anonymous_mib",
)
"""Columns of table.md; the CSV files have all."""
MARGINS = (0.6, 1.35, 0.5, 0.4)
DIGITS = {
    "p50_ms": 2,
    "p95_ms": 2,
    "p99_ms": 2,
    "first_seconds": 2,
    "queries_per_second": 0,
    "queries_per_second_64": 0,
    "queries_per_cpu_second": 0,
    "queries_per_cpu_second_64": 0,
}


def label_of(found: Measure) -> str:
    """An index and its search in words, `ivf_flat nprobe=8`, without values that are the defaults."""
    config = IndexConfig(found["kind"], found["options"])
    defaults = {one.name: one.default for one in fields(config.made())}
    given = [(name, value) for name, value in found["options"].items() if value != defaults[name]]
    return " ".join([str(found["kind"]), *(f"{name}={value}" for name, value in given)])


def write(out: Path, measures: Sequence[Measure], threads: int) -> None:
    """Write table.md, and a CSV file and a chart for each source; show the best of each kind."""
    apart = {str(one["label"]) for _, one, apart in _beside(measures) if abs(apart) > APART}
    tables = [_table(rows, threads, apart if rows[0]["source"] == GENERATED else ()) for rows in _by_source(measures)]
    tables += [table for table in (_fidelity(measures), _laws(measures)) if table is not None]
    write_text(out / "table.md", to_markdown(tables))
    for table in tables:
        write_text(out / f"{table.name}.csv", to_csv(table))
    for found in _by_source(measures):
        if rows := [one for one in found if "problem" not in one]:
            _chart(rows).save(out)
        _show(found)
    say(f"written: {out / 'table.md'}")


def _by_source(measures: Sequence[Measure]) -> list[list[Measure]]:
    groups: dict[tuple[str, int], list[Measure]] = {}
    for one in measures:
        groups.setdefault((str(one["source"]), int(one["count"])), []).append(one)
    return list(groups.values())


def _count(rows: Sequence[Measure]) -> int:
    return int(rows[0]["count"])


def _name(rows: Sequence[Measure]) -> str:
    return f"{rows[0]['source']}-{rows[0]['count']}"


def _words(rows: Sequence[Measure]) -> str:
    return f"{_count(rows):,} {rows[0]['source']} vectors"


def _value(found: Measure, head: str) -> float | None:
    if head == "bytes_a_vector":
        return float(found["bytes"]) / float(found["count"]) if "bytes" in found else None
    return float(found[head]) if head in found else None


def _table(rows: Sequence[Measure], threads: int, apart: Container[str]) -> Table:
    """Everything measured on one source."""
    name = _name(rows)
    heads = [head for head in HEADS if any(_value(one, head) is not None for one in rows)]
    shown = (Column(head, shown=head in SHOWN) for head in heads)
    columns = (Column("index", numeric=False), *shown, Column("problem", numeric=False))
    if not any("problem" in one for one in rows):
        columns = columns[:-1]
    front = _pareto(rows)
    made = []
    for one in rows:
        cells = [Cell(str(one["label"]), best=one in front, marks="a" if one["label"] in apart else "")]
        cells += [number(_value(one, head), DIGITS.get(head, 1)) for head in heads]
        cells += [Cell(str(one.get("problem", "")))] if len(columns) > len(heads) + 1 else []
        made.append(Row(tuple(cells)))
    notes: tuple[str, ...] = (
        f"Recall in percent against exact search; speed by {threads} thread(s), one query at a time and 64 at once; "
        "anonymous_mib: memory of an opened index beside the mapped pages of its file. Bold: no other index is at "
        "least as good in recall@20, queries/s and own memory, and better in one. "
        f"{name}.csv has {len(heads)} columns.",
    )
    if any(cell.marks for row in made for cell in row.cells):
        notes += (f"a: more than {APART:g} points of recall@20 from the real vectors, at their number; see fidelity.",)
    title = f"Indexes over {_words(rows)} of width {rows[0]['width']}"
    return Table(title, columns, tuple(made), notes, name=name)


def _pareto(rows: Sequence[Measure]) -> list[Measure]:
    """The rows that no other one dominates in recall@20, queries per second and own memory."""
    whole = [one for one in rows if "problem" not in one]
    goods = [(float(one["recall@20"]), float(one["queries_per_second"]), -float(one["anonymous_mib"])) for one in whole]

    def beaten(mine: tuple[float, ...]) -> bool:
        return any(other != mine and all(a >= b for a, b in zip(other, mine, strict=True)) for other in goods)

    return [one for one, mine in zip(whole, goods, strict=True) if not beaten(mine)]


def _beside(measures: Sequence[Measure]) -> list[tuple[Measure, Measure, float]]:
    """The same index on real and on as many generated vectors, and how far apart their recall@20 is."""
    real = {str(one["label"]): one for one in measures if one["source"] == REAL and "problem" not in one}
    count = next((int(one["count"]) for one in real.values()), 0)
    same = (one for one in measures if (one["source"], one["count"]) == (GENERATED, count) and "problem" not in one)
    pairs = ((real[str(one["label"])], one) for one in same if one["label"] in real)
    return [(left, right, float(right["recall@20"]) - float(left["recall@20"])) for left, right in pairs]


def _fidelity(measures: Sequence[Measure]) -> Table | None:
    """Recall@20 on the real vectors beside that on as many generated ones."""
    rows = []
    for left, right, apart in _beside(measures):
        values = (number(float(left["recall@20"])), number(float(right["recall@20"])), number(apart))
        rows.append(Row((Cell(str(left["label"])), *values, Cell("apart" if abs(apart) > APART else "alike"))))
    if not rows:
        return None
    columns = (Column("index", numeric=False), Column("real"), Column("generated"), Column("difference"))
    notes = (f"More than {APART:g} points: recall on generated vectors says little about real ones for that index.",)
    title = "recall@20 on real vectors and on as many generated ones"
    return Table(title, (*columns, Column("", numeric=False)), tuple(rows), notes, name="fidelity")


def _laws(measures: Sequence[Measure]) -> Table | None:
    """What size and time become at the paper's size, of each kind for the search that finds most."""
    found = laws_of(measures)
    if not found:
        return None
    columns = [Column("index", numeric=False), Column("size, GB")]
    columns += [column for name in LAWS for column in (Column(name), Column(f"{name.split(',')[0]}: b"))]
    largest = max((rows for rows in _by_source(measures) if rows[0]["source"] == GENERATED), key=_count)
    whole = [one for one in largest if one["label"] in found and "problem" not in one]
    kinds = [[one for one in whole if one["kind"] == kind] for kind in dict.fromkeys(one["kind"] for one in whole)]
    rows = []
    for one in (max(searches, key=lambda one: float(one["recall@20"])) for searches in kinds):
        laws = found[str(one["label"])]
        cells = [Cell(str(one["label"])), _size(one)]
        for name in LAWS:
            cells += [_derived(laws.get(name)), number(laws[name].exponent if name in laws else None, 2)]
        rows.append(Row(tuple(cells)))
    notes = (
        "Size: computed. Time, in seconds of CPU: y = a N^b, fitted to the generated sizes, with the 95 % prediction "
        f"interval; a dash where its bounds are more than {TELLING:g} times apart, as three sizes often leave them. "
        f"Recall is never extrapolated. Of each kind the search with the highest recall@20 on {_words(largest)}.",
        "The paper's index takes about 100 GB of memory, 36 GB compressed; vectors of 768 floats alone are 64.6 GB.",
    )
    title = f"Derived for {WIKIPEDIA:,} vectors of width {largest[0]['width']}"
    return Table(title, tuple(columns), tuple(rows), notes, name="derived")


def _size(found: Measure) -> Cell:
    """The computed size of an index over the paper's number of vectors."""
    kind = IndexConfig(found["kind"], found["options"]).made()
    try:
        return number(kind.bytes(WIKIPEDIA, int(found["width"])) / 1e9)
    except ConfigError:
        return Cell(NOTHING)


def _derived(law: Law | None) -> Cell:
    """The value of a law with its interval, a dash where that tells nothing."""
    if law is None or law.high > TELLING * law.low:
        return Cell(NOTHING)
    return Cell(f"{law.value:,.1f}", law.value, law.low, law.high)


def _chart(rows: Sequence[Measure]) -> Chart:
    """Recall against speed, and against bytes a vector, a colour for each kind."""
    drawn = [one for one in rows if float(one["recall@20"]) >= DRAWN_FROM] or rows
    words = "; ".join(f"{one['label']} {float(one['recall@20']):.1f}" for one in drawn)
    panels = [
        Panel(f"{_words(rows)}: recall and speed", words, partial(_draw, drawn, "queries_per_second", "queries/s")),
        Panel("recall and size", words, partial(_draw, drawn, "bytes_a_vector", "bytes a vector")),
    ]
    return Chart(
        f"pareto-{_name(rows)}", f"Indexes over {_words(rows)}", panels, width=4.6, height=3.4, margins=MARGINS
    )


def _draw(rows: Sequence[Measure], head: str, words: str, axes: Axes) -> None:
    kinds = [name for name in INDEX_KINDS if any(one["kind"] == name for one in rows)]
    for place, kind in enumerate(kinds):
        mine = sorted((_value(one, head) or 0.0, float(one["recall@20"])) for one in rows if one["kind"] == kind)
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        filled = colour if place < len(COLOURS) else "none"
        style: Any = {"color": colour, "marker": marker, "markerfacecolor": filled, "linestyle": "none", "label": kind}
        axes.plot(*zip(*mine, strict=True), **style)
    places = [_value(one, head) or 1.0 for one in rows]
    log_axis(axes, places, "{x:,.0f}")
    axes.set_xlabel(words)
    only = all(float(one["recall@20"]) >= DRAWN_FROM for one in rows)
    axes.set_ylabel(f"recall@20, % (from {DRAWN_FROM:g} on)" if only else "recall@20, %")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=7.5, handlelength=1.6)


def _show(rows: Sequence[Measure]) -> None:
    """Print the indexes of a source that no other one dominates, those of a high recall."""
    title = f"{_words(rows)}: what no other index beats, from recall@20 of {SHOWN_FROM:g}"
    grid = Grid(*SHORT, title=title, numeric=SHORT[1:], left=True)
    best = [one for one in _pareto(rows) if float(one["recall@20"]) >= SHOWN_FROM]
    for one in sorted(best, key=lambda one: (-float(one["recall@20"]), -float(one["queries_per_second"]))):
        values = [_value(one, head) or 0.0 for head in ("recall@20", "queries_per_second", "p99_ms", "bytes_a_vector")]
        texts = [f"{values[0]:.1f}", f"{values[1]:,.0f}", f"{values[2]:.2f}", f"{values[3]:.0f}"]
        grid.add(str(one["label"]), *texts, f"{float(one['anonymous_mib']):.0f}")
    grid.show()
