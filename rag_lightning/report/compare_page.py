"""A comparison of two systems as a page with its files, and as lines for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from rag_lightning.core.plain import shorten
from rag_lightning.core.records import Passage, passage_text
from rag_lightning.report.answer import hint, name_of, p_text
from rag_lightning.report.charts import COLOURS, INK, LINE, Chart, Panel
from rag_lightning.report.compare import Comparison
from rag_lightning.report.page import Page, write_page
from rag_lightning.report.side import Side
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number

SHOWN, PASSAGES = 20, 20
"""Questions of the page, and passages of each."""
SPOKEN = 5
"""Questions of a terminal."""
NAMED = 70
"""Characters of a system's label in a sentence."""
LEVEL = 0.05
NOT_STORED, NO_TEXT = "not stored", "(empty)"


def write_comparison(found: Comparison, out: Path) -> Path:
    """Write `<out>/compare-<left>-<right>/`; returns the path of its index.html.

    Raises:
        ArtifactError, DataError: a stored prediction or passage was altered.
    """
    ids = found.disagreements(SHOWN)
    read = [side.passages(ids) for side in (found.left, found.right)]
    wins, _, losses = found.outcomes
    page = Page(
        title=f"Two systems on {found.left.data}",
        answer=headline(found),
        lead=[f"A: {found.left.label}", f"B: {found.right.label}", _sentence(found), _counts(found)],
        chart=_chart(found) if wins + losses else None,
        parts=[_systems(found), _overview(found, ids)],
        closing=[_beside(found, one, *(passages.get(one, []) for passages in read)) for one in ids],
        facts={"metric": found.metric.name, "shared questions": f"{len(found.values):,}"},
        warnings=list(found.marks),
        files={"questions.csv": _questions(found, sorted(found.values))},
        texts={"compare.json": _json(found, ids, read)},
    )
    names = [re.sub(r"[^\w.-]+", "-", side.name)[:NAMED] for side in (found.left, found.right)]
    return write_page(out / f"compare-{'-'.join(names)}", page)


def lines(found: Comparison) -> list[str]:
    """What a terminal shows: the systems, the result, what to know before believing it, and some questions."""
    sides = zip("AB", (found.left, found.right), found.means, strict=True)
    shown = [
        f"{letter}  {shorten(side.label, NAMED):<{NAMED}}  {found.metric.name} {mean}" for letter, side, mean in sides
    ]
    shown += ["", headline(found), _sentence(found), _counts(found), *(f"! {mark}" for mark in found.marks)]
    for one in found.disagreements(SPOKEN):
        answers = f"; accepted: {_accepted(found, one, 40)}" if found.left.examples else ""
        shown += ["", f"{found.gain(one):+.{_digits(found)}f}  {_query(found, one, 90)}{answers}"]
        shown += [
            f"     {x}: {_predicted(side, one, 80)}" for x, side in zip("AB", (found.left, found.right), strict=True)
        ]
    return shown


def headline(found: Comparison) -> str:
    """The result in one line."""
    metric, data = name_of(found.metric.name), found.left.data
    if found.p > LEVEL or not found.difference.mean:
        return f"A and B cannot be told apart on {data}: {metric} of A − B is {_signed(found)}"
    higher = found.difference.mean > 0
    better, worse = ("A", "B") if higher == (found.metric.direction == "higher") else ("B", "A")
    return f"{better} is better than {worse} on {data}: {metric} of A − B is {_signed(found)}"


def _signed(found: Comparison) -> str:
    return f"{found.difference.mean:+.{_digits(found)}f}"


def _digits(found: Comparison) -> int:
    return 1 if found.metric.unit == "%" else 3


