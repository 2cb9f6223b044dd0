"""The largest of many values on any device, equal ones in the order of their position, without asking the host.

torch's topk leaves open which of equal values it takes. Values and positions as one integer are never equal.
"""

from __future__ import annotations

import torch
from torch import Tensor

LAST = (1 << 32) - 1
"""What a position is taken from, so that the lower of two is the larger number."""


def keys(values: Tensor, positions: Tensor) -> Tensor:
    """Values and their positions [N, M] as integers, no two of a row alike, in the order of the values.

    Of equal values the lower position is the larger number. The bits of a float32 are in its order once those below the
    sign of a negative are turned over.
    """
    bits = (values.float() + 0.0).view(torch.int32)  # -0.0 becomes 0.0
    return ((bits ^ (bits >> 31 & 0x7FFFFFFF)).long() << 32) + (LAST - positions)


def unlocked(found: Tensor) -> tuple[Tensor, Tensor]:
    """The values and positions of keys."""
    bits = (found >> 32).int()
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(torch.float32), LAST - (found & LAST)


def best(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row [N, M] of float32, equal values in the order of their position.

    Rows shorter than `count` are padded with -inf at position 0.
    """
    kept = min(count, values.shape[-1])
    positions = torch.arange(values.shape[-1], device=values.device)
    top, at = unlocked(keys(values, positions).topk(kept, dim=-1).values)
    if kept == count:
        return top, at
    missing = (values.shape[0], count - kept)
    return torch.cat([top, top.new_full(missing, -torch.inf)], -1), torch.cat([at, at.new_zeros(missing)], -1)
