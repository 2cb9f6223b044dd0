"""Numbers published after the paper (reports/later.yaml), read and checked, and beside a sweep's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag_lightning.config.yaml_files import build, read_yaml
from rag_lightning.core.errors import DataError
from rag_lightning.core.registry import check_name
from rag_lightning.report.answer import hint
from rag_lightning.report.collect import Run, Sweep
from rag_lightning.report.paper import paper_metric, paper_split
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number


@dataclass(frozen=True, slots=True)
class Source:
    """Where numbers were read.

    Args:
        title: Name of the page.
        url: Its address.
        revision: Commit or date of what was read; empty if the page has none.
        kind: Who states the numbers; those of a leaderboard are second hand.
    """

    title: str
    url: str
    revision: str
    kind: Literal["repository", "model card", "issue", "leaderboard"]


@dataclass(frozen=True, slots=True)
class LaterRow:
    """The numbers of one system. Empty: the source does not say.

    Args:
        system: Name for tables.
        values: Metric -> number, in %.
        source: Id of the source.
        place: Table, section or condition in the source.
        encoder: Encoder of queries and passages.
        settings: Parameters of BM25 and of fusion, kind of index.
        k: Passages that are read; 0 if none or not stated.
        size: Parameters of the reader, or bytes of the index.
        training: What it was trained on; empty if on the data set's training questions, or if it needs no training.
        note: What a reader of the number must know.
        must_reach: Whether a correct index reaches the row.
    """

    system: str
    values: Mapping[str, float]
    source: str
    place: str
    encoder: str = ""
    settings: str = ""
    k: int = 0
    size: str = ""
    training: str = ""
    note: str = ""
    must_reach: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that share data set, split, questions and corpus; those of different blocks are not comparable.

    Args:
        id: Name for references.
        title: Printed above the table.
        task: What the numbers measure.
        dataset: Data set, as tasks call it.
        split: Split.
        metrics: Metrics of the columns, with cut-off.
        rows: The rows.
        topics: File or selection of questions; empty if not stated.
        n: Questions, 0 if not stated.
        corpus: Id of the corpus; empty if not stated, or if each row has its own.
        caution: What else keeps rows apart.
    """

    id: str
    title: str
    task: Literal["retrieval", "answers"]
    dataset: str
    split: str
    metrics: tuple[str, ...]
    rows: tuple[LaterRow, ...]
    topics: str = ""
    n: int = 0
    corpus: str = ""
    caution: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """Well-known numbers that could not be read at their source."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """All later numbers.

    Args:
        schema: Version of the layout.
        sources: Id -> source.
        metrics: Name without cut-off -> definition.
        corpora: Id -> description.
        tolerances: Metric without cut-off -> by how much a number may fall short of a row that must be reached.
        blocks: The numbers.
        unread: What is missing, and why.
    """

    schema: int
    sources: Mapping[str, Source]
    metrics: Mapping[str, str]
    corpora: Mapping[str, str]
    tolerances: Mapping[str, float]
    blocks: tuple[Block, ...]
    unread: tuple[Unread, ...]

    def targets(self, dataset: str, split: str) -> Iterator[tuple[Block, LaterRow]]:
        """The rows that a correct index must reach on a split, with their blocks."""
        for block in self.blocks:
            if (block.dataset, block.split) == (dataset, split):
                yield from ((block, row) for row in block.rows if row.must_reach)

    def shortfall(self, row: LaterRow, ours: Mapping[str, float]) -> dict[str, float]:
        """Metric -> by how much ours, in %, is below the row's number, where that is more than the tolerance.

        Only a number of the same questions, corpus, encoder and settings can be held against a row.
        """
        below = {name: value - ours[name] for name, value in row.values.items() if name in ours}
        return {name: gap for name, gap in below.items() if gap > self.tolerances.get(metric_base(name), 0.0)}


def metric_base(name: str) -> str:
    """A metric's name without its cut-off.

    >>> metric_base("answer_recall@20")
    'answer_recall'
    """
    return name.partition("@")[0]


def read_later(path: Path) -> Later:
    """Read reports/later.yaml.

    Raises:
        DataError: missing, not YAML, a missing or wrong field, a number that is no percentage, an id given twice, or an
            address that is none.
        UnknownNameError: a source, corpus or metric that the file does not define.
    """
    later = build(Later, read_yaml(path), path)
    if later.schema != 1:
        raise DataError(path, "is of another version of the layout, 1 is known", field="schema", value=later.schema)
    for name, source in later.sources.items():
        if not source.url.startswith("https://"):
            raise DataError(path, "must begin with https://", field=f"sources.{name}.url", value=source.url)
    for name in later.tolerances:
        check_name(f"metric in tolerances of {path}", name, list(later.metrics))
    seen: set[str] = set()
    for block in later.blocks:
        if block.id in seen:
            raise DataError(path, "is given twice", field="blocks.id", value=block.id)
        seen.add(block.id)
        _check_block(path, later, block)
    return later


TASKS = {"answers": "answers", "retrieval": "how often an answer is found"}
"""Task of a block -> what a table of it shows."""


def later_tables(later: Later, sweep: Sweep, runs: Sequence[Run]) -> list[Table]:
    """What others published on the test questions of a sweep by its metrics, below its best system.

    A mini data set shares no question with any of them and has none.

    Args:
        later: The numbers.
        sweep: The sweep.
        runs: Its runs on test with the objective, best first.
    """
    dataset = sweep.dataset.removesuffix("-subset")
    split = paper_split(dataset, "test")
    found = []
    for task, shows in TASKS.items():
        blocks = [b for b in later.blocks if (b.task, b.dataset, b.split) == (task, dataset, split)]
        ours = {name for run in runs for name in run.estimates} | {paper_metric(sweep.objective)}
        metrics = list(dict.fromkeys(name for block in blocks for name in block.metrics if name in ours))
        listed = [(block, row) for block in blocks for row in block.rows if set(metrics) & set(row.values)]
        most = max((block.n for block in blocks), default=0)
        listed.sort(key=lambda one: (one[0].n in (0, most), _first(one[1], metrics)), reverse=True)
        rows = [_later_row(later, *one, metrics) for one in listed]
        if rows:
            title = f"Published after the paper on {dataset} {split}: {shows}"
            columns = [Column("system", numeric=False), *map(Column, metrics), Column("k"), Column("n")]
            columns += [Column(head, numeric=False) for head in ("corpus", "read in")]
            own = [_own_row(sweep, run, metrics) for run in runs[:1]]
            found.append(Table(title, tuple(columns), (*own, *rows), _later_notes(sweep), lead=WARNING, folded=True))
    return found


WARNING = (
    "Numbers of other questions, corpora or models: they show what has been reached, and no verdict follows from them."
)


def _later_notes(sweep: Sweep) -> tuple[str, ...]:
    reasons = {
        "its corpus holds the gold passages of its questions": sweep.dataset.endswith("-subset"),
        f"its scale is {sweep.scale}, not paper": sweep.scale != "paper",
    }
    why = [reason for reason, holds in reasons.items() if holds]
    notes = [f"Not comparable with the sweep's own system: {' and '.join(why)}."] if why else []
    return (
        *notes,
        "Rows on a part of the test questions, told by n, stand last.",
        "All conditions of each number are in reports/later.yaml; the pointer on a row shows its notes.",
    )


def _own_row(sweep: Sweep, run: Run, metrics: Sequence[str]) -> Row:
    ours = {paper_metric(name): value for name, value in run.estimates.items()} | dict(run.estimates)
    n = run.estimates[sweep.objective].n
    cells = [Cell(f"here: {run.label}"), *(estimated(ours.get(name)) for name in metrics)]
    cells += [number(run.k, 0), number(n, 0), Cell(sweep.dataset), Cell(NOTHING)]
    return Row(tuple(cells), strong=True, hint=hint(run))


def _later_row(later: Later, block: Block, row: LaterRow, metrics: Sequence[str]) -> Row:
    cells = [Cell(row.system), *(number(row.values.get(name), 1) for name in metrics)]
    cells += [number(row.k or None, 0), number(block.n or None, 0), Cell(block.corpus or "see source")]
    cells.append(Cell(f"{later.sources[row.source].title}: {row.place}"))
    about = (block.title, row.encoder, row.settings, row.size, row.training, row.note, block.caution)
    return Row(tuple(cells), hint="\n".join(filter(None, about)))


def _first(row: LaterRow, metrics: Sequence[str]) -> float:
    """Its number of the first metric that it has, by which rows are sorted."""
    return next(row.values[name] for name in metrics if name in row.values)


def _check_block(path: Path, later: Later, block: Block) -> None:
    where = f"blocks.{block.id}"
    for name in block.metrics:
        check_name(f"metric in {where}.metrics of {path}", metric_base(name), list(later.metrics))
    if block.corpus:
        check_name(f"corpus in {where} of {path}", block.corpus, list(later.corpora))
    for i, row in enumerate(block.rows):
        field = f"{where}.rows[{i}]"
        check_name(f"source in {field} of {path}", row.source, list(later.sources))
        if not row.place:
            raise DataError(path, "is empty", field=f"{field}.place", hint="name the table or section of the source")
        if not row.values:
            raise DataError(path, "has no number", field=f"{field}.values")
        for name, value in row.values.items():
            check_name(f"metric in {field}.values of {path}", name, list(block.metrics))
            if not 0 <= value <= 100:
                raise DataError(path, "must be a percentage", field=f"{field}.values.{name}", value=value)
