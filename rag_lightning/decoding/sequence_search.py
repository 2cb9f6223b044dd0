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
        passage_length_penalty: Hypotheses are kept within a passage's own beam search by log p(y|x,z) / tokens **
            passage_length_penalty; 0 keeps them by log p(y|x,z), 1 is the default of transformers' generate and what
            the authors' port runs with. No effect on greedy search, nor on the log-probs reported.
    """

    formulations: ClassVar[tuple[str, ...]] = ("rag_sequence",)
    passage_beams: PositiveInt = 1
    length_penalty: float = 0.0
    passage_length_penalty: float = 0.0

    @property
    def stored(self) -> str:
        """Width, length and penalty: what is kept is the search of a pair, whatever k, retriever and strategy."""
        if self.passage_beams == 1:
            return f"greedy-{self.max_length}"
        penalty = f"-p{self.passage_length_penalty}" if self.passage_length_penalty else ""
        return f"beam{self.passage_beams}-{self.max_length}{penalty}"

    @property
    def beams(self) -> int:
        """Width of each passage's search."""
        return self.passage_beams

    def _decode(self, batch: Batch, build: Callable[..., Sequence[CandidateMatrix]]) -> list[Prediction]:
        from rag_lightning.decoding import rag_sequence

        found = build(
            batch.encodings,
            batch.pairs,
            batch.store,
            num_beams=self.passage_beams,
            max_length=self.max_length,
            beam_penalty=self.passage_length_penalty,
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
