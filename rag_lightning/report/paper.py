"""The published numbers (reports/paper.yaml), read and checked.

Compare first, then render: the verdict of one cell beside the paper's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from rag_lightning.config.registries import RETRIEVERS
from rag_lightning.config.yaml_files import plain_values
from rag_lightning.core.errors import DataError
from rag_lightning.metrics.metric import Estimate

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Published:
    """One number of the paper.

    Args:
        source: Table or figure it stands in: `table1`, `figure3-left`.
        system: The paper's name of the system: `RAG-Token`, `RAG-Sequence-BM25`.
        dataset: Data set, as tasks call it.
        split: Split it was measured on.
        metric: Metric, without cut-off.
        unit: `%` or "".
        value: As printed.
        k: Passages, for points of a figure.
        count: Questions, where the number is a share of known counts.
    """

    source: str
    system: str
    dataset: str
    split: str
    metric: str
    unit: str
    value: float
    k: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table of the paper: `rows` maps a system to one number (or None) per head."""

    title: str
    heads: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Paper:
    """All published numbers, the tolerances of verdicts, and the sizes of the data sets."""

    numbers: tuple[Published, ...]
    tables: Mapping[str, PaperTable]
    tolerances: Mapping[str, float]
    sizes: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Mapping[str, str]]

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
        DataError: the file is missing, is not YAML, lacks a field, or a row has another length than its columns.
    """
    try:
        raw = plain_values(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "is missing", hint="it comes with the package; install that again") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(path, f"is not YAML: {error}") from error
    try:
        numbers = (*_from_tables(path, raw["tables"]), *_from_counts(raw["counts"]), *_from_series(raw["series"]))
        tables = {table["id"]: _table(table) for table in raw["tables"]}
        return Paper(numbers, tables, dict(raw["tolerances"]), dict(raw["data"]), dict(raw["settings"]))
    except KeyError as error:
        raise DataError(path, "a field is missing", field=str(error.args[0])) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(path, f"is not laid out as expected: {error}") from error


def _from_tables(path: Path, tables: list[dict[str, Any]]) -> Iterator[Published]:
    for table in tables:
        for system, values in table["rows"].items():
            if len(values) != len(table["columns"]):
                problem = f"has {len(values)} numbers for {len(table['columns'])} columns"
                raise DataError(path, problem, field=f"{table['id']}.{system}")
            for column, value in zip(table["columns"], values, strict=True):
                if value is not None:
                    where = {name: column[name] for name in ("dataset", "split", "metric", "unit")}
                    yield Published(source=table["id"], system=system, value=float(value), **where)


def _from_counts(counts: list[dict[str, Any]]) -> Iterator[Published]:
    for row in counts:
        for system in ("printed", "actual"):
            for split, value in zip(SPLITS, row[system], strict=True):
                if value is not None:
                    yield Published("table7", system, row["dataset"], split, "instances", "", float(value))


def _from_series(series: list[dict[str, Any]]) -> Iterator[Published]:
    for line in series:
        where = {name: line[name] for name in ("system", "dataset", "split", "metric", "unit")}
        for k, point in line["points"].items():
            count, value = point if isinstance(point, list) else (None, point)
            yield Published(source=line["id"], value=float(value), k=int(k), count=count, **where)


def _table(table: dict[str, Any]) -> PaperTable:
    heads = tuple(column["head"] for column in table["columns"])
    rows = {system: tuple(values) for system, values in table["rows"].items()}
    return PaperTable(table["title"], heads, rows, tuple(table.get("notes", ())))


NAMES = {"rag_token": "RAG-Token", "rag_sequence": "RAG-Sequence", "fid": "FiD"}
Verdict = Literal["reproduced", "different", "not comparable", "not run"]


@dataclass(frozen=True, slots=True)
class Where:
    """The setting of a measured number."""

    system: str
    dataset: str
    scale: str
    split: str
    metric: str


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
    document have no row there, and get names of their own.
    """
    if config["formulation"] == "closed_book":
        return "BART"
    if config["decoding"]["strategy"] == "first_entity":
        return "no reader"
    name = NAMES.get(str(config["formulation"]), str(config["formulation"]))
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
    frozen = retriever.get("train") is False or config.get("train", {}).get("retriever_lr") == 0
    return f"{name}-Frozen" if frozen else name


def paper_dataset(dataset: str) -> str:
    """The paper's data set that corresponds to one of ours: mini-nq and nq-subset -> nq."""
    return dataset.removeprefix("mini-").removesuffix("-subset")


def paper_split(dataset: str, split: str) -> str:
    """The paper's split that corresponds to one of ours; for TriviaQA test, the open-domain test set."""
    return "test-open" if (paper_dataset(dataset), split) == ("triviaqa", "test") else split


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
        f"{ours.n:,} of {size or 0:,} examples": size is not None and ours.n != size,
        f"no tolerance is set for {where.metric}": where.metric not in paper.tolerances,
    }
    return next((reason for reason, holds in obstacles.items() if holds), "")
