"""A generator trained on given inputs: the reader warm-up (one passage) and closed book (none)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.generator.classes import ClassHead
from rag_lightning.generator.inputs import Pair
from rag_lightning.modules.batches import Item
from rag_lightning.modules.training import TrainedModule


class ReaderModule(TrainedModule):
    """log p(y | x, z) with the passage an item carries; without one, log p(y | x).

    A warm-up for a class head mixes labels, which the head learns, with cloze questions, whose text the decoder writes.
    """

    def log_likelihood(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """[B] summed over the scored tokens, and the smoothing term [B]."""
        head = self.generator.classes
        claims = [i for i, item in enumerate(batch) if item.kind == "label" and isinstance(head, ClassHead)]
        texts = [i for i in range(len(batch)) if i not in claims]
        parts = [self._text([batch[i] for i in texts])] if texts else []
        if claims and isinstance(head, ClassHead):
            parts.append(self._labels(head, [batch[i] for i in claims]))
        back = torch.tensor([*texts, *claims]).argsort()
        likelihood, smooth = (torch.cat(part)[back] for part in zip(*parts, strict=True))
        return likelihood, smooth

    def _text(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        targets, mask = self.targets(batch)
        gathered, vocabulary = self.pair_log_probs(self._sources(batch), targets, mask)
        likelihood = gathered.masked_fill(~mask, 0.0).sum(-1)
        if vocabulary is None:
            return likelihood, torch.zeros_like(likelihood)
        return likelihood, vocabulary.mean(-1).masked_fill(~mask, 0.0).sum(-1)

    def _labels(self, head: ClassHead, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        log_probs = self.class_log_probs(head, self._sources(batch), [item.query for item in batch])
        return self.of_labels(head, log_probs, batch)

    def _sources(self, batch: Sequence[Item]) -> list[list[int]]:
        return self.generator.source_ids([Pair(item.query, item.passage) for item in batch])
