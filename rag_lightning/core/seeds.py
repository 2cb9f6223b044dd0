"""One generator per (seed, purpose), so that adding a consumer never changes another's numbers."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed from a run's seed and the name of what it is used for."""
    raw = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(raw[:8], "big") >> 1


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy generator for one purpose of one run."""
    return np.random.default_rng(derive_seed(seed, purpose))
