"""The page of a hot-swap: the paper's four cells beside ours, and every question with its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import say
from rag_lightning.core.plain import clean
from rag_lightning.core.shipped import find_shipped
from rag_lightning.core.tables import Grid
from rag_lightning.metrics.answers import em, has_answer
from rag_lightning.metrics.metric import Estimate
from rag_lightning.metrics.statistics import bootstrap_interval, effective_clusters
from rag_lightning.mini.positions import Position
from rag_lightning.report.command import PAPER
from rag_lightning.report.page import Page, write_page
from rag_lightning.report.paper import read_paper
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number
from rag_lightning.stages.answer import Answer

Index = Literal["old", "new", "closed"]
Date = Literal["old", "new"]


Pair = tuple[Index, Date]
STATEMENTS: Mapping[Pair, str] = {
    ("old", "old"): "swap-2016-2016",
    ("new", "new"): "swap-2018-2018",
    ("new", "old"): "swap-2018-2016",
    ("old", "new"): "swap-2016-2018",
    ("closed", "old"): "",
    ("closed", "new"): "",
}
"""(index asked, holders of which date) -> the paper's number in paper.yaml; it has no closed book beside them."""
INDEXES: tuple[Index, ...] = ("old", "new", "closed")


@dataclass(frozen=True)
class Asked:
    """A position with the answer of the index of each date, and of closed book."""

    position: Position
    answers: Mapping[Index, Answer]

    def correct(self, index: Index, date: Date) -> float:
        """1 if the answer with an index is the holder of a date, else 0."""
        return em(self.answers[index].prediction.text, self.names(date))

    def recalled(self, index: Index, date: Date) -> float:
        """1 if one of the passages read with an index holds the holder of a date, else 0."""
        return float(any(has_answer(self.names(date), passage.text) for passage in self.answers[index].passages))

    def names(self, date: Date) -> tuple[str, ...]:
        """The accepted names of the holder of a date."""
        return (self.position.old if date == "old" else self.position.new).names


def estimate(values: Sequence[float], countries: Sequence[str], seed: int) -> Estimate:
    """The mean of values in percent, with its bootstrap interval over countries."""
    percent = [100 * value for value in values]
    low, high = bootstrap_interval(percent, countries, seed=seed)
    return Estimate(sum(percent) / len(percent), low, high, len(percent), "%", effective_clusters(countries))


@dataclass(frozen=True)
class Measured:
    """A cell: how often the answer is the holder, and how often a passage that was read holds the name."""

    exact: Estimate
    recall: Estimate


def cells(asked: Sequence[Asked], seed: int) -> dict[Pair, Measured]:
    """The values of every cell."""
    countries = [one.position.code for one in asked]
    return {
        (index, date): Measured(
            estimate([one.correct(index, date) for one in asked], countries, seed),
            estimate([one.recalled(index, date) for one in asked], countries, seed),
        )
        for index, date in STATEMENTS
    }


def published() -> dict[Pair, float | None]:
    """The paper's percentage of every cell, None where it has none.

    Raises:
        DataError: the file of published numbers is missing or damaged.
    """
    statements = read_paper(find_shipped(PAPER)).statements
    return {cell: float(statements[name].value) if name else None for cell, name in STATEMENTS.items()}


def show(
    place: Path,
    label: str,
    titles: tuple[str, str],
    asked: Sequence[Asked],
    left_out: Mapping[str, int],
    held_out: Mapping[str, int],
    config: ExperimentConfig,
) -> None:
    """Print the cells, and write the page.

    Args:
        place: Folder of the page.
        label: Label of the system.
        titles: Names of the older and newer edition.
        asked: The positions with their answers; at least one.
        left_out: Why other positions were not asked -> how many.
        held_out: What was left out of training and dev for the countries -> how many.
        config: The experiment.
    """
    found, paper = cells(asked, config.seed), published()
    names = {"old": titles[0], "new": titles[1], "closed": "closed book"}
    heads = ("index", "holders of", "EM", "95 % interval", "paper", f"in the {config.decoding.k} passages")
    grid = Grid(*heads, title=f"{label}, {len(asked)} positions", numeric=heads[2:])
    for (index, date), one in found.items():
        interval = f"[{one.exact.low:.1f}, {one.exact.high:.1f}]"
        read = NOTHING if index == "closed" else f"{one.recall.mean:.1f}"
        grid.add(names[index], names[date], f"{one.exact.mean:.1f}", interval, number(paper[index, date], 0).text, read)
    grid.show()
    counts = [(what, str(count)) for what, count in {**held_out, **left_out}.items()]
    page = Page(
        f"Hot-swap: {titles[0]} against {titles[1]}",
        [_table(found, paper, names, config)],
        answer=_answer(found, len(asked)),
        lead=["One model, trained once; only corpus and index under it were swapped."],
        facts={"system": label, "positions": str(len(asked)), "seed": str(config.seed)},
        details={"left out": counts},
        files={"answers.csv": _answers(asked, titles)},
    )
    say(f"page: {write_page(place, page)}")


def _answer(found: Mapping[Pair, Measured], count: int) -> str:
    pairs: tuple[tuple[Pair, Pair], ...] = ((("old", "old"), ("new", "new")), (("new", "old"), ("old", "new")))
    right, wrong = (" and ".join(f"{found[cell].exact.mean:.0f} %" for cell in pair) for pair in pairs)
    return f"{right} right with the index of the same date, {wrong} with that of the other date ({count} positions)"


def _table(
    found: Mapping[Pair, Measured],
    paper: Mapping[Pair, float | None],
    names: Mapping[str, str],
    config: ExperimentConfig,
) -> Table:
    columns = (
        Column("Index", numeric=False),
        Column("Holders of", numeric=False),
        Column("EM", bar=True),
        Column("Paper"),
        Column(f"In the {config.decoding.k} passages"),
        Column("n"),
    )
    rows = [
        (
            Cell(names[index]),
            Cell(names[date]),
            estimated(one.exact),
            number(paper[index, date], 0),
            Cell(NOTHING) if index == "closed" else estimated(one.recall),
            number(one.exact.n, 0),
        )
        for (index, date), one in found.items()
    ]
    notes = (
        "EM (%): exact match with any accepted form of the name; 95 % bootstrap intervals, countries as clusters.",
        "Paper: 82 world leaders, indexes of December 2016 and December 2018 (section 4.5); its list, model and "
        "scoring are not published, so that the numbers are not comparable.",
        f"In the {config.decoding.k} passages (%): how often a passage that was read holds the name.",
        "Every position with its answers: answers.csv beside this page.",
    )
    title = "Index of one date, holders of another"
    return Table(title, columns, tuple(map(Row, rows)), notes, name="hotswap", ordered=True)


def _answers(asked: Sequence[Asked], titles: tuple[str, str]) -> Table:
    heads = ("question", "country", *(f"holder {title}" for title in titles), *(f"index {title}" for title in titles))
    columns = tuple(Column(head, numeric=False) for head in (*heads, "closed book"))
    rows = [
        (
            one.position.question,
            one.position.country,
            one.names("old")[0],
            one.names("new")[0],
            *(clean(one.answers[index].prediction.text) for index in INDEXES),
        )
        for one in asked
    ]
    return Table("Questions and answers", columns, tuple(Row(tuple(map(Cell, row))) for row in rows))
