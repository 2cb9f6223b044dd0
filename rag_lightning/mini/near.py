"""Near-duplicates across splits: questions that share almost all their words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from rag_lightning.metrics.answers import tokenize
from rag_lightning.mini.definitions import STOP_WORDS

THRESHOLD = 0.8
"""Shared words over all words (Jaccard) from which two queries are near-duplicates."""


def content(query: str) -> frozenset[str]:
    """Its words without function words and marks; all its words where nothing is left."""
    words = frozenset(word for word in tokenize(query) if word.isalnum())
    return words - STOP_WORDS or words


class NearDuplicates:
    """Does a query almost equal one of those given?

    Two sets that share 80 % have one of the rarest fifth of the one's words in common, so only those are looked up.

    Args:
        queries: What may not be repeated.
    """

    def __init__(self, queries: Iterable[str]) -> None:
        self._sets = list({content(query) for query in queries})
        self._postings: dict[str, list[int]] = {}
        for number, words in enumerate(self._sets):
            for word in words:
                self._postings.setdefault(word, []).append(number)
        self._frequency = Counter({word: len(found) for word, found in self._postings.items()})

    def __contains__(self, query: str) -> bool:
        words = content(query)
        rare = sorted(words, key=lambda word: (self._frequency[word], word))
        rare = rare[: len(words) - math.ceil(THRESHOLD * len(words)) + 1]
        near = {number for word in rare for number in self._postings.get(word, ())}
        return any(similar(words, self._sets[number]) for number in near)


def similar(left: frozenset[str], right: frozenset[str]) -> bool:
    """Is the Jaccard similarity at least the threshold?"""
    return len(left & right) >= THRESHOLD * len(left | right)
