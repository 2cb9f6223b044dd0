"""Strategies of RAG-Sequence: a search for each passage, then the marginal of each hypothesis (rag_sequence.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.core.records import Prediction
from rag_lightning.decoding.strategy import Batch, Search

if TYPE_CHECKING:
    from rag_lightning.decoding.rag_sequence import CandidateMatrix


@dataclass(frozen=True)
class _PassageSearch(Search):
    """A search of its own for each passage.

    Args:
        passage_beams: Beams of each passage's own search; 1 is greedy, as the paper's QA.
        length_penalty: Hypotheses are ranked by log p(y|x) / tokens ** length_penalty, the end token counted; 0 ranks
            by log p(y|x). Which are found, and the log-probs reported, do not depend on it.
    """

    formulations: ClassVar[tuple[str, ...]] = ("rag_sequence",)
    passage_beams: PositiveInt = 1
    length_penalty: float = 0.0

    @property
    def stored(self) -> str:
        """Width and length: what is kept is the search of a pair, whatever k, retriever and strategy."""
        search = "greedy" if self.passage_beams == 1 else f"beam{self.passage_beams}"
        return f"{search}-{self.max_length}"

    @property
    def beams(self) -> int:
        """Width of each passage's search."""
        return self.passage_beams

    def _decode(self, batch: Batch, build: Callable[..., Sequence[CandidateMatrix]]) -> list[Prediction]:
        from rag_lightning.decoding import rag_sequence

        found = build(
            batch.encodings, batch.pairs, batch.store, num_beams=self.passage_beams, max_length=self.max_length
        )
        pools = [
            rag_sequence.decode(matrix, prior.numpy().astype(np.float32), self.marginal)
            for matrix, prior in zip(found, batch.priors, strict=True)
        ]
        return batch.realised(pools, self.length_penalty)


@dataclass(frozen=True)
class Thorough(_PassageSearch):
    """Thorough Decoding: every hypothesis is scored under all passages of its question."""

    title: ClassVar[str] = "thorough"
    marginal: ClassVar[str] = "thorough"

    def predict(self, batch: Batch) -> list[Prediction]:
        """Missing (hypothesis, passage) pairs are scored."""
        from rag_lightning.decoding import rag_sequence

        return self._decode(batch, rag_sequence.matrices)


@dataclass(frozen=True)
class Fast(_PassageSearch):
    """Fast Decoding: a hypothesis has probability 0 under passages whose search did not produce it."""

    title: ClassVar[str] = "fast"
    marginal: ClassVar[str] = "fast"

    def predict(self, batch: Batch) -> list[Prediction]:
        """Missing (hypothesis, passage) pairs are left out."""
        from rag_lightning.decoding import rag_sequence

        return self._decode(batch, rag_sequence.produced_matrices)
