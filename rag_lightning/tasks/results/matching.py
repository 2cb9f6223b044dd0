"""Results of another's file meet our examples: by id, or by the question's text where ids cannot agree."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example
from rag_lightning.metrics.outcomes import join_by_id
from rag_lightning.tasks.results.record import Result


@dataclass(frozen=True)
class Matched:
    """Each example with its result, in the order of the examples, and what they were joined by."""

    pairs: list[tuple[Result, Example]]
    by: Literal["id", "question"]


def match(results: Sequence[Result], examples: Sequence[Example], source: Path | str) -> Matched:
    """Join by id; by question where no id of the file is an example's and every result has its question.

    The n-th result of a repeated question belongs to its n-th example.

    Raises:
        DataError: missing, extra or double ids, or questions; the message lists them.
    """
    known = {example.example_id for example in examples}
    if any(result.example_id in known for result in results) or not all(result.question for result in results):
        return Matched(join_by_id(results, examples, source), "id")
    waiting: dict[str, deque[str]] = defaultdict(deque)
    for example in examples:
        waiting[_key(example.query)].append(example.example_id)
    named, extra = [], []
    for result in results:
        ids = waiting[_key(result.question)]
        if ids:
            named.append(replace(result, example_id=ids.popleft()))
        else:
            extra.append(result.question)
    left = {identifier for ids in waiting.values() for identifier in ids}
    missing = [example.query for example in examples if example.example_id in left]
    _check(missing, extra, source)
    return Matched(join_by_id(named, examples, source), "question")


def _key(question: str) -> str:
    return " ".join(question.split())


def _check(missing: Sequence[str], extra: Sequence[str], source: Path | str) -> None:
    problems = [
        f"{len(questions)} {kind}: {', '.join(map(repr, questions[:10]))}{' and more' if len(questions) > 10 else ''}"
        for kind, questions in (("missing", missing), ("extra", extra))
        if questions
    ]
    if problems:
        hint = "give the examples these results were made for"
        raise DataError(source, "; ".join(problems), field="question", hint=hint)
