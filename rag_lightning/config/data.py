"""The sections of a configuration that say what is asked, and over which passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quoting = Literal["csv", "none"]


@dataclass(frozen=True)
class TaskConfig:
    """What is asked.

    Args:
        name: Task, one of those `rag-lightning doctor` lists.
        dataset: Label of the data in every table and run; mini-nq and nq-subset are never called nq.
        source: `hub:` for the task's own data set of the hub, hub:NAME[:CONFIG] for another of its layout, or hub: and
            a local folder; empty for files or mini.
        train: Files of training examples, empty for the scale's own data.
        dev: File of development examples.
        test: File of test examples.
        limit: Keep at most this many examples of each of dev and test, 0 for all; for smoke runs.
        train_limit: Train on this many of the training examples, drawn by the seed, 0 for all; fewer are part of more.
            For learning curves. Where warmup.task takes another task's questions for the reader, those are all kept.
        fallback: Keep rows that lack the kind of answer the task asks for with what they have instead, counted
            (msmarco: `answers` where there is no well-formed one).
        seed: Of mini questions and of held-out splits; null takes the experiment's, so that trainings with several
            seeds are asked the same questions only where this is given.
    """

    name: str = "nq"
    dataset: str = "mini-nq"
    source: str = ""
    train: tuple[str, ...] = ()
    dev: str = ""
    test: str = ""
    limit: int = 0
    train_limit: int = 0
    fallback: bool = False
    seed: int | None = None


@dataclass(frozen=True)
class CorpusConfig:
    """The passages.

    Args:
        source: `mini`, a file (DPR TSV, plain or .gz, or JSONL with id, title, text), or hub:NAME:CONFIG.
        limit: Keep at most this many passages, 0 for all; for smoke runs.
        quoting: Of a TSV: csv, as DPR's file; none where a double quote is a character like any other.
    """

    source: str = "mini"
    limit: int = 0
    quoting: Quoting = "csv"
