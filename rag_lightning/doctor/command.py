"""Command `doctor`: with --data, the format, content and errors of a corpus, vectors, an index, results or examples."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.scripts import is_unspaced
from rag_lightning.corpus.passages import CorpusReading
from rag_lightning.doctor.corpora import UNSPACED, describe_corpus, find_corpus
from rag_lightning.doctor.results import find_results
from rag_lightning.doctor.table import Finding, show
from rag_lightning.doctor.vectors import find_vectors
from rag_lightning.tasks.examples import Reading
from rag_lightning.tasks.layout import NO_FIT, QRELS, Head, look_at_head
from rag_lightning.tasks.spec import TaskSpec, get_task

_WIDTH = re.compile(r"[1-9][0-9]{0,8}")


def run(config: ExperimentConfig, deep: bool = False, data: str = "", as_task: str = "", width: str = "") -> None:
    """Check a file or folder of data, or the installation if none is given.

    Args:
        config, deep: See `machine.run`.
        data: A corpus (file or folder), a file of examples, vectors, a FAISS index or results; empty to check the
            installation.
        as_task: Task to read the file for; empty for all.
        width: Width of the vectors of a raw memory map; empty for any other file.

    Raises:
        ConfigError: a task or a width without a file, or a width that is no whole number above 0.
        DataError, UnknownNameError: see `describe`.
        ArtifactError: see `machine.run`.
    """
    if width and not _WIDTH.fullmatch(width):
        raise ConfigError(f"--width {width!r}: must be a whole number above 0, the width of the vectors")
    if data and not as_task and (found := find_vectors(Path(data), int(width or 0))):
        return show(Path(data), found)
    if data:
        corpus = None if as_task else _corpus_of(Path(data))
        return describe_corpus(Path(data), corpus) if corpus else describe(Path(data), as_task)
    if as_task or width:
        raise ConfigError(f"--{'as_task' if as_task else 'width'} needs a file; give --data FILE")
    from rag_lightning.doctor import machine

    machine.run(config, deep)


def _corpus_of(path: Path) -> CorpusReading | None:
    """The file or folder as a corpus; None if it holds questions.

    Raises:
        DataError: a folder of neither.
    """
    try:
        return find_corpus(path)
    except DataError:
        rows = any(one.suffix in (".json", ".arrow", ".parquet") for one in path.glob("*"))
        if rows and _likely(look_at_head(path)):
            return None
        raise


def _likely(head: Head) -> list[TaskSpec]:
    """The tasks whose layouts fit best; none if none fits."""
    fits = [(task, max(layout.fit(head) for layout in task.layouts)) for task in map(get_task, TASKS)]
    best = max(fit for _, fit in fits)
    return [task for task, fit in fits if fit == best != NO_FIT]


def describe(path: Path, as_task: str = "") -> None:
    """Print the result of reading a file for each task, and as results.

    Args:
        path: The file.
        as_task: Task to read the file for; empty for all whose formats fit.

    Raises:
        UnknownNameError: no such task.
        DataError: no task can read it, and it holds no results; the message is that of the first task.
    """
    asked = [get_task(as_task)] if as_task else []
    head = look_at_head(path)
    results = [] if asked else find_results(path, head)
    likely = asked or _likely(head)
    if not likely and not results:
        hint = QRELS if head.judgements else "--as_task TASK shows the formats of a task"
        raise DataError(path, f"is {head}, which no task can read", hint=hint)
    show(path, [*(_finding(task, path, head) for task in likely), *results], f": {head}")


def _finding(task: TaskSpec, path: Path, head: Head) -> Finding:
    """The format, state and detail of a file for a task."""
    try:
        reading = task.reading(path)
    except DataError as error:
        look_alike = [layout.name for layout in task.layouts if layout.fit(head) != NO_FIT]
        return Finding(task.name, ", ".join(look_alike) or "unknown", error)
    return Finding(task.name, reading.layout, "; ".join(filter(None, [*_details(task, reading), head.note])))


def _details(task: TaskSpec, reading: Reading) -> list[str]:
    examples = reading.examples
    details = [f"{len(examples):,} examples{_split_of(task, len(examples))}"]
    if task.labels:
        counted = Counter(example.answers[0] for example in examples)
        details.append(", ".join(f"{counted[label]:,} {label}" for label in task.labels))
    details += [f"{count:,} rows {reason}" for reason, count in reading.notes.items()]
    repeated = len(examples) - len({example.query for example in examples})
    counts = {
        "repeated queries": repeated,
        "with gold passages": sum(bool(example.gold_passage_ids) for example in examples),
        "with gold articles": sum(bool(example.gold_titles) for example in examples),
        UNSPACED: sum(is_unspaced(example.query) for example in examples),
    }
    return details + [f"{count:,} {what}" for what, count in counts.items() if count]


def _split_of(task: TaskSpec, count: int) -> str:
    """A note if a split of the full data set has the same number of examples."""
    same = [part for part, size in task.counts.items() if size == count]
    return f", as many as {task.title}'s {' and '.join(same)}" if same else ""
