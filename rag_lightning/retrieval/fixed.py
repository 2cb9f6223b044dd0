"""A retriever whose answers were computed before: rankings read from a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Ranking
from rag_lightning.retrieval.retriever import Hits


class FixedRetriever:
    """Looks a query up among known rankings.

    Args:
        rankings: query text -> its ranking, rows best first.
    """

    def __init__(self, rankings: Mapping[str, Ranking]) -> None:
        self.rankings = dict(rankings)

    @classmethod
    def join(cls, examples: Iterable[Example], rankings: Iterable[Ranking]) -> FixedRetriever:
        """From rankings of examples.

        Raises:
            ConfigError: an example without a ranking.
        """
        by_id = {ranking.example_id: ranking for ranking in rankings}
        known = {}
        for example in examples:
            if example.example_id not in by_id:
                raise ConfigError(f"example {example.example_id!r} has no ranking; retrieve again for these examples")
            known[example.query] = by_id[example.example_id]
        return cls(known)

    def retrieve(self, queries: Sequence[str], k: int) -> list[Hits]:
        """The first k rows of every query's ranking, fewer where it holds fewer.

        Raises:
            ConfigError: k < 1, or a query without a ranking.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; choose at least 1")
        return [self._hits(query, k) for query in queries]

    def _hits(self, query: str, k: int) -> Hits:
        if query not in self.rankings:
            raise ConfigError(f"no ranking is known for the query {query!r}")
        found = self.rankings[query]
        return Hits(np.array(found.rows[:k], dtype=np.int64), np.array(found.scores[:k], dtype=np.float32))
