"""Beam search over any next-token distribution; a width of one is greedy decoding.

A hypothesis is finished when it ends in the end token, or when it has `max_length` tokens without one. Its score is
the plain sum of log-probs: no length penalty. A finished hypothesis counts only if it ranks within the width when it
ends. The search stops once `width` hypotheses are finished and no live beam is better than the worst of them, which is
exact because log-probs only fall. Ties go to the lower beam, then to the lower token id. Items whose search is over
leave the batch, so one that does not end costs nobody else a step.

A length penalty ranks finished hypotheses: after the search (`rank`), or also within it, where it decides which are
kept. With one within the search a live beam is compared as if it ended now, as transformers does it by default
(early_stopping=False): no longer exact. Live beams of one length need none. Scores stay true log-probabilities.

Decoding refuses numbers below 1 and scores that are not finite before it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.generator.vocabulary import Continuations, best


@dataclass(frozen=True)
class Moves:
    """Origin of the live beams.

    Attributes:
        items: [N] positions of the items in the batch of the call before; None where all stayed.
        parents: [N, W] the beam of the same item that each beam continues.
    """

    items: Tensor | None
    parents: Tensor


Step = Callable[[Tensor, Moves | None, int], Continuations]
"""(last tokens [N, W], moves or None at the start, how many) -> the best next tokens of each beam."""


@dataclass(order=True)
class Finished:
    """A finished hypothesis; sorts worst first.

    Attributes:
        log_prob: log p(y|x).
        token_ids: y, without the start token.
        passage_log_probs: log p(y|x,z) of the K passages, None where it was not scored; empty where it has no meaning.
    """

    log_prob: float
    token_ids: tuple[int, ...] = field(compare=False)
    passage_log_probs: tuple[float | None, ...] = field(default=(), compare=False)


def beam_search(
    step: Step,
    batch: int,
    *,
    width: int,
    max_length: int,
    start_id: int,
    eos_id: int,
    length_penalty: float = 0.0,
) -> list[list[Finished]]:
    """Search the `width` best sequences of each of `batch` distributions.

    Args:
        step: The distribution; called with parents so that it can reorder its cache.
        batch: Number of items N.
        width: Number of beams W, at least 1.
        max_length: Maximum number of tokens, the end token included.
        start_id: Start token, never part of the result.
        eos_id: End token of a hypothesis.
        length_penalty: Finished hypotheses are kept by log p / tokens ** length_penalty.

    Returns:
        For each item its finished hypotheses, best first, at most `width`.
    """
    if width < 1 or max_length < 1:
        raise ValueError(f"width and max_length must be at least 1, got {width} and {max_length}")
    tokens = torch.full((batch, 1), start_id, dtype=torch.long)
    scores = torch.zeros((batch, 1))
    history = torch.empty((batch, 1, 0), dtype=torch.long)
    pools: list[list[Finished]] = [[] for _ in range(batch)]
    live = list(range(batch))
    moves: Moves | None = None
    for length in range(1, max_length + 1):
        values, parents, tokens = _best(scores, step(tokens, moves, 2 * width), 2 * width)
        here = [pools[i] for i in live]
        parents, tokens, scores = _advance(values, parents, tokens, width, eos_id, history, here, length_penalty)
        history = torch.cat([_gather(history, parents), tokens.unsqueeze(-1)], dim=-1)
        if length == max_length:
            _close(scores, history, here, width, length_penalty)
            break
        bests = [_merit(float(score), length, length_penalty) for score in scores[:, 0]]
        kept = [n for n, pool in enumerate(here) if not _over(pool, bests[n], width, length_penalty)]
        if not kept:
            break
        items = torch.tensor(kept) if len(kept) < len(live) else None
        if items is not None:
            tokens, scores, history, parents = tokens[items], scores[items], history[items], parents[items]
            live = [live[n] for n in kept]
        moves = Moves(items, parents)
    return pools


def _over(pool: Sequence[Finished], best_live: float, width: int, penalty: float) -> bool:
    """No live beam can enter the pool any more; the best has the given merit."""
    return len(pool) == width and _merit_of(pool[-1], penalty) >= best_live


def _best(scores: Tensor, found: Continuations, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values, beams and tokens [N, count] of the best continuations of an item; those of a beam are enough of it."""
    totals = (scores.unsqueeze(-1) + found.log_probs).flatten(1)
    beams = torch.arange(scores.shape[1]).view(1, -1, 1).expand_as(found.tokens).flatten(1)
    tokens = found.tokens.flatten(1)
    order = torch.argsort(beams * (int(tokens.max()) + 1) + tokens, dim=-1)
    values, at = best(totals.gather(1, order), count)
    at = order.gather(1, at)
    return values, beams.gather(1, at), tokens.gather(1, at)


