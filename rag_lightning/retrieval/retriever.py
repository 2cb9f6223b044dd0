"""What a retriever is: query texts in, the best rows of each out.

Dense retrieval: the query encoder and an index over passage vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Ranking
from rag_lightning.index.index import Floats, Index, check_k
from rag_lightning.retrieval.encoders import TextEncoder


@dataclass(frozen=True)
class Hits:
    """What was found for one query, best first: rows [n] int64 (never -1) and scores [n] float32, n <= k."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def ranking(self, example_id: str) -> Ranking:
        """The same as a record of an example."""
        return Ranking(example_id, tuple(map(int, self.rows)), tuple(map(float, self.scores)))


class Retriever(Protocol):
    """Anything that ranks a corpus for a query."""

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The k best rows of every query, fewer where fewer match.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """


class DenseRetriever:
    """Encodes queries and searches an index.

    Args:
        encoder: The query encoder.
        index: Over vectors of the same width.
        batch_size: Queries encoded together.

    Raises:
        ConfigError: the encoder's vectors are not as wide as the index's.
    """

    def __init__(self, encoder: TextEncoder, index: Index, batch_size: int = 64) -> None:
        if encoder.dim != index.dim:
            raise ConfigError(f"the query encoder gives vectors {encoder.dim} wide, the index holds {index.dim}")
        self.encoder, self.index, self.batch_size = encoder, index, batch_size

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The k best rows of every query, fewer where the index finds fewer.

        Raises:
            ConfigError: k is below 1 or larger than the corpus.
        """
        check_k(k, self.index.ntotal)
        return self.search(self.encoder.encode_texts(queries, self.batch_size), k) if len(queries) else []

    def search(self, vectors: Floats, k: int) -> list[Hits]:
        """The same for query vectors [Q, D] that are already known."""
        scores, rows = self.index.search(vectors, k)
        return [Hits(r[r >= 0], s[r >= 0]) for r, s in zip(rows, scores, strict=True)]
