"""Builds on one and on two threads give the same bytes, for every kind that claims it: 20 of 20 sets of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from rag_lightning.config.registries import INDEX_KINDS
from rag_lightning.index.index import build_index, faiss
from tests.index_kinds import KINDS, config

COUNT, WIDTH, TRIES = 3000, 64, 20
CLAIMED = [kind for kind in KINDS if INDEX_KINDS.get(kind).deterministic]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", CLAIMED)
def test_one_and_two_threads_give_the_same_bytes(kind: str) -> None:
    same = 0
    for seed in range(TRIES):
        rng = np.random.default_rng(seed)
        centres = rng.standard_normal((60, WIDTH), dtype=np.float32)
        vectors = centres[rng.integers(0, 60, COUNT)] + 0.5 * rng.standard_normal((COUNT, WIDTH), dtype=np.float32)
        one, two = (build_index(config(kind), vectors, threads=n).faiss_index for n in (1, 2))
        same += np.array_equal(faiss.serialize_index(one), faiss.serialize_index(two))
    assert same == TRIES, f"{kind}: {same} of {TRIES}"
