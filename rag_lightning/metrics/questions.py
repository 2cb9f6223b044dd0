"""What a question asks for, and whether train holds it nearly word by word.

Questions that are nearly the same: their sets of words overlap by at least a threshold (Jaccard).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

import regex

from rag_lightning.metrics.answers import tokenize
from rag_lightning.metrics.tokens import QUESTION_WORDS

WITH_NOUN = frozenset({"what", "which", "how"})
THRESHOLD = 0.8


def question_type(query: str) -> str:
    """The question word of a question, after what, which and how with the next word; "" without one.

    >>> [question_type(text) for text in ("in what year was it", "the author of emma is who", "paris")]
    ['what year', 'who', '']
    """
    words = regex.findall(r"\w+", query.casefold())
    for place, word in enumerate(words):
        if word in QUESTION_WORDS:
            return " ".join(words[place : place + 2]) if word in WITH_NOUN else word
    return ""


class NearDuplicates:
    """A set of questions that finds near-duplicates of a new one.

    Two sets of words with Jaccard >= t share at least one of their `size - ceil(t * size) + 1` rarest words
    (prefix filter, Bayardo et al. 2007, https://doi.org/10.1145/1242572.1242591): only those are looked up.

    Args:
        texts: All questions that will be added or asked for; they decide which words are rare.
        threshold: Jaccard from which two questions count as the same, above 0.
    """

    def __init__(self, texts: Iterable[str], threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._frequency = Counter(word for text in texts for word in _words(text))
        self._by_word: dict[str, list[frozenset[str]]] = defaultdict(list)

    def add(self, text: str) -> None:
        """Put a question into the set."""
        words = _words(text)
        for word in self._rarest(words):
            self._by_word[word].append(words)

    def __contains__(self, text: str) -> bool:
        words = _words(text)
        return any(self._alike(words, other) for word in self._rarest(words) for other in self._by_word.get(word, ()))

    def _alike(self, left: frozenset[str], right: frozenset[str]) -> bool:
        return len(left & right) >= self.threshold * len(left | right)

    def _rarest(self, words: frozenset[str]) -> list[str]:
        # The small constant keeps 0.8 * 5 from being rounded above 4.
        kept = len(words) - math.ceil(self.threshold * len(words) - 1e-9) + 1
        return sorted(words, key=lambda word: (self._frequency[word], word))[:kept]


def _words(text: str) -> frozenset[str]:
    """Lower-cased words without punctuation; a text of punctuation only keeps it."""
    tokens = tokenize(text)
    return frozenset(token for token in tokens if token.isalnum()) or frozenset(tokens)
