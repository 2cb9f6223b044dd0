"""A user's own question files -> train, dev and test.

Given train, dev and test files, each is read as it is. Given train files only, dev and test are held out of those
that name gold passages (`gold_passage_id`), split by the title of the gold passage after near-duplicates are
removed; files that name none (SQuAD) serve training only, and training questions like a held-out one are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from rag_lightning.core.config import TaskConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Example, Passage
from rag_lightning.tasks.examples import free_id
from rag_lightning.tasks.gold import assign_gold
from rag_lightning.tasks.holdout import drop_like, drop_near_duplicates, split_by_title
from rag_lightning.tasks.open_qa import read_with_contexts
from rag_lightning.tasks.spec import get_task


class Passages(Protocol):
    """What is asked of a corpus here; a PassageStore offers it."""

    def __iter__(self) -> Iterator[Passage]:
        """Every passage in row order."""

    def __getitem__(self, row: int) -> Passage:
        """The passage of a row."""

    def find(self, passage_id: str) -> int | None:
        """The row of a passage id, or None."""


@dataclass(frozen=True)
class Split:
    """train, dev and test, and in `notes` how many examples were read, held out and dropped."""

    parts: dict[str, list[Example]]
    notes: dict[str, int]


def load_examples(config: TaskConfig, passages: Passages, seed: int) -> Split:
    """Read the files of a task config.

    Raises:
        UnknownNameError: no such task.
        ConfigError: no train files, only one of dev and test, or nothing to hold out from.
        DataError: a bad file, or a gold passage id the corpus does not hold.
    """
    get_task(config.name)
    if not config.train or bool(config.dev) != bool(config.test):
        raise ConfigError("give task.train and both task.dev and task.test, or task.train alone to hold out from it")
    if not config.dev:
        return hold_out([Path(name) for name in config.train], passages, seed)
    files = {"train": list(config.train), "dev": [config.dev], "test": [config.test]}
    parts = {part: _read([Path(name) for name in names], passages) for part, names in files.items()}
    return Split(parts, {f"{part} read": len(examples) for part, examples in parts.items()})


def hold_out(files: Sequence[Path], passages: Passages, seed: int) -> Split:
    """Train, dev and test from train files alone; see the head of this module.

    Raises:
        ConfigError: no file names gold passages.
        DataError: a bad file, or a gold passage id the corpus does not hold.
    """
    named = {file: _names_gold(file) for file in files}
    pool = _read([file for file in files if named[file]], passages)
    extra = _read([file for file in files if not named[file]], passages, taken={e.example_id for e in pool})
    if not pool:
        raise ConfigError("no dev and test files, and no train file names gold passages (gold_passage_id) to hold out")
    distinct = drop_near_duplicates(pool)
    titles = [_titles(example, passages) for example in distinct]
    parts = split_by_title(distinct, titles, seed, train_titles={example.entity for example in extra})
    wanted = [*parts["train"], *extra]
    parts["train"] = drop_like(wanted, [*parts["dev"], *parts["test"]])
    notes = {
        "read": len(pool) + len(extra),
        "near-duplicates dropped": len(pool) - len(distinct),
        "train dropped for likeness to dev or test": len(wanted) - len(parts["train"]),
        **{part: len(examples) for part, examples in parts.items()},
        "train with gold passage": sum(bool(example.gold_passage_ids) for example in parts["train"]),
    }
    return Split(parts, notes)


def _names_gold(file: Path) -> bool:
    return any(example.gold_passage_ids for example, _ in read_with_contexts(file))


def _read(files: Sequence[Path], passages: Passages, taken: set[str] | None = None) -> list[Example]:
    """All examples of several files with ids of their own and gold ids the corpus holds."""
    taken = set(taken or ())
    examples: list[Example] = []
    for file in files:
        for example in assign_gold(read_with_contexts(file), passages):
            _check_gold(file, example, passages)
            identifier = free_id(example.example_id, taken)
            taken.add(identifier)
            examples.append(replace(example, example_id=identifier))
    return examples


def _check_gold(file: Path, example: Example, passages: Passages) -> None:
    for passage_id in example.gold_passage_ids:
        if passages.find(passage_id) is None:
            problem = f"no such passage in the corpus (question {example.query!r})"
            hint = "use the corpus the file was made for"
            raise DataError(file, problem, field="gold_passage_id", value=passage_id, hint=hint)


def _titles(example: Example, passages: Passages) -> list[str]:
    rows = (passages.find(passage_id) for passage_id in example.gold_passage_ids)
    return list(dict.fromkeys(passages[row].title for row in rows if row is not None))
