"""Strategies of models whose next-token distribution is one: RAG-Token's marginal, FiD's, or the reader's own.

Greedy is a beam search of width 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.core.records import Prediction
from rag_lightning.decoding.strategy import Batch, Search

if TYPE_CHECKING:
    from rag_lightning.decoding.beam import Finished


@dataclass(frozen=True)
class Greedy(Search):
    """Greedy search over the next-token distribution."""

    title: ClassVar[str] = "greedy"
    formulations: ClassVar[tuple[str, ...]] = ("rag_token", "closed_book", "fid")

    @property
    def stored(self) -> str:
        """Width and length: what is kept is the search of a whole question."""
        return f"token{self.beams}-{self.max_length}"

    def predict(self, batch: Batch) -> list[Prediction]:
        """The search of all questions together."""
        return self._searched(batch, 0.0)

    def _searched(self, batch: Batch, length_penalty: float) -> list[Prediction]:
        return batch.realised(
            self._fused(batch) if batch.formulation == "fid" else self._marginal(batch), length_penalty
        )

    def _fused(self, batch: Batch) -> list[list[Finished]]:
        from rag_lightning.decoding import fusion

        return fusion.decode(
            batch.encodings, batch.pairs, num_beams=self.beams, max_length=self.max_length, store=batch.store
        )

    def _marginal(self, batch: Batch) -> list[list[Finished]]:
        import torch

        from rag_lightning.decoding import rag_token
        from rag_lightning.generator.likelihoods import doc_log_probs

        k = max(map(len, batch.read))
        logits = [[*q.logits, *[-torch.inf] * (k - len(q.logits))] for q in batch.questions]
        return rag_token.decode(
            batch.encodings,
            batch.pairs,
            doc_log_probs(torch.tensor(logits, device="cpu")),
            num_beams=self.beams,
            max_length=self.max_length,
            store=batch.store if batch.formulation == "rag_token" else None,
        )


@dataclass(frozen=True)
class Beam(Greedy):
    """Beam search over the next-token distribution.

    Args:
        num_beams: Hypotheses kept at each token.
        length_penalty: Hypotheses are ranked by log p(y|x) / tokens ** length_penalty, the end token counted; 0 ranks
            by log p(y|x). Which are found, and the log-probs reported, do not depend on it.
    """

    title: ClassVar[str] = "beam"
    num_beams: PositiveInt = 4
    length_penalty: float = 0.0

    @property
    def beams(self) -> int:
        """Width of the search."""
        return self.num_beams

    def predict(self, batch: Batch) -> list[Prediction]:
        """The search of all questions together."""
        return self._searched(batch, self.length_penalty)
