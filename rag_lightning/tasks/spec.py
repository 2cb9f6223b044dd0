"""What a task is, and which there are. Metrics are named, not imported, so that a task stays data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rag_lightning.core.records import Example
from rag_lightning.core.registry import Registry

QA_METRICS = ("em", "f1", "answer_recall@1", "answer_recall@5", "answer_recall@20", "mrr")


@dataclass(frozen=True)
class TaskSpec:
    """One task of the paper.

    Args:
        name: As in configs and tables.
        title: As the paper prints it.
        citation: Where the data comes from.
        read: File -> examples, any format of the task.
        metrics: Names that the metric registry knows; the first is the objective.
        counts: Examples of the full data set by split, to tell a whole file from a part.
        labels: Of a classification task: every answer is one of them, as written here.
        mine: How stage `targets` makes training targets of answers: present keeps those that stand in a retrieved
            passage, regex takes the string that the pattern matches most often; "" takes the answers as they are.
    """

    name: str
    title: str
    citation: str
    read: Callable[[Path], list[Example]]
    metrics: tuple[str, ...] = QA_METRICS
    counts: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    mine: Literal["", "present", "regex"] = ""

    @property
    def extractive(self) -> bool:
        """Whether answers are looked for in passages: the objective is an exact match."""
        return self.metrics[0].partition("_")[0] == "em"


TASKS = Registry(
    "task",
    {
        "nq": "rag_lightning.tasks.open_qa:NATURAL_QUESTIONS",
        "web_questions": "rag_lightning.tasks.open_qa:WEB_QUESTIONS",
    },
)


def get_task(name: str) -> TaskSpec:
    """The task of a name.

    Raises:
        UnknownNameError: no such task; the message offers the nearest.
    """
    task: TaskSpec = TASKS.get(name)
    return task
