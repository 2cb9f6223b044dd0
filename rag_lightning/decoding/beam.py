"""Beam search over any next-token distribution; a width of one is greedy decoding.

A hypothesis is finished when it ends in the end token, or when it has `max_length` tokens without one. Its score is
the plain sum of log-probs: no length penalty. A finished hypothesis counts only if it ranks within the width when it
ends. The search stops once `width` hypotheses are finished and no live beam is better than the worst of them, which is
exact because log-probs only fall. Ties go to the lower beam, then to the lower token id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor | None], Tensor]
"""(last tokens [N, W], parents [N, W] or None at the start) -> log-probs of the next token [N, W, V], float32."""


@dataclass(order=True)
class Finished:
    """A finished hypothesis; sorts worst first."""

    log_prob: float
    token_ids: tuple[int, ...] = field(compare=False)


def beam_search(
    step: Step, batch: int, *, width: int, max_length: int, start_id: int, eos_id: int
) -> list[list[Finished]]:
    """Search the `width` best sequences of each of `batch` distributions.

    Args:
        step: the distribution; called with parents so that it can reorder its cache.
        batch: N.
        width: beams W, at least 1.
        max_length: tokens at most, the end token included.
        start_id: fed first, never part of the result.
        eos_id: ends a hypothesis.

    Returns:
        For each item its finished hypotheses, best first, at most `width`.
    """
    if width < 1 or max_length < 1:
        raise ValueError(f"width and max_length must be at least 1, got {width} and {max_length}")
    tokens = torch.full((batch, width), start_id, dtype=torch.long)
    scores = torch.full((batch, width), -torch.inf)
    scores[:, 0] = 0.0
    history = torch.empty((batch, width, 0), dtype=torch.long)
    pools: list[list[Finished]] = [[] for _ in range(batch)]
    done = [False] * batch
    parents: Tensor | None = None
    for length in range(1, max_length + 1):
        log_probs = step(tokens, parents)
        vocabulary = log_probs.shape[-1]
        values, picks = best((scores.unsqueeze(-1) + log_probs).flatten(1), 2 * width)
        parents, tokens, scores = _advance(values, picks, vocabulary, width, eos_id, history, pools, done)
        history = torch.cat([_gather(history, parents), tokens.unsqueeze(-1)], dim=-1)
        for i, pool in enumerate(pools):
            done[i] = done[i] or (len(pool) == width and pool[-1].log_prob >= float(scores[i, 0]))
        if all(done):
            break
        if length == max_length:
            _close(scores, history, pools, done, width)
    return pools


def best(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row [N, M], equal values in the order of their position.

    Rows shorter than `count` are padded with -inf at position 0.
    """
    kept = min(count, values.shape[-1])
    top, at = values.topk(kept, dim=-1)
    tied = (values >= top[:, -1:]).sum(-1) > kept
    if bool(tied.any()):
        full, order = values[tied].sort(dim=-1, descending=True, stable=True)
        top[tied], at[tied] = full[:, :kept], order[:, :kept]
    order = torch.argsort(at, dim=-1, stable=True)
    top, at = top.gather(-1, order), at.gather(-1, order)
    order = torch.argsort(top, dim=-1, descending=True, stable=True)
    top, at = top.gather(-1, order), at.gather(-1, order)
    if kept == count:
        return top, at
    missing = (values.shape[0], count - kept)
    return torch.cat([top, top.new_full(missing, -torch.inf)], -1), torch.cat([at, at.new_zeros(missing)], -1)


def _advance(
    values: Tensor,
    picks: Tensor,
    vocabulary: int,
    width: int,
    eos_id: int,
    history: Tensor,
    pools: list[list[Finished]],
    done: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Split the 2W best continuations into finished hypotheses and W live beams."""
    batch = values.shape[0]
    parents, tokens = picks // vocabulary, picks % vocabulary
    ended = tokens == eos_id
    # live beams keep their order: ended or impossible continuations are sorted behind them
    live_order = torch.argsort((ended | torch.isinf(values)).long(), dim=-1, stable=True)[:, :width]
    for i in range(batch):
        if done[i]:
            continue
        for rank in range(width):
            if bool(ended[i, rank]) and values[i, rank] > -torch.inf:
                prefix = tuple(history[i, parents[i, rank]].tolist())
                pools[i].append(Finished(float(values[i, rank]), (*prefix, eos_id)))
        pools[i].sort(reverse=True)
        del pools[i][width:]
    live_values = values.masked_fill(ended, -torch.inf).gather(-1, live_order)
    return parents.gather(-1, live_order), tokens.gather(-1, live_order), live_values


def _gather(history: Tensor, parents: Tensor) -> Tensor:
    return history.gather(1, parents.unsqueeze(-1).expand(-1, -1, history.shape[-1]))


def _close(scores: Tensor, history: Tensor, pools: list[list[Finished]], done: list[bool], width: int) -> None:
    """At the length limit every live beam is a hypothesis."""
    for i, pool in enumerate(pools):
        if done[i]:
            continue
        live = [w for w in range(width) if scores[i, w] > -torch.inf]
        pool.extend(Finished(float(scores[i, w]), tuple(history[i, w].tolist())) for w in live)
        pool.sort(reverse=True)
        del pool[width:]
