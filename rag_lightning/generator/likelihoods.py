"""The two likelihoods of RAG (Lewis et al. 2020, section 2.1), as pure functions on tensors.

RAG-Sequence  p(y|x) = sum_z p(z|x) prod_i p(y_i | x, z, y_<i)
RAG-Token     p(y|x) = prod_i sum_z p(z|x) p(y_i | x, z, y_<i)

All inputs are natural logarithms in float32 and are gathered at the target tokens before marginalising, so nothing of
size [B, K, T, V] exists, except for label smoothing, which is off by default. `mask` says which tokens are scored:
every target token including the end token, never the start token.

log p of the target tokens, for training: one buffer over the vocabulary goes through forward and backward pass.

By the chain rule alone, `logit[y] - logsumexp(logits)` holds several tensors of the logits' size [P, T, V] when the
backward pass begins, which is when a training step needs most memory. Here the log-softmax is made in one pass, kept,
and turned into the gradient where it lies. What is not scored is not multiplied with the vocabulary.

Shapes: P pairs, T target tokens, M scored target tokens, D state size, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def doc_log_probs(doc_scores: Tensor) -> Tensor:
    """log p(z|x) over the passages of each query.

    Args:
        doc_scores: [B, K] scaled inner products; -inf where a query has fewer than K passages.

    Returns:
        [B, K]; exp sums to 1 over K.
    """
    return torch.log_softmax(doc_scores.float(), dim=-1)


def rag_sequence(token_log_probs: Tensor, doc_log_probs: Tensor, mask: Tensor) -> Tensor:
    """log p(y|x) with one passage behind the whole output.

    Args:
        token_log_probs: [B, K, T] log p(y_t | x, z, y_<t).
        doc_log_probs: [B, K] log p(z|x).
        mask: [B, T] true where a target token is scored.

    Returns:
        [B] log p(y|x).
    """
    scored = token_log_probs.float().masked_fill(~mask.bool().unsqueeze(1), 0.0)
    return torch.logsumexp(doc_log_probs.float() + scored.sum(-1), dim=1)


def rag_token(token_log_probs: Tensor, doc_log_probs: Tensor, mask: Tensor) -> Tensor:
    """log p(y|x) with a passage drawn for every token; shapes as in `rag_sequence`."""
    return rag_token_steps(token_log_probs, doc_log_probs).masked_fill(~mask.bool(), 0.0).sum(-1)


def rag_token_steps(token_log_probs: Tensor, doc_log_probs: Tensor) -> Tensor:
    """log sum_z p(z|x) p(y_t|x,z,y_<t): [B, K, T] and [B, K] -> [B, T]."""
    return torch.logsumexp(doc_log_probs.float().unsqueeze(-1) + token_log_probs.float(), dim=1)


def rag_class(class_log_probs: Tensor, doc_log_probs: Tensor) -> Tensor:
    """log p(c|x) = log sum_z p(z|x) p(c|x,z): an output of one symbol, where both models are the same.

    Args:
        class_log_probs: [B, K, C] log p(c | x, z).
        doc_log_probs: [B, K] log p(z|x).

    Returns:
        [B, C]; exp sums to 1 over C if it does in every p(c|x,z).
    """
    return rag_token_steps(class_log_probs, doc_log_probs)


def rag_sequence_smoothing(log_probs: Tensor, doc_log_probs: Tensor, mask: Tensor) -> Tensor:
    """Label smoothing of transformers' RAG-Sequence: every token of the vocabulary carries the prior.

    Args:
        log_probs: [B, K, T, V] log p(v | x, z, y_<t).
        doc_log_probs: [B, K] log p(z|x).
        mask: [B, T] true where a target token is scored.

    Returns:
        [B] sum over the vocabulary.
    """
    return rag_sequence(log_probs.sum(-1), doc_log_probs * log_probs.shape[-1], mask)


def rag_token_smoothing(log_probs: Tensor, doc_log_probs: Tensor, mask: Tensor) -> Tensor:
    """Label smoothing of RAG-Token: marginal log p(v | x, y_<t), summed over vocabulary and scored tokens."""
    steps = rag_token_steps(log_probs.flatten(2), doc_log_probs).view(log_probs[:, 0].shape)
    return steps.sum(-1).masked_fill(~mask.bool(), 0.0).sum(-1)


def sequence_posterior(sequence_log_probs: Tensor, doc_log_probs: Tensor) -> Tensor:
    """p(z|x,y) of RAG-Sequence: [B, K] log p(y|x,z) and [B, K] log p(z|x) -> [B, K]."""
    return torch.softmax(sequence_log_probs.float() + doc_log_probs.float(), dim=-1)


def token_posterior(token_log_probs: Tensor, doc_log_probs: Tensor) -> Tensor:
    """p(z|x,y_t,y_<t) of every target token (Figure 2): [B, K, T] and [B, K] -> [B, K, T]."""
    return torch.softmax(token_log_probs.float() + doc_log_probs.float().unsqueeze(-1), dim=1)


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
        states: [P, T, D] decoder states.
        targets: [P, T], padded.
        scored: [P, T] false where 0 is returned, as at padding; None for all.
        weight: [V, D] weight of the output layer.
        bias: [V] bias of the output layer, or None.

    Returns:
        [P, T] float32.
    """
    if scored is None:
        scored = torch.ones_like(targets, dtype=torch.bool)
    return _gathered(F.linear(states[scored], weight, bias), targets, scored)


def _gathered(logits: Tensor, targets: Tensor, scored: Tensor) -> Tensor:
    """Logits [M, V] of the scored tokens -> log p of the targets [P, T], 0 where not scored."""
    found: Tensor = _Gathered.apply(logits, targets[scored])  # type: ignore[no-untyped-call]
    return torch.zeros(targets.shape, device=found.device).masked_scatter(scored, found)


def spread_log_probs(
    states: Tensor, targets: Tensor, scored: Tensor, spread: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`target_log_probs`, and how evenly p is spread over the vocabulary, from the same logits.

    Args:
        states: As in `target_log_probs`.
        targets: As in `target_log_probs`.
        scored: As in `target_log_probs`.
        spread: [P, T] true where the second result is wanted, at scored tokens only.
        weight: As in `target_log_probs`.
        bias: As in `target_log_probs`.

    Returns:
        [P, T] log p of the targets; [P, T] -KL(uniform || p), 0 where it is not wanted.
    """
    logits = F.linear(states[scored], weight, bias)
    kept = logits[spread[scored]].float()
    even = kept.mean(-1) - torch.logsumexp(kept, dim=-1)
    evenness = torch.zeros(targets.shape, device=even.device).masked_scatter(spread, minus_kl_uniform(even, kept))
    return _gathered(logits, targets, scored), evenness


def minus_kl_uniform(mean_log_probs: Tensor, vocabulary: Tensor) -> Tensor:
    """-KL(uniform || p): the mean of log p over the vocabulary, plus log V; at most 0, and 0 where p is uniform.

    Args:
        mean_log_probs: [...] mean of log p over the vocabulary.
        vocabulary: [..., V] any tensor over the vocabulary.
    """
    return mean_log_probs + math.log(vocabulary.shape[-1])


def smoothed_log_probs(states: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Log-probs for label smoothing: of the targets [P, T], and of all tokens [P, T, V]."""
    everything = torch.log_softmax(F.linear(states, weight, bias).float(), dim=-1)
    return everything.gather(-1, targets.unsqueeze(-1)).squeeze(-1), everything
