"""Beam search over any next-token distribution; a width of one is greedy decoding.

A hypothesis is finished when it ends in the end token, or when it has `max_length` tokens without one. Its score is
the plain sum of log-probs: no length penalty. A finished hypothesis counts only if it ranks within the width when it
ends. The search stops once `width` hypotheses are finished and no live beam is better than the worst of them, which is
exact because log-probs only fall. Ties go to the lower beam, then to the lower token id. Items whose search is over
leave the batch, so one that does not end costs nobody else a step.

A length penalty ranks finished hypotheses: after the search (`rank`), or also within it, where it decides which are
kept. With one within the search a live beam is compared as if it ended now, as transformers does it by default
(early_stopping=False): no longer exact. Live beams of one length need none. Scores stay true log-probabilities.

The live beams stay on the device of the model. The host reads each step once (`read`): the best continuations, from
which it keeps the tokens of each beam, the finished hypotheses, and which items go on.

Decoding refuses numbers below 1 and scores that are not finite before it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.generator.vocabulary import Continuations
from rag_lightning.largest import best

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
NAN = (
    "the generator gives log p(y|x) = nan: if decoding.dtype is float16, its numbers overflow there, so use bfloat16 "
    "or float32; in another type its weights hold numbers that are none, so train again"
)


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
    device: torch.device | str = "cpu",
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
        device: Device of the distribution.
        length_penalty: Finished hypotheses are kept by log p / tokens ** length_penalty.

    Returns:
        For each item its finished hypotheses, best first, at most `width`.

    Raises:
        ConfigError: a log-prob that is NaN.
    """
    if width < 1 or max_length < 1:
        raise ValueError(f"width and max_length must be at least 1, got {width} and {max_length}")
    tokens = torch.full((batch, 1), start_id, dtype=torch.long, device=device)
    scores = torch.zeros((batch, 1), device=device)
    found = _Found(batch, width, eos_id, length_penalty)
    moves = None
    for length in range(1, max_length + 1):
        (values, parents, tokens), told = _ranked(scores, step(tokens, moves, 2 * width), 2 * width)
        kept = found.add(told, length == max_length)
        if not kept:
            break
        parents, tokens, scores = _live(values, parents, tokens, width, eos_id)
        items = None
        if len(kept) < len(tokens):
            items = torch.tensor(kept, device=device)
            tokens, scores, parents = tokens[items], scores[items], parents[items]
        moves = Moves(items, parents)
    return found.pools


def read(values: Tensor) -> Ints:
    """A tensor on the host; the only place where a search waits for the device, once a step."""
    return values.cpu().numpy()


def _ranked(scores: Tensor, found: Continuations, count: int) -> tuple[tuple[Tensor, Tensor, Tensor], Ints]:
    """The best continuations of all beams, and what the host is told of them; computed again where some are faint."""
    ranked = _best(scores, found, count)
    told = read(_packed(scores, found, ranked))
    return _ranked(scores, found.again(), count) if told[-1, 1] and found.again is not None else (ranked, told)


