"""Both encoders trained on questions whose passages are known.

DPR's loss (https://arxiv.org/abs/2004.04906, section 3.2): each question has one positive passage and hard negatives;
all passages of a step are candidates of every question. A candidate known to answer a question is never a negative of
it: the probabilities of all right ones add up, which DPR, with one right passage a question, has no need of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rag_lightning.core.records import Passage
from rag_lightning.core.trainer_config import TrainerConfig
from rag_lightning.modules.training import TOKENS_PER_FORWARD, OptimisedModule, decay_groups, fast_attention
from rag_lightning.retrieval.embed import length_batches
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.tasks.biencoder import KnownPassages


class BiencoderModule(OptimisedModule):
    """log p(right passages | question) among the passages of a step.

    Args:
        query_encoder: Trained in place.
        passage_encoder: Trained in place; not the same object.
        score_scale: Start value, above 0; its logarithm is a parameter.
        config: Optimisation.
        seed: Of dropout.
    """

    def __init__(
        self,
        query_encoder: TextEncoder,
        passage_encoder: TextEncoder,
        score_scale: float,
        config: TrainerConfig,
        seed: int,
    ) -> None:
        super().__init__(config, seed)
        self.query_encoder, self.passage_encoder = query_encoder, passage_encoder
        self.log_scale = nn.Parameter(torch.tensor(math.log(score_scale)), requires_grad=config.scale_lr > 0)

    def on_fit_start(self) -> None:
        """The fast way of training attention, in both models."""
        for encoder in (self.query_encoder, self.passage_encoder):
            fast_attention(encoder.model, self.device)

    def log_likelihood(self, batch: Sequence[KnownPassages]) -> tuple[Tensor, Tensor]:
        """[B], and zeros for smoothing."""
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
        order = torch.tensor([i for group in groups for i in group])
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


def candidates(batch: Sequence[KnownPassages]) -> dict[str, Passage]:
    """Every positive and hard negative of the batch once, by id, in the order they are named."""
    named = [passage for item in batch for passage in (item.positive, *item.negatives)]
    return {passage.passage_id: passage for passage in named}
