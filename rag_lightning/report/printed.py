"""Records of what the paper prints: tables, figures, examples, and numbers of its text (reports/paper.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Column:
    """What a column of a table was measured on, and its head."""

    head: str
    dataset: str
    split: str
    metric: str
    unit: str


@dataclass(frozen=True, slots=True)
class Slip:
    """What is wrong in a table; about one cell, a row or a column where these are named, else about the table."""

    text: str
    row: str = ""
    column: str = ""


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table of the paper.

    Args:
        title: Number and title.
        columns: The columns.
        rows: System -> one number per column, None where the paper prints none.
        remarks: What a reader must know.
        conditions: How the numbers were made.
        slips: What is wrong in it.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Mapping[str, tuple[Any, ...]]
    remarks: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    slips: tuple[Slip, ...] = ()

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads of the columns."""
        return tuple(column.head for column in self.columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """All footnotes: remarks, conditions, and slips after the row and column that they are about."""
        slips = (", ".join(filter(None, (slip.row, slip.column))) or "the paper" for slip in self.slips)
        texts = (f"{where}: {slip.text}" for where, slip in zip(slips, self.slips, strict=True))
        return (*self.remarks, *self.conditions, *texts)


@dataclass(frozen=True, slots=True)
class Count:
    """A row of Table 7: printed and actual instances (None: unknown) of train, dev, test."""

    head: str
    dataset: str
    printed: tuple[int, ...]
    actual: tuple[Any, ...]
    source: str = ""
    slip: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A line of Figure 3: k -> (value,) or (count, value)."""

    id: str
    system: str
    dataset: str
    split: str
    metric: str
    unit: str
    points: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Example:
    """An output of Table 3, with the paper's mark."""

    task: str
    input: str
    system: str
    output: str
    mark: Literal["", "false", "partly true"] = ""


@dataclass(frozen=True, slots=True)
class Posterior:
    """Figure 2: `values` [T, K] is p(passage | input, tokens up to each)."""

    input: str
    passages: tuple[str, ...]
    tokens: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A number of the paper's text."""

    place: str
    text: str
    value: float
    unit: str
    conditions: str = ""


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
