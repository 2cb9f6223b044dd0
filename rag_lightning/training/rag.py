"""RAG trained end to end: retriever and generator under one marginal likelihood (paper sections 2.1 to 2.4).

A generator trained on given inputs: the reader warm-up (one passage) and closed book (none).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from rag_lightning.config.experiment import Formulation
from rag_lightning.config.trainer import accumulation
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.generator import likelihoods
from rag_lightning.generator.heads import ClassHead
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.opening import Writer
from rag_lightning.training.batches import Item
from rag_lightning.training.distractors import distractors, spread_log_probs
from rag_lightning.training.encoders import freeze, retrieval_groups
from rag_lightning.training.live_retrieval import LiveRetrieval
from rag_lightning.training.module import TrainedModule, fast_attention
from rag_lightning.training.processes import gather_items
from rag_lightning.training.scaled_retrieval import ScaledRetrieval

Marginal = Callable[[Tensor, Tensor, Tensor], Tensor]
MARGINALS: dict[str, tuple[Marginal, Marginal]] = {
    "rag_token": (likelihoods.rag_token, likelihoods.rag_token_smoothing),
    "rag_sequence": (likelihoods.rag_sequence, likelihoods.rag_sequence_smoothing),
    "fid": (likelihoods.rag_token, likelihoods.rag_token_smoothing),
}
"""Likelihood and label smoothing; of fid those of one passage, which all passages together are (fusion.py)."""
FOUND_AHEAD = "found_ahead"
"""Key of a resume point that holds the rows of the next step."""


class RagModule(TrainedModule):
    """RAG-Token or RAG-Sequence.

    Args:
        formulation: rag_token or rag_sequence.
        generator: The generator, trained in place.
        retrieval: Its query encoder, if it has one, is trained where retriever_lr > 0, its scale and null document
            where scale_lr > 0.
        config: Optimisation; `k` passages of a question; the loss of passages that do not hold the target.
        seed: Seed of dropout.

    Raises:
        ConfigError: retrieve_ahead of a retrieval without query encoder.
    """

    def __init__(
        self,
        formulation: Formulation,
        generator: Writer,
        retrieval: ScaledRetrieval,
        config: TrainConfig,
        seed: int,
    ) -> None:
        super().__init__(generator, config, seed)
        self.marginal, self.smoothing = MARGINALS[formulation]
        self.formulation = formulation
        self.retrieval = retrieval
        retrieval.meter = self.meter
        self._read: list[list[Passage | None]] = []
        self._spread: Tensor | None = None
        self._known: list[Tensor] = []
        if config.retrieve_ahead and not isinstance(retrieval, LiveRetrieval):
            raise ConfigError("train.retrieve_ahead=true: this retrieval has no query encoder to search with; leave it")
        freeze(retrieval, config)

    @property
    def identity(self) -> dict[str, str]:
        """Formulation and search ahead: RAG-Token and RAG-Sequence have the same weights."""
        ahead = {"retrieve_ahead": "true"} if self.settings.retrieve_ahead else {}
        return {**super().identity, "formulation": self.formulation, **ahead}

    def watched(self) -> list[nn.Parameter]:
        """The query encoder, where it is trained."""
        encoder = self.retrieval.encoder
        return [] if encoder is None else [p for p in encoder.parameters() if p.requires_grad]

    def describe(self, batch: Sequence[Item]) -> list[dict[str, Any]]:
        """The batch with the passages that were read last, null for an empty one; none where retrieval failed."""
        read = self._read or [[] for _ in batch]
        return [
            {
                "query": item.query,
                "target": item.target,
                "kind": item.kind,
                "passages": [None if passage is None else asdict(passage) for passage in found],
            }
            for item, found in zip(batch, read, strict=True)
        ]

    def on_fit_start(self) -> None:
        """Choose the fast attention of this device, in both models."""
        super().on_fit_start()
        if self.retrieval.encoder is not None:
            fast_attention(self.retrieval.encoder.model, self.device)
        if self.settings.retrieve_ahead and isinstance(self.retrieval, LiveRetrieval):
            parts = accumulation("train", self.settings)
            own = self._known[self.global_rank * parts :][:parts]
            trainer: Any = self.trainer  # which Lightning gives the data it trains on without a type
            upcoming = ([item.query for item in batch] for batch in trainer.datamodule.next_steps())
            self.retrieval.look_ahead(upcoming, self.settings.k, parts, own)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the rows that all processes have found for the next step, as the weights that found them are gone."""
        super().on_save_checkpoint(checkpoint)
        if isinstance(self.retrieval, LiveRetrieval) and self.retrieval.ahead is not None:
            checkpoint[FOUND_AHEAD] = gather_items(self.retrieval.ahead.state())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the rows that were found ahead from a resume point."""
        self._known = checkpoint.get(FOUND_AHEAD, [])

    def losses(self, batch: Sequence[Item]) -> Tensor:
        """The loss of each example [B]: -log p(y|x), and the weighted distractor loss where there is one.

        The latter is a mean over the distractors of each question, not of the step: then the gradient of a step is the
        same whatever batches and processes it is made of.
        """
        losses = super().losses(batch)
        return losses if self._spread is None else losses + self.settings.distractor_weight * self._spread

    def log_likelihood(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """log p(y|x) [B] marginalised over the k passages found, and the smoothing term [B]."""
        self._read, self._spread = [], None
        passages, doc_scores = self.retrieval.read(batch, self.settings.k)
        self._read = passages
        doc_log_probs = likelihoods.doc_log_probs(doc_scores)
        pairs = [Pair(item.query, passage) for item, found in zip(batch, passages, strict=True) for passage in found]
        counts = torch.tensor([len(found) for found in passages], device=self.device)
        found_mask = torch.arange(doc_scores.shape[1], device=self.device) < counts.unsqueeze(1)
        sources, head = self.generator.source_ids(pairs), self.generator.classes
        if isinstance(head, ClassHead):
            classes = self.class_log_probs(head, sources, [pair.query for pair in pairs])
            return self.of_labels(head, likelihoods.rag_class(_scatter(classes, found_mask), doc_log_probs), batch)
        targets, mask = self.targets(batch)
        each, scored = (part.repeat_interleave(counts, dim=0) for part in (targets, mask))
        if self.settings.distractor_loss == "none":
            log_probs, vocabulary = self.pair_log_probs(sources, each, scored)
        else:
            wrong = torch.tensor([flag for flags in distractors(batch, passages) for flag in flags], device=self.device)
            log_probs, vocabulary, spread = spread_log_probs(self, sources, each, scored, wrong)
            counts_wrong = _scatter(wrong, found_mask).sum(-1).clamp_min(1)
            self._spread = _scatter(spread, found_mask).sum(-1) / counts_wrong
        likelihood = self.marginal(_scatter(log_probs, found_mask), doc_log_probs, mask)
        if vocabulary is None:
            return likelihood, torch.zeros_like(likelihood)
        smooth = self.smoothing(_scatter(vocabulary, found_mask), doc_log_probs, mask)
        return likelihood, smooth / vocabulary.shape[-1]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Generator, query encoder and score_scale each at their own rate; frozen ones are left out."""
        return super().parameter_groups() + retrieval_groups(self.retrieval, self.settings)


