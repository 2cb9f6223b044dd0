"""DPR's training data for both encoders: a JSON list of `question, answers, positive_ctxs, negative_ctxs,
hard_negative_ctxs`, each passage with `title, text` and mostly `passage_id` or `psg_id`
(https://github.com/facebookresearch/DPR, "Retriever input data format").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.json_stream import json_objects
from rag_lightning.core.records import Passage
from rag_lightning.tasks.results.record import id_of, list_of, text_of

POSITIVE, HARD, OTHER = "positive_ctxs", "hard_negative_ctxs", "negative_ctxs"


@dataclass(frozen=True)
class LabelledQuestion:
    """A question with its positive and negative passages.

    Args:
        query: The question.
        positive: A passage that answers it.
        right: Ids of every passage that is known to answer it, including `positive`.
        negatives: Hard negatives, none of them in `right`.
    """

    query: str
    positive: Passage
    right: frozenset[str]
    negatives: tuple[Passage, ...]

    @property
    def size(self) -> int:
        """Number of characters, a cheap estimate of the number of tokens."""
        return len(self.positive.text)


def read_biencoder(path: Path, k: int) -> Iterator[LabelledQuestion | None]:
    """The rows of a file in order; None for one without a positive passage, of which DPR's own files have some.

    The first positive is taken and, as negatives, the first k hard ones; where there are fewer, others follow.

    Raises:
        DataError: not a JSON list of such rows, naming row and field.
    """
    number = 0
    for number, row in json_objects(path):
        yield _known(path, number, row, k)
    if not number:
        raise DataError(path, "is an empty list", hint=f"expected rows of question, answers, {POSITIVE}, …")


def _known(path: Path, number: int, row: Mapping[str, Any], k: int) -> LabelledQuestion | None:
    question = _written(path, number, "question", row.get("question"))
    positives = _passages(path, number, row, POSITIVE, None)
    if not positives:
        return None
    right = frozenset(passage.passage_id for passage in positives)
    others = [*_passages(path, number, row, HARD, []), *_passages(path, number, row, OTHER, [])]
    negatives = [passage for passage in others if passage.passage_id not in right]
    return LabelledQuestion(question, positives[0], right, tuple(negatives[:k]))


def _passages(path: Path, number: int, row: Mapping[str, Any], field: str, default: Any) -> list[Passage]:
    return [_passage(path, number, field, item) for item in list_of(path, number, field, row.get(field, default))]


def _passage(path: Path, number: int, field: str, item: Mapping[str, Any]) -> Passage:
    text = _written(path, number, f"{field}.text", item.get("text"))
    title = text_of(path, number, f"{field}.title", item.get("title") or "")
    known = item.get("passage_id", item.get("psg_id"))
    name = f"{title} {text}" if known is None else id_of(path, number, f"{field}.passage_id", known)
    return Passage(name, title, text)


def _written(path: Path, number: int, field: str, value: Any) -> str:
    text = text_of(path, number, field, value)
    if not text.strip():
        raise DataError(path, "is empty", row=number, field=field, value=value)
    return text
