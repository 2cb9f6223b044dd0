"""The query encoder trained by itself, on questions whose passages are known.

DPR's loss (https://arxiv.org/abs/2004.04906, section 3.2) for a frozen index: the passages of the other questions of
the batch are negatives, and so are those the query encoder finds; a question may have several positive passages, whose
probabilities add up. The passage vectors stay as they are, as in RAG training.

Both encoders trained on questions whose passages are known.

DPR's loss (https://arxiv.org/abs/2004.04906, section 3.2): each question has one positive passage and hard negatives;
all passages of a step are candidates of every question. A candidate known to answer a question is never a negative of
it: the probabilities of all right ones add up, which DPR, with one right passage a question, has no need of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.records import Passage
from rag_lightning.retrieval.embed import length_batches
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.tasks.biencoder import LabelledQuestion
from rag_lightning.training.live_retrieval import LiveRetrieval
from rag_lightning.training.module import TOKENS_PER_FORWARD, OptimisedModule, decay_groups, fast_attention
from rag_lightning.training.scaled_retrieval import ScaledRetrieval


@dataclass(frozen=True)
class Sought:
    """A question and the corpus rows of its positive passages, at least one."""

    query: str
    rows: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of characters, a cheap estimate of the number of tokens."""
        return len(self.query)


class QueryEncoderModule(OptimisedModule):
    """log p(positive passages | question) among the candidates of a step.

    Args:
        retrieval: Its query encoder and score_scale are trained.
        config: Optimisation; `k` hard negatives of a question.
        seed: Seed of dropout.
    """

    def __init__(self, retrieval: LiveRetrieval, config: TrainConfig, seed: int) -> None:
        super().__init__(config, seed)
        self.retrieval = retrieval
        retrieval.meter = self.meter
        freeze(retrieval, config)

    def watched(self) -> list[nn.Parameter]:
        """The query encoder, where it is trained."""
        return [parameter for parameter in self.retrieval.encoder.parameters() if parameter.requires_grad]

    def on_fit_start(self) -> None:
        """Choose the fast attention of this device."""
        fast_attention(self.retrieval.encoder.model, self.device)

    def log_likelihood(self, batch: Sequence[Sought]) -> tuple[Tensor, Tensor]:
        """log p(passages | question) [B], and zeros for smoothing."""
        self.meter.pairs += len(batch)
        vectors, found = self.retrieval.find([item.query for item in batch], self.settings.k)
        rows = np.unique(np.concatenate([found[found >= 0], *(np.array(item.rows) for item in batch)]))
        logits = vectors @ self.retrieval.gather(rows).T * self.retrieval.log_scale.exp()
        positive = torch.from_numpy(np.stack([np.isin(rows, item.rows) for item in batch])).to(logits.device)
        likelihood = logits.masked_fill(~positive, -torch.inf).logsumexp(-1) - logits.logsumexp(-1)
        return likelihood, torch.zeros_like(likelihood)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Query encoder and score_scale."""
        return retrieval_groups(self.retrieval, self.settings)


def freeze(retrieval: ScaledRetrieval, config: TrainConfig) -> None:
    """A query encoder is trained where retriever_lr > 0; the scale, and a null document, where scale_lr > 0."""
    if retrieval.encoder is not None:
        retrieval.encoder.requires_grad_(config.retriever_lr > 0)
    for parameter in _logits(retrieval):
        parameter.requires_grad_(config.scale_lr > 0)


def retrieval_groups(retrieval: ScaledRetrieval, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW groups of query encoder and score_scale, each at its own rate; frozen ones are left out."""
    groups = []
    if config.retriever_lr > 0 and retrieval.encoder is not None:
        groups += decay_groups(retrieval.encoder.parameters(), config.retriever_lr, config.weight_decay)
    if config.scale_lr > 0:
        groups.append({"params": _logits(retrieval), "lr": config.scale_lr, "weight_decay": 0.0})
    return groups


def _logits(retrieval: ScaledRetrieval) -> list[nn.Parameter]:
    return [retrieval.log_scale] + ([] if retrieval.null_bias is None else [retrieval.null_bias])


class BiencoderModule(OptimisedModule):
    """log p(right passages | question) among the passages of a step.

    Args:
        query_encoder: The query encoder, trained in place.
        passage_encoder: The passage encoder, trained in place; not the same object.
        score_scale: Start value, above 0; its logarithm is a parameter.
        config: Settings of the optimisation.
        seed: Seed of dropout.
    """

    def __init__(
        self,
        query_encoder: TextEncoder,
        passage_encoder: TextEncoder,
        score_scale: float,
        config: TrainConfig,
        seed: int,
    ) -> None:
        super().__init__(config, seed)
        self.query_encoder, self.passage_encoder = query_encoder, passage_encoder
        self.log_scale = nn.Parameter(torch.tensor(math.log(score_scale)), requires_grad=config.scale_lr > 0)

    def on_fit_start(self) -> None:
        """Choose the fast attention of this device, in both models."""
        for encoder in (self.query_encoder, self.passage_encoder):
            fast_attention(encoder.model, self.device)

    def log_likelihood(self, batch: Sequence[LabelledQuestion]) -> tuple[Tensor, Tensor]:
        """log p(passages | question) [B], and zeros for smoothing."""
        passages = candidates(batch)
        queries = self.query_encoder(**self.query_encoder.tokenize([item.query for item in batch]))
        logits = queries @ self._vectors(list(passages.values())).T * self.log_scale.exp()
        right = torch.tensor([[name in item.right for name in passages] for item in batch], device=logits.device)
        likelihood = logits.masked_fill(~right, -torch.inf).logsumexp(-1) - logits.logsumexp(-1)
        return likelihood, torch.zeros_like(likelihood)

    def _vectors(self, passages: Sequence[Passage]) -> Tensor:
        """[P, D] with gradient; passages of like length share a forward pass."""
        encoded = self.passage_encoder.token_ids(passages)
        groups = list(length_batches([len(item["input_ids"]) for item in encoded], TOKENS_PER_FORWARD))
        parts = [self.passage_encoder(**self.passage_encoder.collate([encoded[i] for i in group])) for group in groups]
        order = torch.tensor([i for group in groups for i in group], device=parts[0].device)
        return torch.cat(parts)[order.argsort()]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Both encoders at one rate, and score_scale at its own."""
        config = self.settings
        groups = [
            group
            for encoder in (self.query_encoder, self.passage_encoder)
            for group in decay_groups(encoder.parameters(), config.retriever_lr, config.weight_decay)
        ]
        if config.scale_lr > 0:
            groups.append({"params": [self.log_scale], "lr": config.scale_lr, "weight_decay": 0.0})
        return groups


def candidates(batch: Sequence[LabelledQuestion]) -> dict[str, Passage]:
    """Every positive and hard negative of the batch once, by id, in the order they are named."""
    named = [passage for item in batch for passage in (item.positive, *item.negatives)]
    return {passage.passage_id: passage for passage in named}
