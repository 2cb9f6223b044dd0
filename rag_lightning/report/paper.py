"""The published numbers (reports/paper.yaml), read and checked.

Compare first, then render: the verdict of one cell beside the paper's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rag_lightning.config.presets import settings_of
from rag_lightning.config.registries import DECODINGS, RETRIEVERS, TASKS
from rag_lightning.config.yaml_files import build, read_yaml
from rag_lightning.core.errors import DataError
from rag_lightning.core.registry import check_name
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.printed import Count, Example, PaperTable, Posterior, Published, Series, Statement

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Paper:
    """The file of published numbers.

    Args:
        schema: Version of the layout.
        tolerances: Metric -> how near counts as reproduced, in its unit.
        sizes: Data set -> split -> examples.
        settings: System -> kind of task -> k and decoding.
        tables: Id -> table.
        counts: Table 7.
        series: Figure 3.
        examples: Table 3.
        posterior: Figure 2.
        statements: Id -> number of the text.
        slips: Place -> what is wrong there.
    """

    schema: int
    tolerances: Mapping[str, float]
    sizes: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Mapping[str, str]]
    tables: Mapping[str, PaperTable]
    counts: tuple[Count, ...]
    series: tuple[Series, ...]
    examples: tuple[Example, ...]
    posterior: Posterior
    statements: Mapping[str, Statement]
    slips: Mapping[str, str]

    @cached_property
    def numbers(self) -> tuple[Published, ...]:
        """Every number of tables and of Figure 3, with what it was measured on."""
        return (*self._of_tables(), *self._of_counts(), *self._of_series())

    def _of_tables(self) -> Iterator[Published]:
        for name, table in self.tables.items():
            for system, values in table.rows.items():
                for column, value in zip(table.columns, values, strict=True):
                    if value is not None:
                        where = (column.dataset, column.split, column.metric, column.unit)
                        yield Published(name, system, *where, float(value))

    def _of_counts(self) -> Iterator[Published]:
        for row in self.counts:
            for system, values in (("printed", row.printed), ("actual", row.actual)):
                for split, value in zip(SPLITS, values, strict=True):
                    if value is not None:
                        yield Published("table7", system, row.dataset, split, "instances", "", float(value))

    def _of_series(self) -> Iterator[Published]:
        for line in self.series:
            where = (line.id, line.system, line.dataset, line.split, line.metric, line.unit)
            for k, point in line.points.items():
                yield Published(*where, point[-1], int(k), int(point[0]) if len(point) == 2 else None)

    def find(self, system: str, dataset: str, split: str, metric: str) -> Published | None:
        """The number of a system on a split, None if the paper prints none."""
        wanted = (system, dataset, split, metric)
        found = (n for n in self.numbers if (n.system, n.dataset, n.split, n.metric) == wanted and n.k is None)
        return next(found, None)

    def table_of(self, dataset: str) -> str:
        """The first table with a column for the data set, else the first table."""
        found = (n.source for n in self.numbers if n.dataset == dataset and n.source in self.tables)
        return next(found, next(iter(self.tables)))


def read_paper(path: Path) -> Paper:
    """Read reports/paper.yaml.

    Raises:
        DataError: missing, not YAML, a missing or wrong field, or a row of a wrong length.
        UnknownNameError: a field that is none, or a slip about a row or column that its table has not.
    """
    paper = build(Paper, read_yaml(path), path)
    for name, table in paper.tables.items():
        _check_table(path, name, table)
    for row in paper.counts:
        if not len(row.printed) == len(row.actual) == len(SPLITS):
            raise DataError(path, "must be train, dev and test", field=f"counts.{row.dataset}")
        _check_numbers(path, f"counts.{row.dataset}.actual", row.actual)
    for line in paper.series:
        for k, point in line.points.items():
            if not k.isdigit() or len(point) not in (1, 2):
                problem = "must be k: [value] or k: [count, value]"
                raise DataError(path, problem, field=f"{line.id}.{line.system}.{k}", value=list(point))
    shape = [len(row) for row in paper.posterior.values]
    if shape != [len(paper.posterior.passages)] * len(paper.posterior.tokens):
        raise DataError(path, "must have a row per token, with a number per passage", field="posterior.values")
    return paper


def _check_table(path: Path, name: str, table: PaperTable) -> None:
    for system, values in table.rows.items():
        if len(values) != len(table.columns):
            problem = f"has {len(values)} numbers for {len(table.columns)} columns"
            raise DataError(path, problem, field=f"{name}.{system}")
        _check_numbers(path, f"{name}.{system}", values)
    for slip in table.slips:
        for kind, about, known in (("row", slip.row, list(table.rows)), ("column", slip.column, list(table.heads))):
            if about:
                check_name(f"{kind} in tables.{name}.slips of {path}", about, known)


def _check_numbers(path: Path, field: str, values: tuple[Any, ...]) -> None:
    for value in values:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DataError(path, "must be a number or null", field=field, value=value)


NAMES = {"rag_token": "RAG-Token", "rag_sequence": "RAG-Sequence", "fid": "FiD"}
Verdict = Literal["reproduced", "different", "not comparable", "not run"]


@dataclass(frozen=True, slots=True)
class Where:
    """The setting of a measured number; `held_out` as `is_held_out` says."""

    system: str
    dataset: str
    scale: str
    split: str
    metric: str
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """One cell: the verdict, its reason, and the difference in the metric's unit if comparable."""

    verdict: Verdict
    why: str = ""
    paper_value: float | None = None
    difference: float | None = None
    tolerance: float | None = None

    def __str__(self) -> str:
        return f"{self.verdict} ({self.why})" if self.why else self.verdict


