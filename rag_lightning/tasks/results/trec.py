"""TREC run files: `query-id Q0 passage-id rank score tag`, white space between (https://trec.nist.gov, trec_eval).

As in trec_eval the order is by score, in single precision, then by passage id from the last to the first; the rank
column is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_lines
from rag_lightning.tasks.layout import Head
from rag_lightning.tasks.results.record import Format, Result, RetrievedPassage, export_lines, passages_of, score_of

TAG = "rag-lightning"
_NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)


def read_trec(path: Path) -> list[Result]:
    """Results in the order in which the queries first occur.

    Raises:
        DataError: a line without six fields, a score that is not a number, or a passage twice for one query.
    """
    found: dict[str, dict[str, RetrievedPassage]] = {}
    for row, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 6:
            hint = "expected: query-id Q0 passage-id rank score tag"
            raise DataError(path, f"has {len(fields)} fields instead of 6", row=row, value=line.strip(), hint=hint)
        query, _, passage, _, score, _ = fields
        passages = found.setdefault(query, {})
        if passage in passages:
            raise DataError(path, f"is there twice for query {query!r}", row=row, field="passage-id", value=passage)
        passages[passage] = RetrievedPassage(passage, float(np.float32(score_of(path, row, score))))
    return [Result(query, passages=_ordered(passages.values())) for query, passages in found.items()]


def write_trec(path: Path, results: Iterable[Result]) -> int:
    """Write passages with their scores; a score that would tie with the one above is lowered to the next float32.

    Raises:
        DataError: a result without passages, or an id with white space.
    """
    return export_lines(path, (line for result in results for line in _lines(result)))


def _ordered(passages: Iterable[RetrievedPassage]) -> tuple[RetrievedPassage, ...]:
    by_id = sorted(passages, key=lambda passage: passage.passage_id, reverse=True)
    return tuple(sorted(by_id, key=lambda passage: passage.score, reverse=True))


def _lines(result: Result) -> Iterator[str]:
    above = np.float32(np.inf)
    for rank, passage in enumerate(passages_of(result), 1):
        above = min(np.float32(passage.score), np.nextafter(above, np.float32(-np.inf)))
        yield f"{_word(result.example_id)} Q0 {_word(passage.passage_id)} {rank} {above:.9g} {TAG}"


def _is_run(head: Head) -> bool:
    """Six words, of which the last but one is a number, or the second TREC's Q0."""
    words = " ".join(head.cells[0]).split() if head.cells else []
    return len(words) == 6 and (words[1] == "Q0" or _NUMBER.fullmatch(words[4]) is not None)


def _word(identifier: str) -> str:
    if len(identifier.split()) != 1:
        raise DataError("results", "TREC ids hold no white space and are not empty", field="id", value=identifier)
    return identifier


TREC = Format("trec", read_trec, write_trec, _is_run)
