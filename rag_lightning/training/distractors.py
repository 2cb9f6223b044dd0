"""Distractors: passages that do not hold the answer, and the loss under which a generator is not sure of one (ours).

The gradient of the marginal likelihood at a passage is weighted by p(z|x,y), which is near 0 where y cannot be copied:
RAG training alone does not teach a generator which passages answer. The loss of a distractor is KL(uniform || p) =
-(mean over the vocabulary of log p) - log V, at the first target token or as the mean over all target tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.core.records import Passage, passage_text
from rag_lightning.generator.inputs import TITLE_END
from rag_lightning.generator.likelihoods import minus_kl_uniform
from rag_lightning.metrics.answers import has_answer
from rag_lightning.training.batches import Item
from rag_lightning.training.module import TrainedModule


def is_distractor(item: Item, passage: Passage | None) -> bool:
    """Whether a passage read for a training example neither is gold nor holds its target, in title or text.

    A target that is not copied stands in no passage: without a known gold passage nothing is a distractor. Nor is the
    empty passage of a null document, or of a question for which nothing was found.
    """
    if passage is None or passage.passage_id in item.gold_passage_ids:
        return False
    if item.kind != "copied":
        return bool(item.gold_passage_ids)
    return not has_answer([item.target], passage_text(passage, TITLE_END))


def spread_log_probs(
    module: TrainedModule, sources: Sequence[Sequence[int]], targets: Tensor, mask: Tensor, distractors: Tensor
) -> tuple[Tensor, Tensor | None, Tensor]:
    """`pair_log_probs` of a module, and the distractor loss of its settings.

    Args:
        module: The module; settings.distractor_loss is spread_first or spread_all.
        sources: P rows of ids.
        targets: [P, T] target tokens, padded.
        mask: [P, T] true where a target token is scored.
        distractors: [P] true where the passage of a pair is a distractor.

    Returns:
        [P, T] log p of the targets; for label smoothing [P, T, V] of all tokens, else None; [P] KL(uniform || p), 0
        where the passage is no distractor.
    """
    wanted = mask & distractors.unsqueeze(1)
    if module.settings.distractor_loss == "spread_first":
        wanted &= torch.arange(mask.shape[1], device=mask.device) == 0
    gathered, beside = module.pair_log_probs(sources, targets, mask, wanted)
    assert beside is not None
    if module.settings.label_smoothing > 0:
        even = minus_kl_uniform(beside.mean(-1), beside).masked_fill(~wanted, 0.0)
        return gathered, beside, -even.sum(-1) / wanted.sum(-1).clamp_min(1)
    return gathered, None, -beside.sum(-1) / wanted.sum(-1).clamp_min(1)


def distractors(items: Sequence[Item], read: Sequence[Sequence[Passage | None]]) -> list[list[bool]]:
    """Whether each passage read for each example is a distractor."""
    return [[is_distractor(item, passage) for passage in found] for item, found in zip(items, read, strict=True)]
