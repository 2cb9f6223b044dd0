"""p(token | decoder state) over the whole vocabulary: a generator's last and widest matrix product.

The product is made a slice of the vocabulary at a time, while the slice is in the processor's cache, and only what is
asked for leaves it: the sum of all tokens or the best few. Only the marginal over passages holds all of [N, K, W, V],
once. All numbers that leave are float32. Ties go to the lower token id.

In bfloat16 the products only say which tokens are the best and what all others add up to; the logits of the best are
computed again in float32, so that no tie of rounded logits decides, and log-probs are not rounded.

Nothing here asks the host: shapes depend on no value, and ties are decided by one comparison (largest.py). On a device
other than the CPU, which has no such cache, a slice is the whole vocabulary.

Shapes: M states, D state size, V vocabulary, N questions, K passages, W beams, C tokens asked for.

The best of many values that come a slice at a time.

Sorting a few out of a whole vocabulary takes longer than multiplying it. The maxima of short blocks cost one pass while
a slice is in the cache; the `count` best values lie in the `count` blocks with the largest maxima, and only those are
sorted.

Shapes: M rows, V values a row, C asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rag_lightning.largest import best, keys, unlocked

SLICE = 1024
"""Tokens of the vocabulary that are multiplied at once."""
ROWS = 512
"""States that are multiplied at once: a slice of theirs is what the cache holds."""
ROWS_ELSEWHERE = 4096
"""The same on a device without such a cache, a bound of its memory."""
FORBIDDEN = -1e30
"""The least bias: a token that a model forbids by -inf is never among the best, and no value becomes NaN."""
LOG_TINY = math.log(1e-30)
"""Marginal log-probs below this are computed as logarithms."""
SPARE = 4
"""Tokens computed again beside those asked for, where products are rounded."""


@dataclass(frozen=True)
class Continuations:
    """The most probable next tokens, best first.

    Attributes:
        log_probs: [..., C] float32.
        tokens: [..., C].
        faint: Scalar, true where some are so improbable that `again` must compute them; None where none can be.
        again: Computes them as logarithms.
    """

    log_probs: Tensor
    tokens: Tensor
    faint: Tensor | None = None
    again: Callable[[], Continuations] | None = None

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
        at = torch.tensor(tokens, device=states.device)
        logits = F.linear(states, self.weight[at], None if self.bias is None else self.bias[at])
        return logits - self.logsumexp(states).unsqueeze(-1)

    def best(self, states: Tensor, count: int) -> Continuations:
        """States [..., D] -> the `count` best next tokens of each, by their own distribution."""
        sums, top, tokens = self._rough(states.flatten(0, -2), count)
        found, tokens = _ordered(top - sums.unsqueeze(-1), tokens, count)
        return Continuations(found.view(*states.shape[:-1], -1), tokens.view(*states.shape[:-1], -1))

    def marginal_best(self, states: Tensor, doc_log_probs: Tensor, count: int) -> Continuations:
        """The best next tokens by sum_z p(z|x) p(y_i|x,z,y_<i).

        Args:
            states: [N, K, W, D].
            doc_log_probs: [N, K] log p(z|x).
            count: C.

        Returns:
            [N, W, C]; sums of probabilities, which are exact only where none is `faint`.
        """
        questions, _, width, _ = states.shape
        beams = states.transpose(1, 2).flatten(0, 1)
        priors = doc_log_probs.repeat_interleave(width, dim=0)
        top, tokens = (part.view(questions, width, -1) for part in self._marginal(beams, priors, count))
        if self.spare:
            return Continuations(top, tokens)
        faint = top[..., -1:] < LOG_TINY

        def again() -> Continuations:
            whole = (self.log_probs(beams) + priors.unsqueeze(-1)).logsumexp(1)
            exact = Continuations.of(whole.view(questions, width, -1), count)
            return Continuations(torch.where(faint, exact.log_probs, top), torch.where(faint, exact.tokens, tokens))

        return Continuations(top, tokens, faint.any(), again)

    def _marginal(self, states: Tensor, priors: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Log-probs and tokens [M, C] of the best of M beams: states [M, K, D] and priors [M, K]."""
        whole, peaks, sums = self._parts(states)
        tops = Tops(len(states), len(self.lower), states.device)
        for (start, stop), peak in zip(self._bounds(), peaks, strict=True):
            weights = (priors + peak - sums).exp()
            tops.add(start, torch.bmm(weights.unsqueeze(1), whole[..., start:stop]).squeeze(1))
        top, tokens = tops.best(count + self.spare)
        if not self.spare:
            return top.log(), tokens
        return _ordered(self._mixed(states, tokens, priors, (whole, peaks, sums)), tokens, count)

    def _parts(self, states: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """exp(logit - peak of its slice) [M, K, V], peaks [M, K] of every slice, and logsumexp, of states [M, K, D]."""
        whole = states.new_empty((*states.shape[:-1], len(self.lower)), dtype=torch.float32)
        sums, peaks = [], []
        for start, logits in self._slices(states):
            peak = logits.amax(-1, keepdim=True)
            part = torch.sub(logits, peak, out=whole[..., start : start + logits.shape[-1]]).exp_()
            peaks.append(peak.squeeze(-1))
            sums.append(peaks[-1] + part.sum(-1).log())
        return whole, peaks, torch.stack(sums).logsumexp(0)

    def _mixed(
        self, states: Tensor, tokens: Tensor, priors: Tensor, rough: tuple[Tensor, list[Tensor], Tensor]
    ) -> Tensor:
        """Marginals [M, C] of tokens [M, C] by their float32 logits under each passage."""
        whole, peaks, sums = rough
        everywhere = tokens.unsqueeze(1).expand(-1, states.shape[1], -1)
        logits = self.logits(states, everywhere)
        peak = torch.stack(peaks, dim=-1).gather(-1, everywhere // self._slice)
        corrected = _corrected(sums, whole.gather(-1, everywhere).log() + peak, logits)
        return (logits - corrected.unsqueeze(-1) + priors.unsqueeze(-1)).logsumexp(1)

    def _rough(self, states: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """logsumexp [M], and logits and tokens of the best [M, C], of states [M, D]."""
        rows = ROWS if states.device.type == "cpu" else ROWS_ELSEWHERE
        found = [self._rough_rows(part, count + self.spare) for part in torch.split(states, rows)]
        total, top, tokens = (torch.cat(parts) for parts in zip(*found, strict=True))
        if not self.spare:
            return total, top, tokens
        logits = self.logits(states, tokens)
        return _corrected(total, top, logits), logits, tokens

    def _rough_rows(self, states: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """`_rough` of at most ROWS states, by the products alone."""
        kept = self.lower.dtype if self.bias is None else torch.float32
        sums, tops = [], Tops(len(states), len(self.lower), states.device, kept)
        for start, logits in self._slices(states):
            peak = tops.add(start, logits).amax(-1)
            sums.append(logits.sub_(peak.unsqueeze(-1)).exp_().sum(-1).log_().add_(peak))
        return torch.stack(sums).logsumexp(0), *tops.best(count)

    @property
    def _slice(self) -> int:
        """Tokens of a slice."""
        return SLICE if self.lower.device.type == "cpu" else len(self.lower)

    def _bounds(self) -> list[tuple[int, int]]:
        """First token of each slice, and the one after its last."""
        size = len(self.lower)
        return [(start, min(start + self._slice, size)) for start in range(0, size, self._slice)]

    def _slices(self, states: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(first token, logits [..., at most SLICE] in float32) of one slice of the vocabulary after the other."""
        states = states.to(self.lower.dtype)
        for start, stop in self._bounds():
            logits = F.linear(states, self.lower[start:stop]).float()
            yield start, logits if self.bias is None else logits.add_(self.bias[start:stop])


def _corrected(sums: Tensor, rough: Tensor, logits: Tensor) -> Tensor:
    """logsumexp [...] in which some tokens' rounded logits [..., C] are replaced."""
    change = (logits - sums.unsqueeze(-1)).exp() - (rough - sums.unsqueeze(-1)).exp()
    return sums + torch.log1p(change.sum(-1))


def _ordered(values: Tensor, tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of few values and their tokens [..., C], equal ones in the order of their tokens."""
    order = tokens.argsort(-1)
    top, at = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return top[..., :count], tokens.gather(-1, order).gather(-1, at)[..., :count]


BLOCK = 64


class Tops:
    """Values [M, V], kept until the best are asked for.

    The `count` best lie in the `count` blocks with the largest maxima, of equal ones the first, so that no tie is left.

    Args:
        rows: M.
        size: V.
        device: Their device.
        dtype: Type in which they are kept; it must represent them exactly.
    """

    def __init__(self, rows: int, size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        blocks = -(-size // BLOCK)
        self._size = size
        self._kept = torch.empty((rows, blocks, BLOCK), dtype=dtype, device=device)
        self._maxima = torch.empty((rows, blocks), device=device)

    def add(self, start: int, values: Tensor) -> Tensor:
        """Values [M, v] of a slice that begins at a multiple of BLOCK -> the maxima of its blocks [M, v / BLOCK]."""
        missing = -values.shape[-1] % BLOCK
        whole = F.pad(values, (0, missing), value=-torch.inf) if missing else values
        blocks = whole.view(len(values), whole.shape[-1] // BLOCK, BLOCK)
        here = slice(start // BLOCK, start // BLOCK + blocks.shape[1])
        self._kept[:, here] = blocks
        self._maxima[:, here] = maxima = blocks.amax(-1)
        return maxima

    def best(self, count: int) -> tuple[Tensor, Tensor]:
        """Values and positions [M, C], best first, C = `count` or V; equal values in the order of their position."""
        kept = min(count, self._size)
        _, blocks = best(self._maxima, min(kept, self._maxima.shape[1]))
        values = self._kept.gather(1, blocks.unsqueeze(-1).expand(-1, -1, BLOCK)).flatten(1)
        within = torch.arange(BLOCK, device=values.device)
        positions = (blocks.unsqueeze(-1) * BLOCK + within).flatten(1)
        top, at = unlocked(keys(values, positions).topk(kept, dim=-1).values)
        return top, at.clamp(max=self._size - 1)  # a NaN may be less than what fills up