def paper_system(config: Mapping[str, Any]) -> str:
    """The paper's name for one of our experiments: RAG-Token, RAG-Sequence-BM25, RAG-Token-Frozen, BART.

    The paper's BM25 row is trained with BM25; a retriever that was swapped in at test, an oracle, chance and a null
    document have no row there, and get names of their own, as has what differs from the training of the scale in its
    distractor loss or in a warm-up of the retriever.
    """
    if config["formulation"] == "closed_book":
        strategy = str(config["decoding"]["strategy"])
        trivial = strategy in DECODINGS and DECODINGS.get(strategy).from_train
        return f"trivial, {DECODINGS.get(strategy).title}" if trivial else "BART"
    if config["decoding"]["strategy"] == "first_entity":
        return "no reader"
    name = NAMES.get(str(config["formulation"]), str(config["formulation"]))
    train = config.get("train", {})
    name += _trained_otherwise(config)
    retriever = config["retriever"]
    kind, trained_with = retriever["kind"], retriever.get("trained_with", "same")
    trained = kind if trained_with == "same" else trained_with
    if retriever.get("null_document", "none") != "none":
        name += " with a null document"
    title = RETRIEVERS.get(kind).title if kind in RETRIEVERS else kind
    if kind != trained:
        return f"{name}, {title} swapped in"
    if kind != "dense":
        return f"{name}-BM25" if kind == "bm25" else f"{name}, {title}"
    if config["formulation"] == "fid":
        return name  # which trains no retriever
    frozen = retriever.get("train") is False or train.get("retriever_lr") == 0
    return f"{name}-Frozen" if frozen else name


def _trained_otherwise(config: Mapping[str, Any]) -> str:
    """How the training differs from that of the scale, as the end of a name; empty if it does not."""
    known = {"scale": config.get("scale", "mini"), "task.name": config.get("task", {}).get("name", "nq")}
    usual = {name: setting.value for name, setting in settings_of("ours", known).items()}
    loss = config.get("train", {}).get("distractor_loss", "none")
    as_usual = loss == usual.get("train.distractor_loss", "none")
    ending = "" if as_usual else f" {'without' if loss == 'none' else 'with'} a distractor loss"
    if usual.get("retriever_warmup.steps") == 0 and config.get("retriever_warmup", {}).get("steps"):
        ending += ", retriever warmed up"
    return ending


def paper_dataset(dataset: str) -> str:
    """The paper's data set that corresponds to one of ours: mini-nq and nq-subset -> nq."""
    return dataset.removeprefix("mini-").removesuffix("-subset")


def paper_split(dataset: str, split: str) -> str:
    """The paper's split that corresponds to one of ours.

    TriviaQA's test is the open-domain test set. MS MARCO's is hidden: its published dev stands in for it.
    """
    if (dataset, split) == ("msmarco", "test"):
        return "dev"
    return "test-open" if (paper_dataset(dataset), split) == ("triviaqa", "test") else split


def is_held_out(config: Mapping[str, Any], split: str) -> bool:
    """Whether a split is held out of train: no file gives it, and of the hub's data it is dev and the task has none."""
    task = config.get("task", {})
    if not task.get("source"):
        return split in ("dev", "test") and bool(task.get("train")) and not task.get(split)
    hub = TASKS.get(task["name"]).hub
    return split == "dev" and hub is not None and not hub.dev


def paper_metric(metric: str) -> str:
    """The paper's metric that corresponds to one of ours; the paper does not define EM for regular expressions."""
    return "em" if metric == "em_regex" else metric


def compare(paper: Paper, where: Where, ours: Estimate | None, why_not: str = "") -> Compared:
    """The verdict of one cell.

    Args:
        paper: The published numbers.
        where: What ours was measured on.
        ours: Our estimate, None if there is none.
        why_not: Why there is none.
    """
    where = replace(where, split=paper_split(where.dataset, where.split), metric=paper_metric(where.metric))
    published = paper.find(where.system, paper_dataset(where.dataset), where.split, where.metric)
    value = published.value if published else None
    if ours is None:
        return Compared("not run", why_not or "no such run in this sweep", value)
    difference = None if value is None else ours.mean - value
    reason = _obstacle(paper, where, ours, published)
    if reason or difference is None:
        return Compared("not comparable", reason, value)
    tolerance = paper.tolerances[where.metric]
    near = abs(difference) <= tolerance
    return Compared("reproduced" if near else "different", "", value, difference, tolerance)


def _obstacle(paper: Paper, where: Where, ours: Estimate, published: Published | None) -> str:
    """The reason why our number is not comparable with the paper's; empty if it is."""
    size = paper.sizes.get(where.dataset, {}).get(where.split)
    obstacles = {
        "mini corpus": where.dataset.startswith("mini"),
        "corpus holds the gold passages": where.dataset.endswith("-subset"),
        f"{where.dataset} is not a data set of the paper": where.dataset not in paper.sizes,
        f"scale is {where.scale}, not paper": where.scale != "paper",
        f"the paper has no such number for {where.system}": published is None,
        f"{where.split} is held out of train, not the published one": where.held_out,
        "size not published": size is None,
        f"{ours.n:,} of {size or 0:,} examples": ours.n != size,
        f"no tolerance is set for {where.metric}": where.metric not in paper.tolerances,
    }
    return next((reason for reason, holds in obstacles.items() if holds), "")
