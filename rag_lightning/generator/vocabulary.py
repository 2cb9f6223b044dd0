"""p(token | decoder state) over the whole vocabulary: a generator's last and widest matrix product.

The product is made a slice of the vocabulary at a time, while the slice is in the processor's cache, and only what is
asked for leaves it: the sum of all tokens, the best few, or the marginal over passages. No [P, W, V] of log-probs is
held, and all numbers are float32. Ties go to the lower token id.

Shapes: M states, D state size, V vocabulary, N questions, K passages, W beams, C tokens asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SLICE = 1024
"""Tokens of the vocabulary that are multiplied at once."""
TINY = 1e-30
"""Marginal probabilities below this are computed as logarithms."""


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
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight = weight.detach()
        self.bias = bias.detach().flatten() if bias is not None and bool(bias.any()) else None

    def log_probs(self, states: Tensor) -> Tensor:
        """States [..., D] -> log-probs of all tokens [..., V]."""
        return torch.log_softmax(F.linear(states, self.weight, self.bias), dim=-1)

    def logsumexp(self, states: Tensor) -> Tensor:
        """States [M, D] -> the logarithm of the sum of all tokens' exp(logit) [M]."""
        return torch.stack([logits.logsumexp(-1) for _, logits in self._slices(states)]).logsumexp(0)

    def logits(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Logits [M] of one token for each of M states [M, D]."""
        found = torch.einsum("md,md->m", states, self.weight[tokens])
        return found if self.bias is None else found + self.bias[tokens]

    def of(self, states: Tensor, tokens: Sequence[int]) -> Tensor:
        """States [M, D] -> log-probs of C tokens [M, C]."""
        at = torch.tensor(tokens)
        logits = F.linear(states, self.weight[at], None if self.bias is None else self.bias[at])
        return logits - self.logsumexp(states).unsqueeze(-1)

    def best(self, states: Tensor, count: int) -> Continuations:
        """States [..., D] -> the `count` best next tokens of each, by their own distribution."""
        rows = states.flatten(0, -2)
        sums, tops, ids = [], [], []
        for start, logits in self._slices(rows):
            sums.append(logits.logsumexp(-1))
            top, at = _top(logits, count)
            tops.append(top)
            ids.append(at + start)
        top, tokens, doubtful = _merge(tops, ids, count)
        found = top - torch.stack(sums).logsumexp(0).unsqueeze(-1)
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
        shape = states.shape[:3]
        sums, peaks, parts = [], [], []
        for _, logits in self._slices(states.flatten(0, 2)):
            peak = logits.amax(-1, keepdim=True)
            parts.append(logits.sub_(peak).exp_())
            peaks.append(peak.view(shape))
            sums.append(peaks[-1] + parts[-1].sum(-1).log().view(shape))
        shift = doc_log_probs.view(*shape[:2], 1) - torch.stack(sums).logsumexp(0)
        tops, ids = [], []
        for i, (part, peak) in enumerate(zip(parts, peaks, strict=True)):
            mixed = part.view(*shape, -1).mul_((peak + shift).exp_().unsqueeze(-1)).sum(1)
            top, at = _top(mixed.flatten(0, 1), count)
            tops.append(top)
            ids.append(at + i * SLICE)
        top, tokens, doubtful = _merge(tops, ids, count)
        found = top.log().view(shape[0], shape[2], -1)
        tokens = tokens.view(found.shape)
        again = (doubtful | (top[:, -1] < TINY)).view(shape[0], -1).any(-1)
        if bool(again.any()):
            log_probs = self.log_probs(states[again]) + doc_log_probs[again][..., None, None]
            exact = Continuations.of(log_probs.logsumexp(1), count)
            found[again], tokens[again] = exact.log_probs, exact.tokens
        return Continuations(found, tokens)

    def _slices(self, states: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(first token, logits [M, at most SLICE]) of one slice of the vocabulary after the other."""
        for start in range(0, len(self.weight), SLICE):
            part = slice(start, start + SLICE)
            yield start, F.linear(states, self.weight[part], None if self.bias is None else self.bias[part])


def _top(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best of a slice [M, v], one more than asked for: it tells a tie at the cut."""
    return values.topk(min(count + 1, values.shape[-1]), dim=-1)


def _merge(tops: list[Tensor], ids: list[Tensor], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values and tokens [M, C] of all slices, and where equal values leave their order in doubt [M]."""
    values, tokens = torch.cat(tops, dim=-1), torch.cat(ids, dim=-1)
    top, at = values.topk(min(count + 1, values.shape[-1]), dim=-1)
    doubtful = (top[:, 1:] == top[:, :-1]).any(-1)
    return top[:, :count], tokens.gather(-1, at)[:, :count], doubtful


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
