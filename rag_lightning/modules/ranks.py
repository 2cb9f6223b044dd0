"""What the processes of a distributed training tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")


def gathered(own: Sequence[T]) -> list[T]:
    """The items of all processes, those of process 0 first; every process must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return list(own)
    parts: list[list[T]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, list(own))
    return [item for part in parts for item in part]
