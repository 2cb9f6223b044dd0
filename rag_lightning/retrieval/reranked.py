"""Dense retrieval whose first passages a cross-encoder ranks again (Nogueira and Cho 2019, arXiv 1901.04085)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.checks import check_k
from rag_lightning.retrieval.retriever import ByText, Dense, DenseRetriever, Hits, Parts, QuestionRetriever

if TYPE_CHECKING:
    from rag_lightning.retrieval.cross_encoder import CrossEncoder

RANKINGS = ("rankings",)


@dataclass(frozen=True)
class Reranked(Dense):
    """Dense retrieval whose first passages a cross-encoder ranks again; its scores are the logits of p(z|x).

    A model is trained with dense retrieval.

    Args:
        reranker: Cross-encoder for retriever.kind=reranked: folder or hub name of a sequence classifier with one or two
            labels.
        rerank: Number of passages that it ranks; at least k.
    """

    title: ClassVar[str] = "reranked dense retrieval"
    scale: ClassVar[Literal["encoder", "bm25", "configured", ""]] = ""
    trained_as: ClassVar[str] = "dense"
    reranker: str = setting("", stages=RANKINGS, digest="by content")
    rerank: PositiveInt = setting(50, stages=RANKINGS)

    @property
    def models(self) -> tuple[str, ...]:
        """The cross-encoder.

        Raises:
            ConfigError: none is named.
        """
        if not self.reranker:
            raise ConfigError("retriever.kind=reranked needs retriever.reranker, a cross-encoder's folder or hub name")
        return (self.reranker,)

    def open(self, parts: Parts) -> QuestionRetriever:
        """Retrieval by the question's text alone."""
        from rag_lightning.retrieval.cross_encoder import open_cross_encoder  # kinds are listed without torch

        (name,) = self.models
        reranker = open_cross_encoder(parts.model(name), parts.device)
        return ByText(RerankedRetriever(parts.dense(), reranker, parts.store, self.rerank))


class RerankedRetriever:
    """Ranks the first passages of dense retrieval by a cross-encoder.

    Args:
        dense: Query encoder and index.
        reranker: Scores of question-passage pairs.
        store: The passages.
        rerank: Number of passages that are ranked again.
    """

    def __init__(self, dense: DenseRetriever, reranker: CrossEncoder, store: PassageStore, rerank: int) -> None:
        self.dense, self.reranker, self.store, self.rerank = dense, reranker, store, rerank

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The k best rows of every query; equal scores by row.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """
        check_k(k, self.dense.index.ntotal)
        asked = list(dict.fromkeys(queries))  # a repeated question is scored once
        hits = self.dense.retrieve(asked, min(max(k, self.rerank), self.dense.index.ntotal))
        pairs = [(query, self.store[int(row)]) for query, found in zip(asked, hits, strict=True) for row in found.rows]
        scores = np.split(self.reranker.scores(pairs), np.cumsum([len(found.rows) for found in hits])[:-1])
        ranked = {query: _ranked(found, own, k) for query, found, own in zip(asked, hits, scores, strict=False)}
        return [ranked[query] for query in queries]


def _ranked(found: Hits, scores: NDArray[np.float32], k: int) -> Hits:
    order = np.lexsort((found.rows, -scores))[:k]
    return Hits(found.rows[order], scores[order])
