"""Retrieval for questions with gold passages: oracle and random, beside retrieval by text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core import seeds
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.checks import check_k
from rag_lightning.index.index import Floats
from rag_lightning.retrieval.retriever import (
    Asked,
    Dense,
    DenseRetriever,
    Hits,
    Parts,
    QuestionRetriever,
    RetrieverKind,
)


@dataclass(frozen=True)
class Random(RetrieverKind):
    """Passages drawn by seed and question: chance."""

    title: ClassVar[str] = "random retrieval"
    reads: ClassVar[tuple[str, ...]] = ("seed",)
    query: ClassVar[str] = "chance"

    def open(self, parts: Parts) -> QuestionRetriever:
        """Draws from the corpus."""
        return RandomRetriever(parts.seed, len(parts.store))


@dataclass(frozen=True)
class Oracle(Dense):
    """A gold passage first, where one is known; dense retrieval ranks the others."""

    title: ClassVar[str] = "the oracle"
    gold_first: ClassVar[bool] = True
    reads_vectors: ClassVar[bool] = True

    def open(self, parts: Parts) -> QuestionRetriever:
        """Dense retrieval that is told the gold passage."""
        return OracleRetriever(parts.dense(), parts.vectors(), parts.store)


class RandomRetriever:
    """Passages drawn without replacement by (seed, question id), all with score 0: chance.

    Args:
        seed: Seed of the experiment.
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
    more probable than it. A question whose gold passage is not known gets plain dense retrieval.

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
