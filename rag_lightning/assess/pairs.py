"""The items of a page: pairs of outputs on random sides in random order, with control items among them; and the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rag_lightning.assess.stored import Pair, Shared
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import digest, read_sealed
from rag_lightning.core.plain import shorten
from rag_lightning.core.records import Example
from rag_lightning.core.seeds import generator
from rag_lightning.metrics.tokens import normalize_answer
from rag_lightning.report.paper import paper_system
from rag_lightning.report.reading import need

PAGE, KEY = "assess.html", "assess-key.json"
SCHEMA = 1
EVERY, FEWEST = 10, 4
"""Pairs for each control item, and the fewest control items of a page."""
EMPTY = "(empty output)"
Side = Literal["A", "B", "gold", "other"]
"""What stands on a side: the output of a system; in a control item the reference, or an output to another question."""


@dataclass(frozen=True, slots=True)
class Question:
    """One of the paper's two questions: what a page asks, the wording of its four options, and its first key."""

    name: str
    text: str
    options: Mapping[str, str]
    first_key: int


QUESTIONS = (
    Question(
        "factuality",
        "1. Which sentence is more factually true?",
        {
            "left": "A is more true",
            "right": "B is more true",
            "both": "Both are true",
            "neither": "Both are completely untrue",
        },
        1,
    ),
    Question(
        "specificity",
        "2. Which sentence is more specific to the subject?",
        {
            "left": "A is more specific",
            "right": "B is more specific",
            "both": "Both are specific",
            "neither": "Neither is specific",
        },
        5,
    ),
)


@dataclass(frozen=True, slots=True)
class Item:
    """A pair, or a control item, as it stands on the page.

    Args:
        example_id: Id of the question.
        entity: Its entity: the cluster that statistics resample.
        left: What stands on the left.
        right: What stands on the right.
    """

    example_id: str
    entity: str
    left: Side
    right: Side

    @property
    def control(self) -> bool:
        """Whether it tells if an annotator is attentive."""
        return "gold" in (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Shown:
    """The texts of an item, cleaned and cut as the page shows them."""

    subject: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class System:
    """One of the two systems: its run's folder and name, its label in our tables, and the paper's name of it."""

    run: str
    label: str
    system: str


@dataclass(frozen=True, slots=True)
class Key:
    """What tells which system stands on which side.

    Args:
        page: Digest of the texts of the page.
        dataset: Data set of both runs.
        split: Split of both runs.
        scale: Scale of both runs.
        seed: Seed of order and sides.
        a: System A.
        b: System B.
        items: The items in the order of the page.
    """

    page: str
    dataset: str
    split: str
    scale: str
    seed: int
    a: System
    b: System
    items: tuple[Item, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"schema": SCHEMA, **asdict(self), "items": [asdict(item) for item in self.items]}


def draw(shared: Shared, pairs: int, seed: int) -> list[tuple[Item, Shown]]:
    """The items in the order of the page.

    Half of the pairs, and half of the control items, have system A, or the reference, on the left. Each stretch of the
    page has one control item, at a random place.

    Args:
        shared: The questions, and the outputs of A and B.
        pairs: Largest number of pairs.
        seed: Seed of every choice.
    """
    random, questions, outputs = generator(seed, "assess"), shared.questions, shared.outputs
    names = [str(name) for name in random.permutation(sorted(questions))]
    chosen = [_pair(questions[name], outputs, left) for name, left in _sides(names[:pairs], random)]
    wanted = max(FEWEST, round(len(chosen) / EVERY))
    # questions of pairs come again only where too few others are left
    controls = [
        item
        for name, left in _sides((names[pairs:] + names[:pairs])[:wanted], random)
        if (item := _control(questions, name, outputs[int(random.integers(2))], left, random))
    ]
    blocks = np.array_split(np.arange(len(chosen)), max(len(controls), 1))
    items = []
    for block, control in zip(blocks, [*controls, *[None] * (len(blocks) - len(controls))], strict=True):
        block_items = [chosen[place] for place in block]
        if control is not None:
            block_items.insert(int(random.integers(len(block_items) + 1)), control)
        items += block_items
    return items


def page_digest(shown: Sequence[Shown]) -> str:
    """What tells one page from another: the digest of its texts in their order."""
    return digest([[one.subject, one.left, one.right] for one in shown])


def describe(runs: Pair) -> tuple[System, System]:
    """The two systems as the key names them."""
    a, b = (System(f"{run.record.get('sweep', '')}/{run.run_id}", run.label, paper_system(run.config)) for run in runs)
    return a, b


def read_key(path: Path) -> Key:
    """The key of an assessment.

    Raises:
        DataError: it is missing, damaged or altered.
    """
    raw = read_sealed(path, hint="it was written beside the page; without it nobody can tell the systems apart")
    if raw.get("schema") != SCHEMA:
        raise DataError(path, f"is not of schema {SCHEMA}", hint="assess again")
    texts = {name: str(need(path, raw, name, str)) for name in ("page", "dataset", "split", "scale")}
    a, b = (System(**need(path, raw, name, dict)) for name in ("a", "b"))
    items = tuple(Item(**item) for item in need(path, raw, "items", list))
    return Key(**texts, seed=int(need(path, raw, "seed", int)), a=a, b=b, items=items)


def _sides(names: Sequence[str], random: np.random.Generator) -> list[tuple[str, bool]]:
    """Each name with whether the first of its two texts stands on the left: for half of them."""
    left = random.permutation([place % 2 == 0 for place in range(len(names))])
    return list(zip(names, map(bool, left), strict=True))


def _pair(question: Example, outputs: Sequence[Mapping[str, str]], left: bool) -> tuple[Item, Shown]:
    texts = [outputs[0][question.example_id], outputs[1][question.example_id]]
    return _placed(question, texts, ("A", "B"), left)


def _control(
    questions: Mapping[str, Example], name: str, outputs: Mapping[str, str], left: bool, random: np.random.Generator
) -> tuple[Item, Shown] | None:
    """The reference of a question beside an output to a question on another entity; None if none can be told apart."""
    question = questions[name]
    gold = question.targets or question.answers
    right = {normalize_answer(text) for text in (*gold, *question.answers)}
    for other in map(str, random.permutation(sorted(questions))):
        text = outputs[other]
        different = other != name and (not question.entity or questions[other].entity != question.entity)
        if gold and different and normalize_answer(text) and normalize_answer(text) not in right:
            return _placed(question, [gold[0], text], ("gold", "other"), left)
    return None


def _placed(question: Example, texts: Sequence[str], sides: tuple[Side, Side], left: bool) -> tuple[Item, Shown]:
    places = (0, 1) if left else (1, 0)
    shown = [shorten(texts[place]) or EMPTY for place in places]
    item = Item(question.example_id, question.entity, sides[places[0]], sides[places[1]])
    return item, Shown(shorten(question.query), *shown)