def _sentence(found: Comparison) -> str:
    low, high, digits = found.difference.low, found.difference.high, _digits(found)
    interval = (
        "no interval" if low is None or high is None else f"95 % interval {low:+.{digits}f} to {high:+.{digits}f}"
    )
    text = f"A − B {_signed(found)}, {interval}, {p_text(found.p)}, n = {len(found.values):,}."
    seen = f" A true difference of {found.smallest:.{digits}f} would show (power 0.8)." if found.smallest else ""
    return text + seen


def _counts(found: Comparison) -> str:
    wins, ties, losses = found.outcomes
    return f"A is better on {wins:,} questions, B on {losses:,}; {ties:,} are ties."


def _systems(found: Comparison) -> Table:
    """The two systems and their difference."""
    columns = [Column("system", numeric=False), *map(Column, (found.metric.name, "better on", "n", "p"))]
    columns += [Column("data", numeric=False), Column("name", numeric=False)]
    wins, ties, losses = found.outcomes
    rows = []
    for letter, side, mean, better in zip("AB", (found.left, found.right), found.means, (wins, losses), strict=True):
        numbers = (estimated(mean), number(better, 0), number(mean.n, 0), Cell(NOTHING))
        cells = (Cell(f"{letter}: {side.label}"), *numbers, Cell(side.data), Cell(side.name))
        rows.append(Row(cells, hint=hint(side.run) if side.run else ""))
    numbers = (estimated(found.difference), Cell(f"{ties:,} ties"), number(found.difference.n, 0), number(found.p, 4))
    rows.append(Row((Cell("A − B, paired"), *numbers, Cell(NOTHING), Cell(NOTHING)), strong=True))
    notes = (
        "Paired permutation test with 9,999 sign flips by entity, on the questions that both have; p is at least "
        "0.0001, and not corrected for other comparisons. Intervals: BCa bootstrap, 95 %.",
    )
    return Table("The two systems", tuple(columns), tuple(rows), notes, name="systems", ordered=True)


def _overview(found: Comparison, ids: Sequence[str]) -> Table:
    total = sum(found.outcomes[::2])
    lead = f"{len(ids)} of {total:,} questions on which the two differ; equal ones by the digest of the id. "
    lead += f"A and B: {found.metric.name}. Below, each with the passages that both read."
    return _questions(found, ids, f"The {len(ids)} largest disagreements", lead)


def _questions(found: Comparison, ids: Sequence[str], title: str = "Questions", lead: str = "") -> Table:
    """A row a question: accepted answers, both predictions, both values."""
    texts = ("question", "accepted answers", "prediction of A", "prediction of B")
    columns = (
        *(Column(head, numeric=False) for head in texts),
        *map(Column, "AB"),
        Column("A − B"),
    )
    columns = (*columns, Column("id", numeric=False, shown=False))
    rows = []
    for one in ids:
        cells = [Cell(_query(found, one)), Cell(_accepted(found, one))]
        cells += [Cell(_predicted(side, one)) for side in (found.left, found.right)]
        left, right = found.values[one]
        rows.append(Row((*cells, *(number(value, _digits(found)) for value in (left, right, left - right)), Cell(one))))
    return Table(title, columns, tuple(rows), name="disagreements", lead=lead)


def _beside(found: Comparison, one: str, left: Sequence[Passage], right: Sequence[Passage]) -> Table:
    """A question with both predictions and what each system read, side by side."""
    columns = (Column("", numeric=False), Column("A", numeric=False), Column("B", numeric=False))
    sides = (found.left, found.right)
    rows = [Row((Cell("prediction"), *(Cell(_predicted(side, one)) for side in sides)))]
    rows.append(Row((Cell(found.metric.name), *(Cell(f"{value:.{_digits(found)}f}") for value in found.values[one]))))
    rows.append(Row((Cell("log p(y|x)"), *(Cell(_log_prob(side, one)) for side in sides))))
    places = {passage.passage_id: z for z, passage in enumerate(left, 1)}
    for z in range(min(max(len(left), len(right)), PASSAGES)):
        first = Cell(passage_text(left[z], ": ")) if z < len(left) else Cell(NOTHING)
        second = Cell(NOTHING)
        if z < len(right):
            same = places.get(right[z].passage_id)
            second = Cell(f"the same as passage {same} of A" if same else passage_text(right[z], ": "))
        rows.append(Row((Cell(f"passage {z + 1}"), first, second)))
    lead = f"{found.gain(one):+.{_digits(found)}f} for A. Accepted: {_accepted(found, one)}"
    more = max(len(left), len(right)) - PASSAGES
    notes = (f"{more} more passages were read.",) if more > 0 else ()
    return Table(shorten(_query(found, one), 200), columns, tuple(rows), notes, lead=lead, folded=True, ordered=True)


