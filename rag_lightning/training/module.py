"""The base of all trained models: loss reduction, AdamW, per-step seeds, the dev score, the meter.

The learning rate of a step: linear warm-up, then linear or polynomial decay.

The authors' sample script (finetune_rag.sh) trains with polynomial decay, the option of that name in fairseq
(`polynomial_decay`, end_learning_rate 0, power 1 by default) and transformers (lr_end 1e-7).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from rag_lightning.config.trainer import accumulation
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.hardware import collect_memory
from rag_lightning.core.records import Example
from rag_lightning.generator.heads import ClassHead, LabelTokens, label_number
from rag_lightning.generator.inputs import pad_ids
from rag_lightning.generator.opening import Writer
from rag_lightning.generator.seq2seq import Seq2SeqGenerator, token_batches
from rag_lightning.generator.trained_part import checkpoint_encoder
from rag_lightning.training.batches import Item, seed_step
from rag_lightning.training.measures import (
    Evaluator,
    Meter,
    Monitor,
    NotFinite,
    ScoredBatch,
    Scorer,
    dev_score,
    gradient_norm,
    is_finite,
)
from rag_lightning.training.processes import gather_items

TRAINED = "trained"
"""Key of a resume point that names the model it belongs to."""
TOKENS_PER_FORWARD = 4096
"""Padded source tokens of one forward pass: pairs of a step are grouped by length."""


class OptimisedModule(pl.LightningModule):
    """A model trained by its negative log-likelihood.

    Args:
        config: Settings of the optimisation.
        seed: Seed of dropout.

    Attributes:
        evaluator: Scores dev examples.
        monitor: Observes the retrieval of every evaluation; None for no monitoring.
        meter: Counts of pairs, tokens and seconds.
        observed: Values of the last evaluation beside dev_score.
    """

    def __init__(self, config: TrainConfig, seed: int) -> None:
        super().__init__()
        self.settings = config
        self.seed = seed
        self.evaluator: Evaluator | None = None
        self.monitor: Monitor | None = None
        self.meter = Meter()
        self.observed: dict[str, float] = {}
        self._score: Scorer | None = None
        self._scored: list[ScoredBatch] = []

    @property
    def identity(self) -> dict[str, str]:
        """Properties that a resume point must share, beside names and shapes of the weights."""
        return {"module": type(self).__name__}

    def watched(self) -> list[nn.Parameter]:
        """The parameters whose gradient norm is logged at every step."""
        return []

    def log_likelihood(self, batch: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """log p(y|x) [B] and the smoothing term [B], a mean over outcomes (0 when label_smoothing is 0)."""
        raise NotImplementedError  # pragma: no cover - abstract

    def losses(self, batch: Sequence[Any]) -> Tensor:
        """-log p(y|x) of each example [B]; label smoothing as transformers' RAG does it."""
        likelihood, smooth = self.log_likelihood(batch)
        epsilon = self.settings.label_smoothing
        return -((1 - epsilon) * likelihood + epsilon * smooth)

    def training_step(self, batch: Sequence[Any], index: int) -> Tensor:
        """Mean over the batch of the examples' losses.

        Raises:
            NotFinite: the loss is not finite.
        """
        parts = accumulation("train", self.settings)
        seed_step(self.seed, self.global_step * parts + index % parts, self.global_rank)
        self._batch = batch
        try:
            loss = self.losses(batch).mean()
        except FloatingPointError as error:
            raise NotFinite(str(error), self.global_step, self.describe(batch)) from error
        self.check_finite("the loss", loss)
        self.log("loss", loss.detach(), prog_bar=True, sync_dist=True)
        return loss

    def check_finite(self, what: str, value: Tensor) -> None:
        """Raise NotFinite, with the batch of this step, where the value is not finite."""
        if not is_finite(value):
            raise NotFinite(f"{what} is not finite", self.global_step, self.describe(self._batch))

    def describe(self, batch: Sequence[Any]) -> list[dict[str, Any]]:
        """A batch as plain JSON values, for inspection."""
        return [asdict(item) for item in batch]

    def setup(self, stage: str) -> None:
        """Refuse processes on different classes of devices, whose numbers would differ.

        Raises:
            ConfigError: some are on one, some on another.
        """
        kinds = set(gather_items([self.trainer.strategy.root_device.type]))
        if len(kinds) > 1:
            found = " and ".join(sorted(kinds))
            raise ConfigError(f"processes that train together are on {found}; set device to one of them everywhere")

    def on_validation_epoch_start(self) -> None:
        """Start the evaluator with the current weights, and return free memory to the system."""
        collect_memory()
        self._score, self._scored = self.evaluator() if self.evaluator else None, []

    def validation_step(self, batch: list[Example], index: int) -> None:
        """The task's objective of every question of a batch of this process."""
        if self._score is None:
            raise RuntimeError("set `evaluator` before evaluating on dev data")
        if not batch:
            return
        number = self.global_rank + index * self.trainer.world_size
        self._scored.append(ScoredBatch(number, tuple(e.example_id for e in batch), tuple(self._score(batch))))

    def on_validation_epoch_end(self) -> None:
        """The dev score: mean of the objective over all questions, whatever the batches and processes."""
        self.log("dev_score", dev_score(gather_items(self._scored)), prog_bar=True, sync_dist=True)
        self.observed = self.monitor.close(self.global_step) if self.monitor else {}
        self._score = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the identity of the model, so that no other model is continued from it."""
        checkpoint[TRAINED] = self.identity

    def transfer_batch_to_device(self, batch: Any, device: Any, index: int) -> Any:
        """Batches are text; tensors are made on the device in the step."""
        return batch

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by norm here: Lightning refuses a fused optimizer, though bfloat16 scales no gradients.

        Raises:
            NotFinite: a gradient is not finite.
        """
        norm = gradient_norm(self.parameters())
        self.check_finite("a gradient", norm)
        if gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of AdamW, each at its own rate."""
        raise NotImplementedError  # pragma: no cover - abstract

    def configure_optimizers(self) -> Any:
        """AdamW under the configured schedule, which counts optimiser steps."""
        optimizer = torch.optim.AdamW(self.parameter_groups(), lr=self.settings.lr, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, self.settings))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class TrainedModule(OptimisedModule):
    """A generator, trained by the negative log-likelihood its subclass defines.

    Args:
        generator: The generator, trained in place.
        config: Settings of the optimisation.
        seed: Seed of dropout.
    """

    def __init__(self, generator: Writer, config: TrainConfig, seed: int) -> None:
        super().__init__(config, seed)
        self.generator = generator

    def on_fit_start(self) -> None:
        """Choose the fast attention of this device, and activation checkpointing where it is configured."""
        fast_attention(self.generator.model, self.device)
        if self.settings.checkpoint_encoder:
            checkpoint_encoder(self.generator)

    def targets(self, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """Scored tokens [B, T] of the batch, padded, and their mask [B, T]; a label token stands alone."""
        ids, classes = self.generator.target_ids([item.target for item in batch]), self.generator.classes
        if isinstance(classes, LabelTokens):
            ids = [
                [classes.token_ids[label_number(classes, item.target)]] if item.kind == "label" else row
                for item, row in zip(batch, ids, strict=True)
            ]
        padded, mask = pad_ids(ids, self.generator.pad_id, self.device)
        return padded, mask.bool()

    def pair_log_probs(
        self, sources: Sequence[Sequence[int]], targets: Tensor, mask: Tensor, spread: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """[P, T] log-probs of the targets where the mask is true, and what else is wanted of the vocabulary.

        The second result: for label smoothing, log-probs of all tokens [P, T, V]; else, where `spread` [P, T] is given,
        -KL(uniform || p) [P, T] of the tokens it marks; else None.
        """
        smooth = self.settings.label_smoothing > 0
        order: list[int] = []
        parts: list[tuple[Tensor, ...]] = []
        for group in self._forwards(sources):
            marked = None if spread is None or smooth else spread[group]
            asked = [sources[i] for i in group]
            result = self.generator.token_log_probs(asked, targets[group], smooth, mask[group], marked)
            parts.append(result if isinstance(result, tuple) else (result,))
            order += group
        back = torch.tensor(order, device=self.device).argsort()
        found = [torch.cat(part)[back] for part in zip(*parts, strict=True)]
        return found[0], found[1] if len(found) > 1 else None

    def class_log_probs(self, head: ClassHead, sources: Sequence[Sequence[int]], queries: Sequence[str]) -> Tensor:
        """[P, C] log-probs of all classes under P pairs."""
        if not isinstance(self.generator, Seq2SeqGenerator):
            raise TypeError("a class head reads the decoder of a seq2seq generator")
        order: list[int] = []
        parts: list[Tensor] = []
        for group in self._forwards(sources):
            parts.append(self.generator.class_log_probs(head, [sources[i] for i in group], [queries[i] for i in group]))
            order += group
        return torch.cat(parts)[torch.tensor(order, device=self.device).argsort()]

    def _forwards(self, sources: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Positions of the pairs of each forward pass, counted with their padding."""
        self.meter.pairs += len(sources)
        for group in token_batches([len(s) for s in sources], TOKENS_PER_FORWARD):
            self.meter.read([len(sources[i]) for i in group])
            yield group

    def of_labels(self, head: ClassHead, log_probs: Tensor, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
        """[B, C] of the batch -> log-probs of the labels [B] and the mean over all classes [B]."""
        wanted = torch.tensor([label_number(head, item.target) for item in batch], device=log_probs.device)
        return log_probs.gather(-1, wanted.unsqueeze(-1)).squeeze(-1), log_probs.mean(-1)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Generator parameters: weight decay on matrices only."""
        return decay_groups(self.generator.parameters(), self.settings.lr, self.settings.weight_decay)


def fast_attention(model: Any, device: torch.device) -> None:
    """torch's fused attention has a slow backward pass on a CPU: 1.3 times the whole step at 70 to 150 tokens."""
    if device.type == "cpu":
        model.set_attn_implementation("eager")


def decay_groups(parameters: Any, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Two AdamW groups: matrices with decay, vectors without."""
    kept = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in kept if p.ndim > 1], "lr": lr, "weight_decay": weight_decay},
        {"params": [p for p in kept if p.ndim <= 1], "lr": lr, "weight_decay": 0.0},
    ]


def rate_factor(step: int, config: TrainConfig) -> float:
    """Share of its peak rate that every parameter group is trained at.

    Args:
        step: Optimiser steps done before this one.
        config: steps, warmup, and the decay.

    Returns:
        0 to 1; the smaller of the rising line (step + 1) / warmup and the decay.
    """
    rising = (step + 1) / max(config.warmup, 1)
    falling = (config.steps - step) / max(config.steps - config.warmup, 1)
    if config.decay == "polynomial":
        end = config.end_lr / config.lr if config.lr else 0.0
        falling = (1 - end) * min(max(falling, 0.0), 1.0) ** config.power + end
    return max(min(rising, falling, 1.0), 0.0)
