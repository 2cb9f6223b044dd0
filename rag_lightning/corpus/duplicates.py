"""Finding a passage id that occurs twice, at 8 bytes a passage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def hash_id(passage_id: str) -> int:
    """64 bits of a passage id."""
    return int.from_bytes(hashlib.blake2b(passage_id.encode(), digest_size=8).digest(), "little")


def first_duplicate(hashes: NDArray[np.uint64], id_of: Callable[[int], str]) -> tuple[int, int] | None:
    """Positions (first, second) of the earliest repeated id, or None.

    Args:
        hashes: [N] `hash_id` of every id.
        id_of: position -> id; asked only where hashes are equal, as different ids may share one.
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    found: list[tuple[int, int]] = []
    for start in np.flatnonzero(ordered[1:] == ordered[:-1]):
        first, second = int(order[start]), int(order[start + 1])
        if id_of(first) == id_of(second):
            found.append((second, first))
    if not found:
        return None
    second, first = min(found)
    return first, second
