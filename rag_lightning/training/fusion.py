"""FiD trained: cross-entropy of the target given all passages that are retrieved (Izacard and Grave 2020, section 3).

The retriever finds `train.k` passages and is not trained: the likelihood holds no p(z|x). The authors draw one of the
accepted answers as target each time a question is seen; here an item has one target, as in RAG training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from rag_lightning.config.training import TrainConfig
from rag_lightning.decoding.fusion import seq2seq_writer
from rag_lightning.generator.fusion import fused_lengths
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.opening import Writer
from rag_lightning.generator.seq2seq import token_batches
from rag_lightning.training.batches import Item
from rag_lightning.training.module import TOKENS_PER_FORWARD
from rag_lightning.training.rag import RagModule
from rag_lightning.training.scaled_retrieval import ScaledRetrieval


class FusionModule(RagModule):
    """FiD: the generator is trained, the retriever is not.

    Args:
        generator: The generator, trained in place.
        retrieval: Finds the passages; left as it is.
        config: Optimisation; `k` passages of a question. Rates of retriever and scale count as 0.
        seed: Seed of dropout.

    Raises:
        ConfigError: a decoder-only generator, or one that predicts labels.
    """

    def __init__(self, generator: Writer, retrieval: ScaledRetrieval, config: TrainConfig, seed: int) -> None:
        limit = seq2seq_writer(generator).config.max_fused_length
        still = replace(config, retriever_lr=0.0, scale_lr=0.0, retrieve_ahead=False)
        super().__init__("fid", generator, retrieval, still, seed)
        self._limit = limit

    def log_likelihood(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """log p(y|x,z_1,...,z_K) [B] given the passages found, and the smoothing term [B].

        Raises:
            ConfigError: a question whose passages have more tokens than generator.max_fused_length.
        """
        self._read = []
        # as at prediction: without dropout, in float32
        with self.meter.retrieving(), torch.autocast(self.device.type, enabled=False):
            rows, _ = self.retrieval.ranked(batch, self.settings.k)
        self._read = [[*found] or [None] for found in self.retrieval.passages(rows)]
        pairs = [Pair(item.query, passage) for item, found in zip(batch, self._read, strict=True) for passage in found]
        sources, ends = self.generator.source_ids(pairs), accumulate(map(len, self._read), initial=0)
        targets, mask = self.targets(batch)
        log_probs, vocabulary = self._log_probs([sources[a:b] for a, b in pairwise(ends)], targets, mask)
        certain = torch.zeros((len(batch), 1), device=self.device)
        likelihood = self.marginal(log_probs.unsqueeze(1), certain, mask)
        if vocabulary is None:
            return likelihood, torch.zeros_like(likelihood)
        return likelihood, self.smoothing(vocabulary.unsqueeze(1), certain, mask) / vocabulary.shape[-1]

    def _log_probs(
        self, sources: Sequence[Sequence[Sequence[int]]], targets: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """[B, T] log-probs of the targets where the mask is true; for label smoothing only, of all tokens [B, T, V]."""
        smooth = self.settings.label_smoothing > 0
        generator, order = seq2seq_writer(self.generator), list[int]()
        parts: list[Tensor] = []
        vocabulary: list[Tensor] = []
        for group in token_batches(fused_lengths(sources, self._limit), TOKENS_PER_FORWARD):
            read = [sources[i] for i in group]
            self.meter.pairs += sum(map(len, read))
            self.meter.read([len(row) for rows in read for row in rows])
            result = generator.fused_log_probs(read, targets[group], smooth, mask[group])
            parts.append(result[0] if smooth else result)
            vocabulary += result[1:] if smooth else ()
            order += group
        back = torch.tensor(order, device=self.device).argsort()
        return torch.cat(parts)[back], torch.cat(vocabulary)[back] if smooth else None
