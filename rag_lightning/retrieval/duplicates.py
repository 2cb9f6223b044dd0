"""Passages of the same title and text, which an encoder reads only once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore


def first_of_same(store: PassageStore | Sequence[Passage]) -> NDArray[np.int64]:
    """[N] the first row with the title and text of each row: its own, where no row before it has them.

    Every passage is read once, and 24 bytes of it are kept; those of the same hash are compared word for word.
    """
    hashes = np.fromiter((_hash(passage) for passage in store), np.uint64, len(store))
    first, order = np.arange(len(store)), np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    for place in np.flatnonzero(ordered[1:] == ordered[:-1]):
        before, row = int(first[order[place]]), int(order[place + 1])
        one, other = store[before], store[row]
        if (one.title, one.text) == (other.title, other.text):
            first[row] = before
    return first


def _hash(passage: Passage) -> int:
    content = f"{passage.title}\0{passage.text}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
