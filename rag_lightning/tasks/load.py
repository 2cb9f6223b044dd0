"""A user's own question files -> train, dev and test.

Given train, dev and test files, each is read as it is. Given train files only, dev and test are held out of those
that name gold passages (`gold_passage_id`), split by the title of the gold passage after near-duplicates are
removed; files that name none (SQuAD) serve training only, and training questions like a held-out one are dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rag_lightning.config.data import TaskConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Example, Passage
from rag_lightning.tasks.examples import Reading, free_id
from rag_lightning.tasks.holdout import assign_gold, drop_like, drop_near_duplicates, split_by_title
from rag_lightning.tasks.hub import Split
from rag_lightning.tasks.spec import get_task


class Passages(Protocol):
    """The part of a corpus that loading uses; a PassageStore has it."""

    def __iter__(self) -> Iterator[Passage]:
        """Every passage in row order."""

    def __getitem__(self, row: int) -> Passage:
        """The passage of a row."""

    def find(self, passage_id: str) -> int | None:
        """The row of a passage id, or None."""


def load_examples(config: TaskConfig, passages: Passages, seed: int, limited: bool = False) -> Split:
    """Read the files of a task config.

    Args:
        config: The section.
        passages: The corpus.
        seed: Seed of the held-out splits.
        limited: Whether the corpus is a part of the one that the files are for (`corpus.limit`): gold passages outside
            of it are counted and left out, the questions stay. Held-out splits need them all.

    Raises:
        UnknownNameError: no such task.
        ConfigError: no train files, only one of dev and test, test2 without them, or nothing to hold out from.
        DataError: a bad file, or a gold passage id the corpus does not hold.
    """
    task = get_task(config.name)
    if not config.train or bool(config.dev) != bool(config.test):
        raise ConfigError("give task.train and both task.dev and task.test, or task.train alone to hold out from it")
    if config.test2 and not config.test:
        raise ConfigError(f"task.test2 {config.test2} goes with files of its own for dev and test: give both")
    if not config.dev:
        return hold_out(config, passages, seed)
    parts: dict[str, list[Example]] = {}
    notes: dict[str, int] = {}
    files = {"train": config.train, "dev": (config.dev,), "test": (config.test,), "test2": (config.test2,)}
    for part, names in files.items() if config.test2 else list(files.items())[:3]:
        readings = _readings(config, names)
        outside: list[str] = []
        parts[part] = _join(readings, passages, outside=outside if limited else None)
        notes |= {f"{part} read": len(parts[part]), **_notes(readings, f"{part} ")}
        notes |= {f"{part} gold passages outside of the limited corpus": len(outside)} if outside else {}
        notes |= task.count_notes(part, len(parts[part]))
    return Split(parts, notes)


def hold_out(config: TaskConfig, passages: Passages, seed: int) -> Split:
    """Train, dev and test from train files alone; see the head of this module.

    Raises:
        ConfigError: no file names gold passages.
        DataError: a bad file, or a gold passage id the corpus does not hold.
    """
    readings = _readings(config, config.train)
    pool = _join((pair for pair in readings if _names_gold(pair[1])), passages)
    others = (pair for pair in readings if not _names_gold(pair[1]))
    extra = _join(others, passages, taken={e.example_id for e in pool})
    if not pool:
        raise ConfigError("no dev and test files, and no train file names gold passages (gold_passage_id) to hold out")
    distinct = drop_near_duplicates(pool)
    titles = [_titles(example, passages) for example in distinct]
    parts = split_by_title(distinct, titles, seed, train_titles={example.entity for example in extra})
    wanted = [*parts["train"], *extra]
    parts["train"] = drop_like(wanted, [*parts["dev"], *parts["test"]])
    notes = {
        "read": len(pool) + len(extra),
        **_notes(readings),
        "near-duplicates dropped": len(pool) - len(distinct),
        "train dropped for likeness to dev or test": len(wanted) - len(parts["train"]),
        **{part: len(examples) for part, examples in parts.items()},
        "train with gold passage": sum(bool(example.gold_passage_ids) for example in parts["train"]),
    }
    return Split(parts, notes)


def _readings(config: TaskConfig, names: Sequence[str]) -> list[tuple[Path, Reading]]:
    task = get_task(config.name)
    return [(Path(name), task.reading(name, config.fallback, config.columns)) for name in names]


def _names_gold(reading: Reading) -> bool:
    return any(example.gold_passage_ids for example in reading.examples)


def _notes(readings: Iterable[tuple[Path, Reading]], prefix: str = "") -> dict[str, int]:
    """Rows of all files that were dropped or read by fallback, counted by reason."""
    summed: Counter[str] = Counter()
    for _, reading in readings:
        summed.update(reading.notes)
    return {prefix + reason: count for reason, count in summed.items()}


def _join(
    readings: Iterable[tuple[Path, Reading]],
    passages: Passages,
    taken: Collection[str] = (),
    outside: list[str] | None = None,
) -> list[Example]:
    """All examples of several files with ids of their own and gold ids the corpus holds.

    The other gold ids are added to `outside`, or an error where that is None.
    """
    taken = set(taken)
    examples: list[Example] = []
    for file, reading in readings:
        for row, example in zip(reading.rows, assign_gold(reading.pairs, passages), strict=True):
            missing = [name for name in example.gold_passage_ids if passages.find(name) is None]
            if missing and outside is None:
                raise _no_passage(file, row, example, missing[0])
            if outside is not None:
                outside += missing
            gold = tuple(name for name in example.gold_passage_ids if name not in missing)
            identifier = free_id(example.example_id, taken)
            taken.add(identifier)
            examples.append(replace(example, example_id=identifier, gold_passage_ids=gold))
    return examples


def _no_passage(file: Path, row: int, example: Example, passage_id: str) -> DataError:
    problem = f"no such passage in the corpus (question {example.query!r})"
    hint = "use the corpus the file was made for, all of it (corpus.limit 0)"
    return DataError(file, problem, row=row, field="gold_passage_id", value=passage_id, hint=hint)


def find_row(config: TaskConfig, split: str, query: str) -> tuple[Path, int] | None:
    """The file and the row from 1 of a question of a split; None where it is of no file, as on the hub.

    Raises:
        DataError: see `load_examples`.
    """
    own = {"dev": config.dev, "test": config.test, "test2": config.test2}.get(split, "")
    for file, reading in _readings(config, (own,) if own else config.train):
        for row, example in zip(reading.rows, reading.examples, strict=True):
            if example.query == query:
                return file, row
    return None


def _titles(example: Example, passages: Passages) -> list[str]:
    rows = (passages.find(passage_id) for passage_id in example.gold_passage_ids)
    return list(dict.fromkeys(passages[row].title for row in rows if row is not None))
