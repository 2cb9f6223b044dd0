"""The files that annotators saved: read, checked against the key, and judged by their control items."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.assess.pairs import KEY, PAGE, QUESTIONS, SCHEMA, Item, Key, read_key
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_object
from rag_lightning.report.reading import need
from rag_lightning.runs import folders

KIND = "rag-lightning assessment"
ATTENTIVE = 0.75
"""Share of the answers to control items that must prefer the reference; the paper does not state its rule."""
FEWEST_ANSWERS = 4
"""Answers to control items below which nothing can be said of an annotator."""
RULE = (
    f"An annotator is counted who gave at least {FEWEST_ANSWERS} answers to control items and preferred the reference "
    f"in at least {ATTENTIVE * 100:.0f} % of them."
)
FOREIGN = f"keep in the folder only {PAGE}, {KEY} and files that this page saved"


@dataclass(frozen=True, slots=True)
class Annotator:
    """What one person answered.

    Args:
        answers: Question -> place of an item on the page, from 0 -> A, B, both, neither, or of a control item gold,
            other, both, neither.
        right: Answers to control items that prefer the reference.
        controls: Answers to control items.
    """

    answers: Mapping[str, Mapping[int, str]]
    right: int
    controls: int

    @property
    def excluded(self) -> str:
        """Why the answers do not count; empty if they do."""
        if self.controls < FEWEST_ANSWERS:
            return "too few control items answered"
        return "" if self.right >= ATTENTIVE * self.controls else "failed the control items"


@dataclass(frozen=True, slots=True)
class Assessment:
    """A folder of reports/assessments/.

    Args:
        name: Name of the folder.
        key: Its key.
        annotators: A record per annotator, in the order of the names of their files.
        earlier: Files left out because the same annotator saved a later one.
    """

    name: str
    key: Key
    annotators: tuple[Annotator, ...]
    earlier: int = 0

    @property
    def dataset(self) -> str:
        """Data set of both runs."""
        return self.key.dataset

    @property
    def scale(self) -> str:
        """Scale of both runs."""
        return self.key.scale

    @property
    def pairs(self) -> dict[int, Item]:
        """Place -> pair, without the control items."""
        return {place: item for place, item in enumerate(self.key.items) if not item.control}

    @property
    def counted(self) -> list[Annotator]:
        """The annotators whose answers count."""
        return [one for one in self.annotators if not one.excluded]


def read_assessments(root: str | Path) -> list[Assessment]:
    """All assessments of a project, by name.

    Raises:
        DataError: a key or an annotator's file is missing, damaged, altered, or of another page.
    """
    found = sorted(folder for folder in folders.assessments(root).glob("*") if any(folder.glob("*.json")))
    return [read_assessment(folder) for folder in found]


def read_assessment(folder: Path) -> Assessment:
    """One assessment. Of several files that one annotator saved the latest counts.

    Raises:
        DataError: its key or an annotator's file is missing, damaged, altered, or of another page; or two annotators
            have one name.
    """
    key = read_key(folder / KEY)
    latest: dict[str, tuple[str, Path, dict[str, Any]]] = {}
    files = [path for path in sorted(folder.glob("*.json")) if path.name != KEY and not path.name.startswith(".")]
    for path in files:
        raw = _read_saved(path, key)
        session, saved = str(raw["session"]), str(raw["saved"])
        if session not in latest or saved > latest[session][0]:
            latest[session] = (saved, path, raw)
    names: dict[str, Path] = {}
    for _, path, raw in sorted(latest.values(), key=lambda one: one[1]):
        name = str(raw["annotator"]).strip().casefold()
        if name in names:
            problem, hint = (
                f"has the same annotator as {names[name].name}, from another browser",
                ("keep one of the two; if they are two people, load one file in the page, change the name and save it"),
            )
            raise DataError(path, problem, field="annotator", value=raw["annotator"], hint=hint)
        names[name] = path
    annotators = [_annotator(raw, key) for _, _, raw in sorted(latest.values(), key=lambda one: one[1])]
    return Assessment(folder.name, key, tuple(annotators), len(files) - len(latest))


def _read_saved(path: Path, key: Key) -> dict[str, Any]:
    raw = read_object(path, hint="ask the annotator for the file again")
    if raw.get("kind") != KIND or raw.get("schema") != SCHEMA:
        raise DataError(path, "is not a file that an assessment page saved", hint=FOREIGN)
    texts = {name: str(need(path, raw, name, str)) for name in ("page", "annotator", "session", "saved", "checksum")}
    if texts["page"] != key.page:
        problem = f"is of another page than {key.page}, that of this folder"
        raise DataError(path, problem, field="page", value=texts["page"], hint=FOREIGN)
    answers = need(path, raw, "answers", dict)
    for item, of_item in answers.items():
        _check_answers(path, item, of_item, len(key.items))
    if texts["checksum"] != checksum(raw, len(key.items)):
        hint = "ask the annotator for the file as it was saved"
        raise DataError(
            path, "was altered after the page saved it", field="checksum", value=texts["checksum"], hint=hint
        )
    return raw


def _check_answers(path: Path, item: str, answers: Any, items: int) -> None:
    if not (item.isdecimal() and item == str(int(item)) and 1 <= int(item) <= items):
        raise DataError(path, f"is no item of the page, which has 1 to {items}", field="answers", value=item)
    known = {question.name: question.options for question in QUESTIONS}
    if not isinstance(answers, dict) or not set(answers) <= set(known):
        raise DataError(path, f"must answer {' and '.join(known)}", field=f"answers.{item}", value=answers)
    for question, option in answers.items():
        if not isinstance(option, str) or option not in known[question]:
            problem = f"is none of {', '.join(known[question])}"
            raise DataError(path, problem, field=f"answers.{item}.{question}", value=option)


def checksum(raw: Mapping[str, Any], items: int) -> str:
    """The checksum that the page writes: it finds a slip of an editor, and is no protection against forgery."""
    lines = [str(raw[name]) for name in ("page", "annotator", "session", "saved")]
    for item in range(1, items + 1):
        answers = raw["answers"].get(str(item), {})
        lines.append(" ".join(answers.get(question.name) or "-" for question in QUESTIONS))
    return f"{zlib.crc32(chr(10).join(lines).encode(errors='replace')):08x}"


def _annotator(raw: Mapping[str, Any], key: Key) -> Annotator:
    found = {question.name: dict(_meant(raw["answers"], key.items, question.name)) for question in QUESTIONS}
    checks = [option for answers in found.values() for place, option in answers.items() if key.items[place].control]
    return Annotator(found, sum(option == "gold" for option in checks), len(checks))


def _meant(answers: Mapping[str, Any], items: Sequence[Item], question: str) -> Iterator[tuple[int, str]]:
    """(place of an item, what the answer means), where the sides become what stood there."""
    for place, item in enumerate(items):
        option = answers.get(str(place + 1), {}).get(question)
        if option:
            yield place, {"left": item.left, "right": item.right}.get(option, option)