def _advance(
    values: Tensor,
    parents: Tensor,
    tokens: Tensor,
    width: int,
    eos_id: int,
    history: Tensor,
    pools: Sequence[list[Finished]],
    penalty: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Split the 2W best continuations into finished hypotheses and W live beams."""
    ended = tokens == eos_id
    # live beams keep their order: ended or impossible continuations are sorted behind them
    live_order = torch.argsort((ended | torch.isinf(values)).long(), dim=-1, stable=True)[:, :width]
    for i, rank in (ended & ~torch.isinf(values))[:, :width].nonzero().tolist():
        prefix = tuple(history[i, parents[i, rank]].tolist())
        pools[i].append(Finished(float(values[i, rank]), (*prefix, eos_id)))
    for pool in pools:
        _trim(pool, width, penalty)
    live_values = values.masked_fill(ended, -torch.inf).gather(-1, live_order)
    return parents.gather(-1, live_order), tokens.gather(-1, live_order), live_values


def _gather(history: Tensor, parents: Tensor) -> Tensor:
    return history.gather(1, parents.unsqueeze(-1).expand(-1, -1, history.shape[-1]))


def _close(scores: Tensor, history: Tensor, pools: Sequence[list[Finished]], width: int, penalty: float) -> None:
    """At the length limit every live beam is a hypothesis."""
    for i, pool in enumerate(pools):
        best_live = _merit(float(scores[i, 0]), history.shape[-1], penalty)
        live = [] if _over(pool, best_live, width, penalty) else range(width)
        pool.extend(
            Finished(float(scores[i, w]), tuple(history[i, w].tolist())) for w in live if scores[i, w] > -torch.inf
        )
        _trim(pool, width, penalty)


def _trim(pool: list[Finished], width: int, penalty: float) -> None:
    pool.sort(key=lambda h: _merit_of(h, penalty), reverse=True)
    del pool[width:]


def rank(pool: Sequence[Finished], length_penalty: float) -> list[Finished]:
    """Order hypotheses by log p(y|x) / T ** length_penalty, the largest first; T counts the end token.

    Log-probabilities are negative, so a positive penalty favours long hypotheses and a negative one short ones; 1 ranks
    by the mean log-prob of a token. Only what the search has found is ranked: the search itself, and each `log_prob`,
    stay as they are, so a pool of one is never changed. Equal ones keep their order; 0 keeps all.
    """
    if not length_penalty:
        return list(pool)
    return sorted(pool, key=lambda h: -_merit_of(h, length_penalty))


def _merit_of(hypothesis: Finished, penalty: float) -> float:
    return _merit(hypothesis.log_prob, len(hypothesis.token_ids), penalty)


def _merit(log_prob: float, tokens: int, penalty: float) -> float:
    """A number in the order of log p / T ** penalty: without a penalty log p, else -log(-log p / T ** penalty), which
    does not overflow."""
    if not penalty:
        return log_prob
    return penalty * math.log(tokens) - math.log(-log_prob) if log_prob < 0 else math.inf


def check_search(num_beams: int, max_length: int) -> None:
    """Raise ConfigError unless both are at least 1."""
    for name, value in (("num_beams", num_beams), ("max_length", max_length)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")


def check_doc_log_probs(doc_log_probs: Tensor) -> None:
    """Raise DataError where log p(z|x) [B, K] of a question holds a NaN or an inf, or no passage has any."""
    for row, values in enumerate(doc_log_probs.tolist(), 1):
        wrong = [value for value in values if math.isnan(value) or value == math.inf]
        if wrong or max(values) == -math.inf:
            hint = "its doc_scores hold a NaN or an inf: check the query encoder and the index"
            raise DataError("doc_log_probs", "is no distribution", row=row, value=(wrong or values)[0], hint=hint)


def check_doc_scores(name: str, doc_scores: Sequence[float], passages: int) -> None:
    """Raise DataError unless there is one finite score for each of the passages.

    Args:
        name: Name of the question, for the message.
        doc_scores: Scaled scores, best passage first; all may be equal, which makes log p(z|x) uniform.
        passages: Number of retrieved passages.
    """
    hint = "retrieve again, and check the query encoder and the index"
    if passages < 1:
        raise DataError(f"ranking of {name}", "has no passages", hint="ask it as closed book")
    if len(doc_scores) != passages:
        found = f"has {passages} passages, but {len(doc_scores)} scores"
        raise DataError(f"ranking of {name}", found, field="doc_scores", hint=hint)
    for row, score in enumerate(doc_scores, 1):
        if not math.isfinite(score):
            raise DataError(
                f"ranking of {name}", "is not a finite number", row=row, field="doc_scores", value=score, hint=hint
            )
