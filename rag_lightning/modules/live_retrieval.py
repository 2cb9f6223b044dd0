"""Retrieval inside training: the live query encoder against a frozen index.

Rows come from the flat index; doc_scores are computed again from the gathered passage vectors, so that the gradient
reaches the query encoder and score_scale. Passage encoder and index are frozen (paper section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import Index
from rag_lightning.modules.divergence import is_finite
from rag_lightning.modules.meter import Meter
from rag_lightning.retrieval.encoders import TextEncoder


class LiveRetrieval(nn.Module):
    """The trained half of the retriever.

    Args:
        encoder: The query encoder, trained in place.
        index: Exact search over the passage vectors.
        vectors: [N, D] float32, memory-mapped.
        store: Row -> Passage.
        score_scale: Start value; its logarithm is a parameter.

    Attributes:
        meter: Of the training it is part of; its own until then.

    Raises:
        ConfigError: a score_scale that has no logarithm.
    """

    def __init__(
        self, encoder: TextEncoder, index: Index, vectors: NDArray[np.float32], store: PassageStore, score_scale: float
    ) -> None:
        super().__init__()
        check_scale(score_scale)
        self.encoder = encoder
        self.log_scale = nn.Parameter(torch.tensor(math.log(score_scale)))
        self._index, self._vectors, self._store = index, vectors, store
        self.meter = Meter()

    @property
    def score_scale(self) -> float:
        """What inner products are multiplied by."""
        return float(self.log_scale.detach().exp())

    def learnt_scale(self, rate: str) -> float:
        """The scale after training at the rate of that name.

        Raises:
            ConfigError: training has driven it to 0 or beyond all numbers.
        """
        return check_learnt_scale(self.score_scale, rate)

    def search(self, queries: Sequence[str], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """rows [B, k] (-1 = nothing found) and scaled doc_scores [B, k], without gradient or dropout."""
        scores, rows = self._index.search(self.encoder.encode_texts(queries), k)
        return rows, scores * np.float32(self.score_scale)

    def find(self, queries: Sequence[str], k: int) -> tuple[Tensor, NDArray[np.int64]]:
        """Query vectors [B, D] with gradient, and the rows [B, k] they find (-1 = nothing found).

        Raises:
            FloatingPointError: a vector is no number.
        """
        vectors = self.encoder(**self.encoder.tokenize(queries)).float()
        if not is_finite(vectors):
            raise FloatingPointError("a query vector is not finite")
        with self.meter.retrieving():
            _, rows = self._index.search(np.ascontiguousarray(vectors.detach().cpu().numpy(), dtype=np.float32), k)
        return vectors, rows

    def gather(self, rows: NDArray[np.int64]) -> Tensor:
        """Frozen passage vectors [*rows, D]."""
        with self.meter.retrieving():
            return torch.from_numpy(self._vectors[rows]).to(self.log_scale.device)

    def forward(self, queries: Sequence[str], k: int) -> tuple[list[list[Passage]], Tensor]:
        """Passages of each query and doc_scores [B, K], which carry the gradient."""
        vectors, rows = self.find(queries, k)
        scores = torch.einsum("bd,bkd->bk", vectors, self.gather(np.maximum(rows, 0))) * self.log_scale.exp()
        missing = torch.from_numpy(rows < 0).to(vectors.device)
        with self.meter.retrieving():
            found = [[self._store[row] for row in line if row >= 0] for line in rows.tolist()]
        return found, scores.masked_fill(missing, -torch.inf)


def check_scale(score_scale: float) -> None:
    """Raise ConfigError for a score_scale that has no logarithm."""
    if not (math.isfinite(score_scale) and score_scale > 0):
        raise ConfigError(f"encoder.score_scale={score_scale} must be a finite number above 0")


def check_learnt_scale(score_scale: float, rate: str) -> float:
    """The scale that training at the rate of that name ended with.

    Raises:
        ConfigError: training has driven it to 0 or beyond all numbers.
    """
    if not (math.isfinite(score_scale) and score_scale > 0):
        raise ConfigError(f"training has made score_scale {score_scale}; lower {rate}")
    return score_scale
