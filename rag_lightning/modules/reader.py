"""A generator trained on given inputs: the reader warm-up (one passage) and closed book (none)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.generator.inputs import Pair
from rag_lightning.modules.batches import Item
from rag_lightning.modules.training import TrainedModule


class ReaderModule(TrainedModule):
    """log p(y | x, z) with the passage an item carries; without one, log p(y | x)."""

    def log_likelihood(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """[B] summed over the scored tokens, and the smoothing term [B]."""
        targets, mask = self.targets(batch)
        sources = self.generator.source_ids([Pair(item.query, item.passage) for item in batch])
        gathered, vocabulary = self.pair_log_probs(sources, targets)
        likelihood = gathered.masked_fill(~mask, 0.0).sum(-1)
        if vocabulary is None:
            return likelihood, torch.zeros_like(likelihood)
        return likelihood, vocabulary.sum(-1).masked_fill(~mask, 0.0).sum(-1)
