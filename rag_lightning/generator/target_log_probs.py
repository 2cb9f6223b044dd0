"""log p of the target tokens, for training: one buffer over the vocabulary goes through forward and backward pass.

By the chain rule alone, `logit[y] - logsumexp(logits)` holds several tensors of the logits' size [P, T, V] when the
backward pass begins, which is when a training step needs most memory. Here the log-softmax is made in one pass, kept,
and turned into the gradient where it lies. What is not scored is not multiplied with the vocabulary.

Shapes: P pairs, T target tokens, M scored target tokens, D state size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class _Gathered(torch.autograd.Function):
    """Logits [M, V] of any type and tokens [M] -> log p [M] float32; to be differentiated once."""

    @staticmethod
    def forward(context: Any, logits: Tensor, tokens: Tensor) -> Tensor:
        log_probs = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
        at = tokens.unsqueeze(-1)
        context.save_for_backward(log_probs, at)
        context.dtype = logits.dtype
        return log_probs.gather(-1, at).squeeze(-1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        log_probs, at = context.saved_tensors
        of_row = gradients[0].unsqueeze(-1)
        # in place: a second backward pass over the same graph is refused by autograd, not wrong
        grown = log_probs.exp_().mul_(-of_row).scatter_add_(-1, at, of_row)
        return grown.to(context.dtype), None


def target_log_probs(
    states: Tensor, targets: Tensor, scored: Tensor | None, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """log p(y_t | x, z, y_<t) of the targets, with gradient.

    Args:
        states: [P, T, D] of the decoder.
        targets: [P, T], padded.
        scored: [P, T] false where 0 is returned, as at padding; None for all.
        weight: [V, D] of the output layer.
        bias: [V] or None.

    Returns:
        [P, T] float32.
    """
    if scored is None:
        scored = torch.ones_like(targets, dtype=torch.bool)
    logits = F.linear(states[scored], weight, bias)
    found: Tensor = _Gathered.apply(logits, targets[scored])  # type: ignore[no-untyped-call]
    return torch.zeros(targets.shape, device=found.device).masked_scatter(scored, found)


def smoothed_log_probs(states: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """What label smoothing needs: log-probs of the targets [P, T], and of all tokens [P, T, V]."""
    everything = torch.log_softmax(F.linear(states, weight, bias).float(), dim=-1)
    return everything.gather(-1, targets.unsqueeze(-1)).squeeze(-1), everything
