"""Dense retrieval and BM25 together: a weighted sum of their scores, or reciprocal rank fusion.

Reciprocal rank fusion: Cormack et al. 2009, a passage scores the sum of 1 / (60 + its rank) over both rankings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.bounds import NonNegativeFloat, PositiveInt
from rag_lightning.config.fields import setting
from rag_lightning.index.checks import check_k
from rag_lightning.index.index import Floats
from rag_lightning.retrieval.bm25 import BM25Retriever, best
from rag_lightning.retrieval.retriever import (
    ByText,
    Dense,
    DenseRetriever,
    Hits,
    Parts,
    QuestionRetriever,
    Searched,
)

RANKINGS = ("rankings",)
RANK_OFFSET = 60
STEPS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Weights that are tried on dev, in units of the ratio of both spreads of scores."""


@dataclass(frozen=True)
class Hybrid(Dense):
    """Dense retrieval and BM25; a model is trained with dense retrieval.

    Args:
        fusion: How both are fused: sum of inner product and weighted BM25 score, or rrf, reciprocal rank fusion, whose
            small scores make p(z|x) nearly uniform.
        bm25_weight: Factor of BM25 scores in the sum; 0 fits it on dev.
        pool: Number of passages taken from each of both; at least k.
    """

    title: ClassVar[str] = "dense retrieval with BM25"
    searches: ClassVar[Searched] = ("index", "bm25")
    reads_vectors: ClassVar[bool] = True
    trained_as: ClassVar[str] = "dense"
    fusion: Literal["sum", "rrf"] = setting("sum", stages=RANKINGS)
    bm25_weight: NonNegativeFloat = setting(0.0, stages=RANKINGS)
    pool: PositiveInt = setting(100, stages=RANKINGS)

    @property
    def fitted(self) -> bool:
        """In a sum without a weight."""
        return self.fusion == "sum" and not self.bm25_weight

    def open(self, parts: Parts) -> QuestionRetriever:
        """Retrieval by the question's text alone."""
        weight = parts.bm25_weight() if self.fitted else self.bm25_weight
        made = HybridRetriever(parts.dense(), parts.bm25(), parts.vectors(), self.pool)
        made.weight = weight if self.fusion == "sum" else None
        return ByText(made)


@dataclass(frozen=True)
class Pool:
    """The passages that either search found for a query.

    Args:
        rows: [n] int64, ascending.
        products: [n] their inner products.
        lexical: [n] their BM25 scores, 0 where they share no word with the query.
        reciprocal: [n] their scores by reciprocal rank fusion.
    """

    rows: NDArray[np.int64]
    products: NDArray[np.float32]
    lexical: NDArray[np.float32]
    reciprocal: NDArray[np.float32]

    def hits(self, weight: float | None, k: int) -> Hits:
        """The best k by the weighted sum, or by reciprocal rank fusion without a weight; ties by row."""
        scores = self.reciprocal if weight is None else self.products + np.float32(weight) * self.lexical
        order = np.lexsort((self.rows, -scores))[:k]
        return Hits(self.rows[order], scores[order])


class HybridRetriever:
    """Fuses dense retrieval with BM25. Inner products are exact, whatever the index is.

    Args:
        dense: Query encoder and index.
        bm25: Lexical retrieval over the same passages.
        vectors: [N, D] float32 of the passages, may be memory-mapped.
        pool: Number of passages taken from each.

    Attributes:
        weight: Factor of BM25 scores; None for reciprocal rank fusion.
    """

    weight: float | None = None

    def __init__(self, dense: DenseRetriever, bm25: BM25Retriever, vectors: Floats, pool: int) -> None:
        self.dense, self.bm25, self.vectors, self.pool = dense, bm25, vectors, pool

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The k best rows of every query.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """
        check_k(k, self.bm25.ntotal)
        return [found.hits(self.weight, k) for found in self.pools(queries, k)]

    def pools(self, queries: Sequence[str], k: int) -> list[Pool]:
        """What both searches find for every query, at least k passages each where so many match."""
        if not len(queries):
            return []
        count = min(max(k, self.pool), self.bm25.ntotal)
        encoded = self.dense.encoder.encode_texts(queries, self.dense.batch_size)
        found = zip(encoded, self.dense.search(encoded, count), self.bm25.scores(queries), strict=True)
        return [self._pool(query, hits.rows, scores, count) for query, hits, scores in found]

    def _pool(
        self, query: NDArray[np.float32], dense: NDArray[np.int64], scores: NDArray[np.float32], count: int
    ) -> Pool:
        lexical = best(scores, count).rows
        rows = np.union1d(dense, lexical).astype(np.int64)
        reciprocal = np.zeros(len(rows), np.float32)
        for ranked in (dense, lexical):
            reciprocal[np.searchsorted(rows, ranked)] += 1 / (RANK_OFFSET + 1 + np.arange(len(ranked)))
        return Pool(rows, np.asarray(self.vectors[rows] @ query, np.float32), scores[rows], reciprocal)


def fit_weight(pools: Sequence[Pool], flags: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """The weight of BM25 with the best mean reciprocal rank of the first passage with an answer, and that mean.

    Args:
        pools: What was found for each question.
        flags: For each of these passages whether it holds an answer. Questions without any say nothing; where all are
            such, both spreads of scores count alike.
    """
    pairs = [(pool, np.array(right)) for pool, right in zip(pools, flags, strict=True) if any(right)]
    spreads = [(np.ptp(pool.products), np.ptp(pool.lexical)) for pool in pools if len(pool.rows)]
    products, lexical = np.mean(spreads, axis=0) if spreads else (1.0, 1.0)
    unit = float(products / lexical) if products > 0 and lexical > 0 else 1.0
    if not pairs:
        return round(unit, 6), 0.0

    def rank(weight: float) -> float:
        return float(np.mean([_reciprocal(pool, right, weight) for pool, right in pairs]))

    weight = max((round(unit * step, 6) for step in STEPS), key=rank)
    return weight, rank(weight)


def _reciprocal(pool: Pool, right: NDArray[np.bool_], weight: float) -> float:
    found = pool.hits(weight, len(pool.rows)).rows
    return 1 / (1 + int(np.argmax(right[np.searchsorted(pool.rows, found)])))
