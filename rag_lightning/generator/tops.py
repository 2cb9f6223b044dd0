"""The best of many values that come a slice at a time.

Sorting a few out of a whole vocabulary takes longer than multiplying it. The maxima of short blocks cost one pass while
a slice is in the cache; the `count` best values lie in the `count` blocks with the largest maxima, and only those are
sorted.

Shapes: M rows, V values a row, C asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 64


class Tops:
    """Values [M, V], kept until the best are asked for.

    Args:
        rows: M.
        size: V.
        dtype: In which they are kept; they must not lose anything by it.
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
        """Values and positions [M, C], best first, C = `count` or V; and where equal values leave them in doubt [M]."""
        looked_at = min(count + 1, self._size)  # one more tells a tie at the cut
        blocks = self._maxima.topk(min(looked_at, self._maxima.shape[1]), dim=-1).indices
        values = self._kept.gather(1, blocks.unsqueeze(-1).expand(-1, -1, BLOCK)).flatten(1).float()
        top, at = values.topk(looked_at, dim=-1)
        positions = blocks.gather(-1, at // BLOCK) * BLOCK + at % BLOCK
        doubtful = (top[:, 1:] == top[:, :-1]).any(-1) | (positions >= self._size).any(-1)  # -inf, as what fills up
        return top[:, :count], positions[:, :count].clamp(max=self._size - 1), doubtful
