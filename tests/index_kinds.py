"""Every kind of index over 1,500 vectors of width 32, with options that fit them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from rag_lightning.config.registries import INDEX_KINDS
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.index.index import SEARCH, Floats

KINDS = [kind for kind in INDEX_KINDS if kind != "milvus"]
"""All that are files of FAISS."""
COUNT, DIM = 1500, 32
SMALL = {"pq": "PQ16x6np", "factory": "PCA24,SQ8", "nlist": 20, "nprobe": 20, "ef_construction": 60, "parts": 16}
"""Options that fit 1,500 vectors of width 32."""


def config(kind: str, **values: Any) -> IndexConfig:
    return IndexConfig(kind, SMALL | values)


def searched(kind: str) -> list[str]:
    return [one.name for one in fields(INDEX_KINDS.get(kind)) if one.metadata.get("stages") == SEARCH]


def clustered() -> Floats:
    """[COUNT, DIM] of length 1, around 40 centres."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, DIM))[rng.integers(0, 40, COUNT)] + 0.5 * rng.normal(size=(COUNT, DIM))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