def _scatter(pairs: Tensor, found: Tensor) -> Tensor:
    """[P, …] of the pairs that exist -> [B, K, …], zero where a question has fewer passages."""
    filled = pairs.new_zeros((*found.shape, *pairs.shape[1:]))
    filled[found] = pairs
    return filled


class ReaderModule(TrainedModule):
    """log p(y | x, z) with the passage an item carries; without one, log p(y | x).

    A warm-up for a class head mixes labels, which the head learns, with cloze questions, whose text the decoder writes.
    With a distractor loss that takes the place of the likelihood of an item whose passage is a distractor.
    """

    def log_likelihood(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """log p(y|x,z) [B] summed over the scored tokens, and the smoothing term [B]."""
        head = self.generator.classes
        claims = [i for i, item in enumerate(batch) if item.kind == "label" and isinstance(head, ClassHead)]
        texts = [i for i in range(len(batch)) if i not in claims]
        parts = [self._text([batch[i] for i in texts])] if texts else []
        if claims and isinstance(head, ClassHead):
            parts.append(self._labels(head, [batch[i] for i in claims]))
        back = torch.tensor([*texts, *claims], device=self.device).argsort()
        likelihood, smooth = (torch.cat(part)[back] for part in zip(*parts, strict=True))
        return likelihood, smooth

    def _text(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        targets, mask = self.targets(batch)
        wrong = torch.tensor([item.distractor for item in batch], device=self.device)
        spread = None
        if self.settings.distractor_loss == "none":
            gathered, vocabulary = self.pair_log_probs(self._sources(batch), targets, mask)
        else:
            gathered, vocabulary, spread = spread_log_probs(self, self._sources(batch), targets, mask, wrong)
        likelihood = gathered.masked_fill(~mask, 0.0).sum(-1)
        smooth = torch.zeros_like(likelihood)
        if vocabulary is not None:
            smooth = vocabulary.mean(-1).masked_fill(~mask, 0.0).sum(-1)
        if spread is None:
            return likelihood, smooth
        return torch.where(wrong, -spread, likelihood), torch.where(wrong, -spread, smooth)

    def _labels(self, head: ClassHead, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        log_probs = self.class_log_probs(head, self._sources(batch), [item.query for item in batch])
        return self.of_labels(head, log_probs, batch)

    def _sources(self, batch: Sequence[Item]) -> list[list[int]]:
        return self.generator.source_ids([Pair(item.query, item.passage) for item in batch])
