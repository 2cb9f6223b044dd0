"""Strategies of models whose next-token distribution is one: RAG-Token's marginal, or the reader's own.

Greedy is a beam search of width 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.core.records import Prediction
from rag_lightning.decoding.strategy import Batch, Search


@dataclass(frozen=True)
class Greedy(Search):
    """Greedy search over the next-token distribution."""

    title: ClassVar[str] = "greedy"
    formulations: ClassVar[tuple[str, ...]] = ("rag_token", "closed_book")

    @property
    def stored(self) -> str:
        """Width and length: what is kept is the search of a whole question."""
        return f"token{self.beams}-{self.max_length}"

    def predict(self, batch: Batch) -> list[Prediction]:
        """The search of all questions together."""
        return self._searched(batch, 0.0)

    def _searched(self, batch: Batch, length_penalty: float) -> list[Prediction]:
        import torch

        from rag_lightning.decoding import rag_token
        from rag_lightning.generator.likelihoods import doc_log_probs

        scores = torch.full((len(batch.questions), max(map(len, batch.read))), -torch.inf)
        for row, question in zip(scores, batch.questions, strict=True):
            row[: len(question.logits)] = torch.tensor(question.logits)
        pools = rag_token.decode(
            batch.encodings,
            batch.pairs,
            doc_log_probs(scores),
            num_beams=self.beams,
            max_length=self.max_length,
            store=batch.store if batch.formulation == "rag_token" else None,
        )
        return batch.realised(pools, length_penalty)


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
