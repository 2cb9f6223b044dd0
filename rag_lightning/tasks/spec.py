"""The definition of a task. Metrics are named, not imported, so that a task stays data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rag_lightning.config.registries import TASKS
from rag_lightning.core.records import Example
from rag_lightning.tasks.examples import Reading, to_reading
from rag_lightning.tasks.hub import HubSource
from rag_lightning.tasks.layout import Layout, find_layout, rows
from rag_lightning.tasks.qa_layouts import named_row

QA_METRICS = ("em", "f1", "answer_recall@1", "answer_recall@5", "answer_recall@20", "mrr")


@dataclass(frozen=True)
class TaskSpec:
    """One task of the paper.

    Args:
        name: Its name in configs and tables.
        title: Its name in the paper's tables.
        citation: Where the data comes from.
        licence: Licence of the data.
        layouts: The file formats it is read from.
        metrics: Names in the registry of metrics; the first is the objective.
        counts: Examples of the full data set by split, to tell a whole file from a part.
        labels: Labels of a classification task; every answer is one of them, spelled as here.
        mine: How stage `targets` makes training targets of answers: present keeps those that stand in a retrieved
            passage, regex takes the string that the pattern matches most often; "" takes the answers as they are.
        printed: Counts as the paper's Table 7 prints them; mostly one too high, as if a header had been counted.
        hub: Its data set on the hub, None where there is none.
        mini: "module:function" that builds its mini data; empty where there is none.
    """

    name: str
    title: str
    citation: str
    licence: str
    layouts: tuple[Layout, ...]
    metrics: tuple[str, ...] = QA_METRICS
    counts: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    mine: Literal["", "present", "regex"] = ""
    printed: Mapping[str, int] = field(default_factory=dict)
    hub: HubSource | None = None
    mini: str = ""

    @property
    def extractive(self) -> bool:
        """Whether answers are looked for in passages: the objective is an exact match."""
        return self.metrics[0].partition("_")[0] == "em"

    def read(self, path: Path | str, unanswered: bool = False) -> list[Example]:
        """The examples of a file; see `reading`."""
        return self.reading(path, unanswered=unanswered).examples

    def reading(
        self,
        path: Path | str,
        fallback: bool = False,
        columns: Mapping[str, str] | None = None,
        unanswered: bool = False,
    ) -> Reading:
        """Read a file; its layout is recognised by its content.

        Exact duplicates are kept, under ids of their own. An id is the file's own, or made from the question, so that
        it does not change when rows are added or moved.

        Args:
            path: A file, plain or compressed, or a folder or archive of rows (`core/rows.py`).
            fallback: Whether to keep the other answers of a row that has no preferred one (`task.fallback`).
            columns: Names of the columns, for rows in a format of their own (`task.columns`).
            unanswered: Whether to keep questions without answers that have gold passages, to score retrieval.

        Raises:
            DataError: missing, empty or damaged file, an unknown or mixed layout, a bad row, two rows with one id.
        """
        path = Path(path)
        layout = self.named(columns) if columns else find_layout(path, self.layouts)
        return to_reading(path, layout.read(path), layout.name, fallback, unanswered)

    def named(self, columns: Mapping[str, str]) -> Layout:
        """The layout of rows whose columns are named by `task.columns`."""
        return rows("named columns", {}, named_row(columns, self.labels))

    def count_notes(self, split: str, found: int) -> dict[str, int]:
        """The expected and the printed number of examples of a split where it has another number; else nothing."""
        expected = self.counts.get(split, found)
        if expected == found:
            return {}
        notes = {f"{split} expected, the whole data set": expected}
        return notes | ({f"{split} printed in the paper": self.printed[split]} if split in self.printed else {})


def get_task(name: str) -> TaskSpec:
    """The task of a name.

    Raises:
        UnknownNameError: no such task; the message offers the nearest.
    """
    task: TaskSpec = TASKS.get(name)
    return task
