"""Retrieval for questions of which more is known than their text: oracle and random, beside retrieval by text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core import seeds
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import Floats, check_k
from rag_lightning.retrieval.retriever import DenseRetriever, Hits, Retriever


class Asked(Protocol):
    """What is known of a question, of an example as of a training item."""

    @property
    def query(self) -> str:
        """Its text."""

    @property
    def example_id(self) -> str:
        """Whose question it is."""

    @property
    def gold_passage_ids(self) -> tuple[str, ...]:
        """Passages that hold its evidence, none where they are not known."""


class QuestionRetriever(Protocol):
    """Anything that ranks a corpus for a question."""

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        """The k best rows of every question, fewer where fewer match.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """


class ByText:
    """Dense or lexical retrieval, which knows nothing of a question but its text."""

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        """As QuestionRetriever."""
        return self.retriever.retrieve([question.query for question in asked], k)


class RandomRetriever:
    """Passages drawn without replacement by (seed, question id), all with score 0: chance.

    Args:
        seed: Of the experiment.
        ntotal: Passages of the corpus.
    """

    def __init__(self, seed: int, ntotal: int) -> None:
        self.seed, self.ntotal = seed, ntotal

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        """As QuestionRetriever; a smaller k is a prefix."""
        check_k(k, self.ntotal)
        return [Hits(self._drawn(question.example_id, k), np.zeros(k, dtype=np.float32)) for question in asked]

    def _drawn(self, example_id: str, k: int) -> NDArray[np.int64]:
        rng = seeds.generator(self.seed, f"random passages of {example_id}")
        found: dict[int, None] = {}
        while len(found) < k:
            found[int(rng.integers(self.ntotal))] = None
        return np.array(list(found), dtype=np.int64)


class OracleRetriever:
    """A gold passage first, the others as dense retrieval ranks them without it.

    The gold passage has its own inner product or the best of the others, whichever is larger, so that no passage is
    more probable than it. A question whose gold passage is not known is retrieved for as ever.

    Args:
        dense: Ranks the others.
        vectors: [N, D] float32 of the passages.
        store: Passage id -> row.
    """

    def __init__(self, dense: DenseRetriever, vectors: Floats, store: PassageStore) -> None:
        self.dense, self.vectors, self.store = dense, vectors, store

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        """As QuestionRetriever."""
        check_k(k, self.dense.index.ntotal)
        if not asked:
            return []
        queries = self.dense.encoder.encode_texts([question.query for question in asked], self.dense.batch_size)
        gold = gold_rows(self.store, asked).tolist()
        hits = self.dense.search(queries, k)
        return [self._led(found, q, row, k) for found, q, row in zip(hits, queries, gold, strict=True)]

    def _led(self, found: Hits, query: NDArray[np.float32], gold: int, k: int) -> Hits:
        if gold < 0:
            return found
        others = found.rows != gold
        rows, scores = found.rows[others][: k - 1], found.scores[others][: k - 1]
        own = np.float32(query @ self.vectors[gold])
        first = max([own, *scores[:1]])
        return Hits(
            np.concatenate([[gold], rows]).astype(np.int64), np.concatenate([[first], scores], dtype=np.float32)
        )


def gold_rows(store: PassageStore, asked: Sequence[Asked]) -> NDArray[np.int64]:
    """[B] row of the first gold passage of each question that the corpus holds, -1 where there is none."""
    rows = []
    for question in asked:
        held = (store.find(passage_id) for passage_id in question.gold_passage_ids)
        rows.append(next((row for row in held if row is not None), -1))
    return np.array(rows, dtype=np.int64)


def gold_first(rows: NDArray[np.int64], gold: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the gold row [B] before the others of each line [B, k] and keep k; -1 is no row, in either."""
    led = rows.copy()
    for line, first in zip(led, gold, strict=True):
        if first >= 0:
            line[:] = np.concatenate([[first], line[line != first]])[: len(line)]
    return led
