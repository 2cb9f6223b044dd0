"""One random generator per (seed, purpose), so that a new purpose never changes the numbers of another."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed derived from the seed of a run and the name of a purpose."""
    raw = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(raw[:8], "big") >> 1


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy generator for one purpose of one run."""
    return np.random.default_rng(derive_seed(seed, purpose))