def _packed(scores: Tensor, found: Continuations, ranked: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """What the host is told of a step, [N + 1, 3 * 2W] int32: the bits of the values, parents and tokens of each item,
    and a row that begins with whether a log-prob is NaN, and whether some are faint."""
    values, parents, tokens = ranked
    wrong = (scores.unsqueeze(-1) + found.log_probs).isnan().any()
    faint = torch.zeros_like(wrong) if found.faint is None else found.faint
    whole = torch.cat([values.view(torch.int32), parents.int(), tokens.int()], dim=-1)
    last = torch.stack([wrong, faint]).int().expand(values.shape[-1] * 3 // 2, 2).flatten()
    return torch.cat([whole, last.unsqueeze(0)])


def _best(scores: Tensor, found: Continuations, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values, beams and tokens [N, count] of the best continuations of an item; those of a beam are enough of it."""
    order = found.tokens.argsort(dim=-1)  # by beam, then by token: so ties are decided
    totals = (scores.unsqueeze(-1) + found.log_probs.gather(-1, order)).flatten(1)
    tokens = found.tokens.gather(-1, order).flatten(1)
    values, at = best(totals, count)
    return values, at // order.shape[-1], tokens.gather(1, at)


def _live(values: Tensor, parents: Tensor, tokens: Tensor, width: int, eos_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """Parents, tokens and scores [N, W] of the live beams, of the 2W best continuations."""
    ended = tokens == eos_id
    # live beams keep their order: ended or impossible continuations are sorted behind them
    order = torch.argsort((ended | torch.isinf(values)).long(), dim=-1, stable=True)[:, :width]
    scores = values.masked_fill(ended, -torch.inf).gather(-1, order)
    return parents.gather(-1, order), tokens.gather(-1, order), scores


class _Found:
    """The host's side of a search: the hypotheses of all items, and the tokens of the live beams.

    Attributes:
        pools: The finished hypotheses of each item, best first.
    """

    def __init__(self, batch: int, width: int, eos_id: int, penalty: float) -> None:
        self.pools: list[list[Finished]] = [[] for _ in range(batch)]
        self._live = list(range(batch))
        self._history: Ints = np.empty((batch, 1, 0), dtype=np.int32)
        self._width, self._eos_id, self._penalty = width, eos_id, penalty

    def add(self, told: Ints, is_last: bool) -> list[int]:
        """Take the continuations of a step, as `_packed`.

        Args:
            told: The step.
            is_last: Whether hypotheses may not become longer.

        Returns:
            Positions of the items that go on; they alone are told of the next time.

        Raises:
            ConfigError: a log-prob is NaN.
        """
        if told[-1, 0]:
            raise ConfigError(NAN)
        bits, parents, tokens = np.split(told[:-1], 3, axis=1)
        values, ended = np.ascontiguousarray(bits).view(np.float32), tokens == self._eos_id
        self._finish(values, parents, ended)
        order = np.argsort(ended | np.isinf(values), axis=1, kind="stable")[:, : self._width]
        scores = np.take_along_axis(np.where(ended, np.float32(-np.inf), values), order, axis=1)
        origins = np.take_along_axis(parents, order, axis=1)[:, :, None]
        written = np.take_along_axis(tokens, order, axis=1)[:, :, None]
        self._history = np.concatenate([np.take_along_axis(self._history, origins, axis=1), written], axis=2)
        if is_last:
            self._close(scores)
            return []
        length = self._history.shape[2]
        bests = [_merit(float(score), length, self._penalty) for score in scores[:, 0]]
        kept = [n for n, i in enumerate(self._live) if not self._is_over(self.pools[i], bests[n])]
        if len(kept) < len(self._live):
            self._history, self._live = self._history[kept], [self._live[n] for n in kept]
        return kept

    def _finish(self, values: Floats, parents: Ints, ended: NDArray[np.bool_]) -> None:
        """Keep those of the best W continuations that end."""
        for n, rank in np.argwhere((ended & ~np.isinf(values))[:, : self._width]):
            prefix = tuple(map(int, self._history[n, parents[n, rank]]))
            self.pools[self._live[n]].append(Finished(float(values[n, rank]), (*prefix, self._eos_id)))
        for i in self._live:
            _trim(self.pools[i], self._width, self._penalty)

    def _close(self, scores: Floats) -> None:
        """At the length limit every live beam is a hypothesis."""
        for n, i in enumerate(self._live):
            pool = self.pools[i]
            best_live = _merit(float(scores[n, 0]), self._history.shape[2], self._penalty)
            live = [] if self._is_over(pool, best_live) else range(self._width)
            pool.extend(
                Finished(float(scores[n, w]), tuple(map(int, self._history[n, w])))
                for w in live
                if scores[n, w] > -np.inf
            )
            _trim(pool, self._width, self._penalty)

    def _is_over(self, pool: Sequence[Finished], best_live: float) -> bool:
        """No live beam can enter the pool any more; the best has the given merit."""
        return len(pool) == self._width and _merit_of(pool[-1], self._penalty) >= best_live


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
