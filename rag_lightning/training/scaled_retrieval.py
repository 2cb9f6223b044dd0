"""Retrieval in training, by any retriever: scores times a learnt scale, and optionally a null document."""

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
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import Asked, Hits, QuestionRetriever
from rag_lightning.training.measures import Meter


class ScaledRetrieval(nn.Module):
    """Retrieval with a score_scale that is learnt.

    Args:
        store: Row -> Passage.
        score_scale: Start value; its logarithm is a parameter.
        field: Field of the configuration, for the message.

    Attributes:
        encoder: The query encoder, None where there is none.
        log_scale: Logarithm of the scale, a scalar.
        null_bias: The logit of an empty passage beside those that were found, a scalar; None for no such passage.
        meter: Meter of the training it is part of; its own until then.

    Raises:
        ConfigError: a score_scale that has no logarithm.
    """

    encoder: TextEncoder | None
    null_bias: nn.Parameter | None

    def __init__(self, store: PassageStore, score_scale: float, field: str) -> None:
        super().__init__()
        check_scale(score_scale, field)
        self.log_scale = nn.Parameter(torch.tensor(math.log(score_scale)))
        self.register_parameter("null_bias", None)
        self.store = store
        self.meter = Meter()

    @property
    def score_scale(self) -> float:
        """Factor of the scores."""
        return float(self.log_scale.detach().exp())

    @property
    def null_score(self) -> float | None:
        """The null document's logit, None where there is no null document."""
        return None if self.null_bias is None else float(self.null_bias.detach())

    def learnt_scale(self, rate: str) -> float:
        """The scale after training at the rate of that name.

        Raises:
            ConfigError: training has driven it to 0 or to infinity.
        """
        return check_learnt_scale(self.score_scale, rate)

    def scored(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], Tensor]:
        """rows [B, k] (-1 = nothing found) and scaled doc_scores [B, k] (-inf there), with gradient."""
        raise NotImplementedError  # pragma: no cover - abstract

    def ranked(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """`scored` for decoding, without gradient or dropout."""
        raise NotImplementedError  # pragma: no cover - abstract

    def passages(self, rows: NDArray[np.int64]) -> list[list[Passage]]:
        """The passages of each line of rows [B, k]."""
        with self.meter.retrieving():
            return [[self.store[row] for row in line if row >= 0] for line in rows.tolist()]

    def read(self, asked: Sequence[Asked], k: int) -> tuple[list[list[Passage | None]], Tensor]:
        """The passages the generator reads for each question, and doc_scores [B, K] with gradient, absent ones last.

        None is an empty passage: the null document, which stands first and makes K = k + 1, or the only passage of a
        question for which nothing was found.
        """
        rows, scores = self.scored(asked, k)
        found = self.passages(rows)
        if self.null_bias is not None:
            return [[None, *line] for line in found], torch.cat([self.null_bias.expand(len(found), 1), scores], dim=1)
        empty = torch.zeros_like(scores, dtype=torch.bool)
        empty[:, 0] = torch.tensor([not line for line in found], device=scores.device)
        return [list(line) or [None] for line in found], scores.masked_fill(empty, 0.0)

    @torch.no_grad()
    def add_null_document(self, asked: Sequence[Asked], k: int) -> None:
        """Begin a null document as an average passage: its logit is the mean doc_score of these questions."""
        _, scores = self.ranked(asked, k)
        found = scores[np.isfinite(scores)]
        mean = float(found.mean()) if len(found) else 0.0
        self.null_bias = nn.Parameter(torch.tensor(mean, device=self.log_scale.device))


class FixedRetrieval(ScaledRetrieval):
    """Retrieval of which only the scale is trained: BM25, random.

    Args:
        retriever: Ranks the corpus.
        store: Row -> Passage.
        score_scale: Start value; its logarithm is a parameter.
        field: Field of the configuration, for the message.
    """

    def __init__(self, retriever: QuestionRetriever, store: PassageStore, score_scale: float, field: str) -> None:
        super().__init__(store, score_scale, field)
        self.encoder = None
        self._retriever = retriever

    def scored(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], Tensor]:
        """As ScaledRetrieval."""
        with self.meter.retrieving():
            rows, raw = pad_hits(self._retriever.retrieve(asked, k), k)
        scores = torch.from_numpy(np.where(rows < 0, 0.0, raw).astype(np.float32)).to(self.log_scale.device)
        missing = torch.from_numpy(rows < 0).to(scores.device)
        return rows, (scores * self.log_scale.exp()).masked_fill(missing, -torch.inf)

    def ranked(self, asked: Sequence[Asked], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As ScaledRetrieval."""
        rows, raw = pad_hits(self._retriever.retrieve(asked, k), k)
        return rows, raw * np.float32(self.score_scale)


def pad_hits(hits: Sequence[Hits], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Hits -> rows [B, k] and scores [B, k]; nothing found: row -1, score -inf."""
    rows = np.full((len(hits), k), -1, dtype=np.int64)
    scores = np.full((len(hits), k), -np.inf, dtype=np.float32)
    for i, found in enumerate(hits):
        rows[i, : len(found.rows)], scores[i, : len(found.rows)] = found.rows, found.scores
    return rows, scores


def check_scale(score_scale: float, field: str = "encoder.score_scale") -> None:
    """Raise ConfigError, naming the field, for a score_scale that has no logarithm."""
    if not (math.isfinite(score_scale) and score_scale > 0):
        raise ConfigError(f"{field}={score_scale} must be a finite number above 0")


def check_learnt_scale(score_scale: float, rate: str) -> float:
    """The scale that training at the rate of that name ended with.

    Raises:
        ConfigError: training has driven it to 0 or to infinity.
    """
    if not (math.isfinite(score_scale) and score_scale > 0):
        raise ConfigError(f"training has made score_scale {score_scale}; lower {rate}")
    return score_scale
