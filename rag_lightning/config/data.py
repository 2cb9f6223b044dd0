"""The sections of a configuration that say what is asked, and over which passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from rag_lightning.config.bounds import NonNegativeInt, PositiveInt
from rag_lightning.config.fields import Section, setting
from rag_lightning.config.registries import TASKS

Quoting = Literal["csv", "none"]


@dataclass(frozen=True)
class TaskConfig(Section):
    """What is asked: the task and its data.

    Args:
        name: The task.
        dataset: Label of the data in every table and run; mini-nq and nq-subset are never called nq.
        source: `hub:` for the task's own data set of the hub, hub:NAME[:CONFIG] for another of its layout, or hub: and
            a local folder; empty for files or mini.
        train: Files of training examples, empty for the scale's own data.
        dev: File of development examples.
        test: File of test examples.
        limit: Examples of dev and of test that are kept, 0 for all; for smoke runs.
        train_limit: Training examples that are kept, drawn by the seed, 0 for all; a smaller draw is part of a larger
            one. For learning curves. Questions that the reader takes from another task are all kept.
        fallback: Keep rows that lack the kind of answer the task asks for with what they have instead, counted
            (msmarco: `answers` where there is no well-formed one).
        seed: Seed of mini questions and of held-out splits; null takes the experiment's, so that trainings with several
            seeds are asked the same questions only where this is given.
    """

    PATH: ClassVar[str] = "task"
    STAGES: ClassVar[tuple[str, ...]] = ("examples",)

    name: str = setting("nq", stages=("examples", "targets", "reader", "model", "scores"), names=TASKS)
    dataset: str = setting("mini-nq", digest="never")
    source: str = setting("", digest="by content")
    train: tuple[str, ...] = setting((), digest="by content")
    dev: str = setting("", digest="by content")
    test: str = setting("", digest="by content")
    limit: NonNegativeInt = setting(0, stages=("bm25_scale", "model", "rankings", "predictions", "scores"))
    train_limit: NonNegativeInt = 0
    fallback: bool = False
    seed: int | None = None


@dataclass(frozen=True)
class CorpusConfig(Section):
    """The passages.

    Args:
        source: `mini`, a file (DPR TSV, plain or .gz, or JSONL with id, title, text), or hub:NAME:CONFIG.
        limit: Passages that are kept, 0 for all; for smoke runs.
        quoting: Quotes of a TSV: csv, as in DPR's file; none where a double quote is a character like any other.
    """

    PATH: ClassVar[str] = "corpus"
    STAGES: ClassVar[tuple[str, ...]] = ("corpus",)

    source: str = setting("mini", digest="by content")
    limit: NonNegativeInt = setting(0, stages=("corpus", "examples"))
    quoting: Quoting = "csv"


@dataclass(frozen=True)
class TargetsConfig(Section):
    """Where training targets are looked for, in tasks whose answers are not targets as they stand.

    Args:
        k: Passages of a training question that are searched, all where the corpus has fewer.
        retriever: What ranks them; dense searches the flat index with the query encoder as it is before training.
    """

    PATH: ClassVar[str] = "targets"
    STAGES: ClassVar[tuple[str, ...]] = ("targets",)

    k: PositiveInt = 1000
    retriever: Literal["bm25", "dense"] = "bm25"
