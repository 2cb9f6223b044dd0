"""Passages that come with the questions, as `ctxs` of FiD's and DPR's files: nothing is retrieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rag_lightning.core.errors import DataError
from rag_lightning.index.checks import check_k
from rag_lightning.retrieval.retriever import ByText, Hits, Parts, QuestionRetriever, RetrieverKind, Searched


@dataclass(frozen=True)
class Given(RetrieverKind):
    """The passages of the question files, with their scores."""

    title: ClassVar[str] = "given passages"
    searches: ClassVar[Searched] = ("given",)
    query: ClassVar[str] = "as given"
    answers_new: ClassVar[bool] = False

    def open(self, parts: Parts) -> QuestionRetriever:
        """Looks the question up by its text."""
        return ByText(parts.given())


class GivenRetriever:
    """Looks questions up by their text.

    Args:
        hits: Question -> its passages, best first.
        ntotal: Passages of the corpus.
    """

    def __init__(self, hits: Mapping[str, Hits], ntotal: int) -> None:
        self.hits, self.ntotal = hits, ntotal

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The first k passages of every question, fewer where fewer are given.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
            DataError: a question that no file has.
        """
        check_k(k, self.ntotal)
        return [Hits(found.rows[:k], found.scores[:k]) for found in map(self._find, queries)]

    def _find(self, query: str) -> Hits:
        if query not in self.hits:
            hint = "retriever.kind=given knows the questions of its files only; set another kind"
            raise DataError("ctxs", "no passages are given for the question", value=query, hint=hint)
        return self.hits[query]
