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
from rag_lightning.core.files import read_json
from rag_lightning.core.records import Passage

POSITIVE, HARD, OTHER = "positive_ctxs", "hard_negative_ctxs", "negative_ctxs"


@dataclass(frozen=True)
class KnownPassages:
    """A question with what both encoders learn from.

    Args:
        query: The question.
        positive: A passage that answers it.
        right: Ids of every passage known to answer it, that of `positive` among them.
        negatives: Hard negatives, none of them right.
    """

    query: str
    positive: Passage
    right: frozenset[str]
    negatives: tuple[Passage, ...]

    @property
    def size(self) -> int:
        """A cheap stand-in for the number of tokens."""
        return len(self.positive.text)


def read_biencoder(path: Path, k: int) -> Iterator[KnownPassages | None]:
    """The rows of a file in order; None for one without a positive passage, of which DPR's own files have some.

    The first positive is taken and, as negatives, the first k hard ones; where there are fewer, others follow.

    Raises:
        DataError: not a JSON list of such rows, naming row and field.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise DataError(path, "is not a list of questions", hint=f"expected DPR's question, answers, {POSITIVE}, …")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(path, "is not an object with question and positive_ctxs", row=number, value=row)
        yield _known(path, number, row, k)


def _known(path: Path, number: int, row: Mapping[str, Any], k: int) -> KnownPassages | None:
    question = row.get("question")
    if not isinstance(question, str) or not question.strip():
        raise DataError(path, "is no question", row=number, field="question", value=question)
    positives = _passages(path, number, row, POSITIVE)
    if not positives:
        return None
    right = frozenset(passage.passage_id for passage in positives)
    others = [*_passages(path, number, row, HARD, ()), *_passages(path, number, row, OTHER, ())]
    negatives = [passage for passage in others if passage.passage_id not in right]
    return KnownPassages(question, positives[0], right, tuple(negatives[:k]))


def _passages(path: Path, number: int, row: Mapping[str, Any], field: str, default: Any = None) -> list[Passage]:
    found = row.get(field, default)
    if not isinstance(found, list | tuple):
        raise DataError(path, "is not a list of passages", row=number, field=field, value=found)
    return [_passage(path, number, field, item) for item in found]


def _passage(path: Path, number: int, field: str, item: Any) -> Passage:
    text = item.get("text") if isinstance(item, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise DataError(path, "holds a passage without text", row=number, field=field, value=item)
    title = item.get("title") or ""
    if not isinstance(title, str):
        raise DataError(path, "holds a title that is no text", row=number, field=field, value=title)
    known = item.get("passage_id", item.get("psg_id"))
    return Passage(f"{title} {text}" if known is None else str(known), title, text)
