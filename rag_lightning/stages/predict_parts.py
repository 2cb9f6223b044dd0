"""The parts of a prediction that is dealt to several processes.

A part is a number of whole batches, as one process decodes them: the last bits of a log-prob depend on what is decoded
together. Batches with questions of the same words are one part, because the second takes the results of the first.
"""

from __future__ import annotations

import shutil
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.core.records import Prediction, read_checked, write_jsonl
from rag_lightning.decoding.question import Question

PARTS = "parts"


def parts_of(batches: Sequence[Sequence[Question]]) -> list[list[int]]:
    """The parts, each with the numbers of its batches in order."""
    owner = list(range(len(batches)))

    def first(batch: int) -> int:
        while owner[batch] != batch:
            batch = owner[batch]
        return batch

    seen: dict[str, int] = {}
    for number, batch in enumerate(batches):
        for question in batch:
            known = seen.setdefault(words_of(question.example.query), number)
            low, high = sorted((first(known), first(number)))
            owner[high] = low
    parts: dict[int, list[int]] = {}
    for number in range(len(batches)):
        parts.setdefault(first(number), []).append(number)
    return list(parts.values())


def words_of(query: str) -> str:
    """A query without what tokenizers leave out: case, accents, spaces, signs.

    >>> words_of("Où est le  Rhône?")
    'ouestlerhone'
    """
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", query).casefold()))


def write_part(folder: Path, number: int, predictions: Sequence[Prediction], counts: Mapping[str, Any]) -> None:
    """Write the predictions of a part, and its counts first: a part with predictions is whole."""
    write_sealed(_file(folder, number).with_suffix(".json"), counts)
    write_jsonl(_file(folder, number), predictions)


def missing(folder: Path, count: int) -> list[int]:
    """The numbers of the parts that are not there."""
    there = {file.name for file in (folder / PARTS).iterdir()}
    return [number for number in range(count) if _file(folder, number).name not in there]


def take(folder: Path, parts: Sequence[Sequence[int]]) -> tuple[list[Prediction], Counter[str]]:
    """The predictions of all parts in the order of the questions, and the sums of their counts; removes the parts."""
    counts: Counter[str] = Counter()
    found: list[tuple[int, int, Prediction]] = []
    for number, batches in enumerate(parts):
        file = _file(folder, number)
        own = read_sealed(file.with_suffix(".json"))
        sizes = own.pop("sizes")
        counts.update(own)
        at = iter(read_checked(file, Prediction))
        found += [(batch, place, next(at)) for batch, size in zip(batches, sizes, strict=True) for place in range(size)]
    shutil.rmtree(folder / PARTS)
    return [prediction for *_, prediction in sorted(found, key=lambda one: one[:2])], counts


def _file(folder: Path, number: int) -> Path:
    return folder / PARTS / f"{number:06d}.jsonl"