def _query(found: Comparison, one: str, longest: int | None = None) -> str:
    example = found.left.examples.get(one) or found.right.examples.get(one)
    text = example.query if example else f"question {one}"
    return shorten(text, longest) if longest else text


def _accepted(found: Comparison, one: str, longest: int | None = None) -> str:
    example = found.left.examples.get(one) or found.right.examples.get(one)
    text = "; ".join(example.answers) if example else NOT_STORED
    return shorten(text, longest) if longest else text


def _predicted(side: Side, one: str, longest: int | None = None) -> str:
    text = side.predictions[one].text or NO_TEXT if one in side.predictions else NOT_STORED
    return shorten(text, longest) if longest else text


def _log_prob(side: Side, one: str) -> str:
    return f"{side.predictions[one].log_prob:.3f}" if one in side.predictions else NOTHING


def _chart(found: Comparison) -> Chart:
    """Wins, ties and losses as one bar, each labelled at its own place above it."""
    wins, ties, losses = found.outcomes
    parts = (("A better", wins, COLOURS[0]), ("same", ties, LINE), ("B better", losses, COLOURS[1]))
    words = ", ".join(f"{text} {count:,}" for text, count, _ in parts)

    def draw(axes: Axes) -> None:
        start = 0
        for place, (text, count, colour) in enumerate(parts):
            axes.barh([0], [count], left=start, color=colour, height=0.5)
            at = len(found.values) * place / 2
            side = ("left", "center", "right")[place]
            axes.annotate(f"{text}: {count:,}", (at, 0.36), ha=side, color=INK, fontsize=9.5)
            start += count
        axes.set_xlim(0, start)
        axes.set_ylim(-0.3, 0.6)
        axes.axis("off")

    panel = Panel(f"Questions by {found.metric.name}", words, draw)
    return Chart("outcomes", "Wins, ties and losses", (panel,), width=4.6, height=1.25, margins=(0.1, 0.1, 0.1, 0.4))


def _json(found: Comparison, ids: Sequence[str], read: Sequence[Mapping[str, Sequence[Passage]]]) -> str:
    """The comparison for programs."""
    wins, ties, losses = found.outcomes
    sides = {
        letter: {"name": side.name, "label": side.label, "scores": side.artifact.digest, "mean": asdict(mean)}
        for letter, side, mean in zip("AB", (found.left, found.right), found.means, strict=True)
    }
    whole: dict[str, Any] = {"schema": 1, "metric": found.metric.name, **sides, "difference": asdict(found.difference)}
    whole |= {"p": found.p, "smallest": found.smallest, "wins": wins, "ties": ties, "losses": losses}
    whole |= {"n": len(found.values), "marks": list(found.marks), "disagreements": []}
    for one in ids:
        row: dict[str, Any] = {"id": one, "question": _query(found, one), "accepted": _accepted(found, one)}
        for letter, side, passages, value in zip("AB", (found.left, found.right), read, found.values[one], strict=True):
            row[letter] = {"prediction": _predicted(side, one), "value": value}
            row[letter]["passages"] = [passage.passage_id for passage in passages.get(one, ())]
        whole["disagreements"].append(row)
    return json.dumps(whole, indent=1, ensure_ascii=True) + "\n"
