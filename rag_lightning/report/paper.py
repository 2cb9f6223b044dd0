"""The published numbers (reports/paper.yaml), read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rag_lightning.core.errors import DataError
from rag_lightning.core.yaml_text import plain_values

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
    """All published numbers, how near counts as reproduced, and how large the data sets are."""

    numbers: tuple[Published, ...]
    tables: Mapping[str, PaperTable]
    tolerances: Mapping[str, float]
    sizes: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Mapping[str, str]]

    def find(self, system: str, dataset: str, split: str, metric: str) -> Published | None:
        """The table's number of a system on a split, if the paper prints one."""
        wanted = (system, dataset, split, metric)
        found = (n for n in self.numbers if (n.system, n.dataset, n.split, n.metric) == wanted and n.k is None)
        return next(found, None)

    def table_of(self, dataset: str) -> str:
        """The first table with a column of the data set, the first of all where none has one."""
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
        raise DataError(path, "is missing", hint="it is reports/paper.yaml of the project; give its path") from error
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
