"""Which split an entity belongs to: one answer for all mini tasks beside `nq`, in keeping with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from rag_lightning.mini.fact import Fact
from rag_lightning.mini.nq import nq_parts
from rag_lightning.mini.split import entity_key, leave_out_lopsided

TEST_SHARE, DEV_SHARE = 0.14, 0.09
"""Of the entities that `mini-nq` asks nothing about in dev or test."""


class Assignment:
    """Entities of nq's dev and test stay there; of the others a hash sends 14 % to test and 9 % to dev.

    So no task trains on an entity that `mini-nq` is measured on, and any two of the other tasks agree on every entity.

    Args:
        facts: All facts `mini-nq` is made from.
        seed: The seed of the data.
    """

    def __init__(self, facts: Sequence[Fact], seed: int) -> None:
        ignored: Counter[str] = Counter()
        parts = nq_parts(leave_out_lopsided(facts, ignored), seed, ignored)
        self._seed = seed
        self._held: Mapping[str, str] = {
            entity_key(fact.entity): split for split in ("dev", "test") for fact in parts[split]
        }

    def split(self, entity: str) -> str:
        """train, dev or test."""
        key = entity_key(entity)
        return self._held.get(key) or hashed_split(key, self._seed)


def hashed_split(key: str, seed: int) -> str:
    """The same split for the same key and seed, on any machine."""
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    if share < TEST_SHARE:
        return "test"
    return "dev" if share < TEST_SHARE + DEV_SHARE else "train"
