"""p(token | decoder state) over the whole vocabulary: a generator's last and widest matrix product.

The product is made a slice of the vocabulary at a time, while the slice is in the processor's cache, and only what is
asked for leaves it: the sum of all tokens or the best few. Only the marginal over passages holds all of [N, K, W, V],
once. All numbers that leave are float32. Ties go to the lower token id.

In bfloat16 the products only say which tokens are the best and what all others add up to; the logits of the best are
computed again in float32, so that no tie of rounded logits decides, and log-probs are not rounded.

Shapes: M states, D state size, V vocabulary, N questions, K passages, W beams, C tokens asked for.

The best of many values that come a slice at a time.

Sorting a few out of a whole vocabulary takes longer than multiplying it. The maxima of short blocks cost one pass while
a slice is in the cache; the `count` best values lie in the `count` blocks with the largest maxima, and only those are
sorted.

Shapes: M rows, V values a row, C asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SLICE = 1024
"""Tokens of the vocabulary that are multiplied at once."""
ROWS = 512
"""States that are multiplied at once: a slice of theirs is what the cache holds."""
FORBIDDEN = -1e30
"""The least bias: a token that a model forbids by -inf is never among the best, and no value becomes NaN."""
TINY = 1e-30
"""Marginal probabilities below this are computed as logarithms."""
SPARE = 4
"""Tokens computed again beside those asked for, where products are rounded."""


@dataclass(frozen=True)
class Continuations:
    """The most probable next tokens, best first.

    Attributes:
        log_probs: [..., C] float32.
        tokens: [..., C].
    """

    log_probs: Tensor
    tokens: Tensor

    @classmethod
    def of(cls, log_probs: Tensor, count: int) -> Continuations:
        """The `count` best of every row [..., V], fewer where the vocabulary is smaller."""
        top, at = best(log_probs.flatten(0, -2), min(count, log_probs.shape[-1]))
        return cls(top.view(*log_probs.shape[:-1], -1), at.view(*log_probs.shape[:-1], -1))


class Vocabulary:
    """The output layer of a generator.

    Args:
        weight: [V, D] float32.
        bias: V values; None for none.
        dtype: Type of the products over the whole vocabulary.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.weight = weight.detach()
        self.lower = self.weight.to(dtype)
        self.spare = 0 if dtype == torch.float32 else SPARE
        self.bias = bias.detach().flatten().clamp(min=FORBIDDEN) if bias is not None and bool(bias.any()) else None

    def log_probs(self, states: Tensor) -> Tensor:
        """States [..., D] -> log-probs of all tokens [..., V]."""
        return torch.log_softmax(F.linear(states, self.weight, self.bias), dim=-1)

    def logsumexp(self, states: Tensor) -> Tensor:
        """States [M, D] -> the logarithm of the sum of all tokens' exp(logit) [M]."""
        if self.spare:
            return self._rough(states, 1)[0]
        return torch.stack([logits.logsumexp(-1) for _, logits in self._slices(states)]).logsumexp(0)

    def logits(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Logits [..., C] of C tokens [..., C] for each state [..., D]."""
        found = torch.einsum("...d,...cd->...c", states, self.weight[tokens])
        return found if self.bias is None else found + self.bias[tokens]

    def of(self, states: Tensor, tokens: Sequence[int]) -> Tensor:
        """States [M, D] -> log-probs of C tokens [M, C]."""
        at = torch.tensor(tokens)
        logits = F.linear(states, self.weight[at], None if self.bias is None else self.bias[at])
        return logits - self.logsumexp(states).unsqueeze(-1)

    def best(self, states: Tensor, count: int) -> Continuations:
        """States [..., D] -> the `count` best next tokens of each, by their own distribution."""
        rows = states.flatten(0, -2)
        sums, top, tokens, doubtful = self._rough(rows, count)
        found, tokens = _ordered(top - sums.unsqueeze(-1), tokens, count)
        if bool(doubtful.any()):
            again = Continuations.of(self.log_probs(rows[doubtful]), count)
            found[doubtful], tokens[doubtful] = again.log_probs, again.tokens
        return Continuations(found.view(*states.shape[:-1], -1), tokens.view(*states.shape[:-1], -1))

    def marginal_best(self, states: Tensor, doc_log_probs: Tensor, count: int) -> Continuations:
        """The best next tokens by sum_z p(z|x) p(y_i|x,z,y_<i).

        Args:
            states: [N, K, W, D].
            doc_log_probs: [N, K] log p(z|x).
            count: C.

        Returns:
            [N, W, C].
        """
        questions, _, width, _ = states.shape
        beams = states.transpose(1, 2).flatten(0, 1)
        found = self._marginal(beams, doc_log_probs.repeat_interleave(width, dim=0), count)
        return Continuations(*(part.view(questions, width, -1) for part in (found.log_probs, found.tokens)))

    def _marginal(self, states: Tensor, priors: Tensor, count: int) -> Continuations:
        """The best next tokens of M beams: states [M, K, D] and priors [M, K] -> [M, C]."""
        parts, peaks, sums = self._parts(states)
        tops = Tops(len(states), len(self.lower))
        for i, (part, peak) in enumerate(zip(parts, peaks, strict=True)):
            weights = (priors + peak - sums).exp()
            tops.add(i * SLICE, torch.bmm(weights.unsqueeze(1), part).squeeze(1))
        top, tokens, doubtful = tops.best(count + self.spare)
        if self.spare:
            return Continuations(*_ordered(self._mixed(states, tokens, priors, (parts, peaks, sums)), tokens, count))
        found = top.log()
        again = doubtful | (top[:, -1] < TINY)
        if bool(again.any()):
            log_probs = self.log_probs(states[again]) + priors[again].unsqueeze(-1)
            exact = Continuations.of(log_probs.logsumexp(1), count)
            found[again], tokens[again] = exact.log_probs, exact.tokens
        return Continuations(found, tokens)

    def _parts(self, states: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """exp(logit - peak) [M, K, v] and peaks [M, K] of every slice, and logsumexp, of states [M, K, D]."""
        sums, peaks, parts = [], [], []
        for _, logits in self._slices(states):
            peak = logits.amax(-1, keepdim=True)
            parts.append(logits.sub_(peak).exp_())
            peaks.append(peak.squeeze(-1))
            sums.append(peaks[-1] + parts[-1].sum(-1).log())
        return parts, peaks, torch.stack(sums).logsumexp(0)

    def _mixed(
        self, states: Tensor, tokens: Tensor, priors: Tensor, rough: tuple[list[Tensor], list[Tensor], Tensor]
    ) -> Tensor:
        """Marginals [M, C] of tokens [M, C] by their float32 logits under each passage."""
        parts, peaks, sums = rough
        everywhere = tokens.unsqueeze(1).expand(-1, states.shape[1], -1)
        logits = self.logits(states, everywhere)
        which = everywhere // SLICE
        peak = torch.stack(peaks, dim=-1).gather(-1, which)
        held = torch.zeros_like(logits)
        for i, part in enumerate(parts):
            inside = which == i
            if bool(inside.any()):
                held += part.gather(-1, (everywhere - i * SLICE).clamp(0, part.shape[-1] - 1)) * inside
        corrected = _corrected(sums, held.log() + peak, logits)
        return (logits - corrected.unsqueeze(-1) + priors.unsqueeze(-1)).logsumexp(1)

    def _rough(self, states: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """logsumexp [M], logits and tokens of the best [M, C], and where ties are undecided [M], of states [M, D]."""
        found = [self._rough_rows(rows, count + self.spare) for rows in torch.split(states, ROWS)]
        total, top, tokens, doubtful = (torch.cat(parts) for parts in zip(*found, strict=True))
        if not self.spare:
            return total, top, tokens, doubtful
        logits = self.logits(states, tokens)
        return _corrected(total, top, logits), logits, tokens, torch.zeros_like(doubtful)

    def _rough_rows(self, states: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`_rough` of at most ROWS states, by the products alone."""
        kept = self.lower.dtype if self.bias is None else torch.float32
        sums, tops = [], Tops(len(states), len(self.lower), kept)
        for start, logits in self._slices(states):
            peak = tops.add(start, logits).amax(-1)
            sums.append(logits.sub_(peak.unsqueeze(-1)).exp_().sum(-1).log_().add_(peak))
        return torch.stack(sums).logsumexp(0), *tops.best(count)

    def _slices(self, states: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(first token, logits [..., at most SLICE] in float32) of one slice of the vocabulary after the other."""
        states = states.to(self.lower.dtype)
        for start in range(0, len(self.lower), SLICE):
            part = slice(start, start + SLICE)
            logits = F.linear(states, self.lower[part]).float()
            yield start, logits if self.bias is None else logits.add_(self.bias[part])


def _corrected(sums: Tensor, rough: Tensor, logits: Tensor) -> Tensor:
    """logsumexp [...] in which some tokens' rounded logits [..., C] are replaced."""
    change = (logits - sums.unsqueeze(-1)).exp() - (rough - sums.unsqueeze(-1)).exp()
    return sums + torch.log1p(change.sum(-1))


def _ordered(values: Tensor, tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of few values and their tokens [..., C], equal ones in the order of their tokens."""
    order = tokens.argsort(-1)
    top, at = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return top[..., :count], tokens.gather(-1, order).gather(-1, at)[..., :count]


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


BLOCK = 64


class Tops:
    """Values [M, V], kept until the best are asked for.

    Args:
        rows: M.
        size: V.
        dtype: Type in which they are kept; it must represent them exactly.
    """

    def __init__(self, rows: int, size: int, dtype: torch.dtype = torch.float32) -> None:
        blocks = -(-size // BLOCK)
        self._size = size
        self._kept = torch.empty((rows, blocks, BLOCK), dtype=dtype)
        self._maxima = torch.empty((rows, blocks))

    def add(self, start: int, values: Tensor) -> Tensor:
        """Values [M, v] of a slice that begins at a multiple of BLOCK -> the maxima of its blocks [M, v / BLOCK]."""
        missing = -values.shape[-1] % BLOCK
        whole = F.pad(values, (0, missing), value=-torch.inf) if missing else values
        blocks = whole.view(len(values), whole.shape[-1] // BLOCK, BLOCK)
        here = slice(start // BLOCK, start // BLOCK + blocks.shape[1])
        self._kept[:, here] = blocks
        self._maxima[:, here] = maxima = blocks.amax(-1)
        return maxima

    def best(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Values and positions [M, C], best first, C = `count` or V; and where ties leave them undecided [M]."""
        looked_at = min(count + 1, self._size)  # one more tells a tie at the cut
        blocks = self._maxima.topk(min(looked_at, self._maxima.shape[1]), dim=-1).indices
        values = self._kept.gather(1, blocks.unsqueeze(-1).expand(-1, -1, BLOCK)).flatten(1).float()
        top, at = values.topk(looked_at, dim=-1)
        positions = blocks.gather(-1, at // BLOCK) * BLOCK + at % BLOCK
        doubtful = (top[:, 1:] == top[:, :-1]).any(-1) | (positions >= self._size).any(-1)  # -inf, as what fills up
        return top[:, :count], positions[:, :count].clamp(max=self._size - 1), doubtful
