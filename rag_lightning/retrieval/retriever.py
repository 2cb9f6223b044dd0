"""What a retriever is: query texts in, the best rows of each out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.records import Ranking


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
