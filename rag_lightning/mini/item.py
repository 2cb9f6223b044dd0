"""What the examples of the tasks beside `nq` are made from, before it is dealt to a split."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One thing to ask.

    Args:
        family: The kind of source or question; a tag.
        relation: Name used for caps and tags.
        entity: What it is about; splits never share one.
        forms: Queries with the same meaning; of two or more, the last is for test only.
        answers: Accepted strings.
        gold: Passage ids, the one it was read from first.
        gold_titles: Articles that hold the evidence, for tasks that name them.
        targets: What to train towards where that differs from the answers.
        key: Tells items of one entity and relation apart.
    """

    family: str
    relation: str
    entity: str
    forms: tuple[str, ...]
    answers: tuple[str, ...]
    gold: tuple[str, ...] = ()
    gold_titles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    key: str = ""
