"""Which passages hold an entity and an answer: an inverted index over DPR's tokens (case-insensitive, NFD)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from rag_lightning.core.records import Passage
from rag_lightning.metrics.answers import tokenize

Rows = frozenset[int]


class GoldFinder:
    """Look up rows of a corpus by the strings they hold; every passage is tokenised once."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self._texts = [_joined(passage.text) for passage in passages]
        self._titles = [_joined(passage.title) for passage in passages]

    @cached_property
    def _postings(self) -> dict[str, set[int]]:
        postings: dict[str, set[int]] = {}
        for row, (title, text) in enumerate(zip(self._titles, self._texts, strict=True)):
            for token in {*title.split(), *text.split()}:
                postings.setdefault(token, set()).add(row)
        return postings

    def holding(self, forms: Iterable[str], *, title_too: bool = False) -> Rows:
        """Rows whose text (or, if asked, title) holds any of the forms as whole tokens in order."""
        found: set[int] = set()
        for needle in {_joined(form) for form in forms}:
            for row in self.with_words(needle.split()):
                if needle in self._texts[row] or (title_too and needle in self._titles[row]):
                    found.add(row)
        return frozenset(found)

    def with_words(self, words: Iterable[str]) -> Rows:
        """Rows whose title or text holds all of the tokens, in any order; no words: no rows."""
        sets = sorted((self._postings.get(word, set()) for word in words), key=len)
        return frozenset(set.intersection(*sets)) if sets else frozenset()

    def frequency(self, word: str) -> int:
        """How many passages hold the token."""
        return len(self._postings.get(word, ()))

    def ids(self, rows: Iterable[int], first: Iterable[int] = ()) -> tuple[str, ...]:
        """Passage ids in corpus order, those of `first` before the others."""
        front = sorted(set(first))
        ordered = dict.fromkeys([*front, *sorted(rows)])
        return tuple(self.passages[row].passage_id for row in ordered)


def _joined(text: str) -> str:
    return f" {' '.join(tokenize(text))} "
