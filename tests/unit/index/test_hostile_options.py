"""Options and vectors with which FAISS aborts, hangs, or finds nothing without a word."""

from __future__ import annotations

import numpy as np
import pytest

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.index.index import build_index
from tests.index_kinds import KINDS, clustered, config


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("factory", {"factory": "HNSW0"}, "a graph has 2 to 2,048 links per node; choose another"),
        ("factory", {"factory": "PCA24,HNSW0"}, "a graph has 2 to 2,048 links"),
        ("factory", {"factory": "NSG0"}, "a graph has 2 to 2,048 links"),
        ("factory", {"factory": "HNSW100000"}, "a graph has 2 to 2,048 links"),
        ("hnsw", {"m": 100_000}, r"index\.m=100000: must be 2 to 2,048"),
        ("hnsw_sq8", {"m": 2**31 - 1}, r"index\.m=2147483647: must be 2 to 2,048"),
        ("factory", {"factory": "IVF0,Flat"}, "an inverted file needs at least 1 cell"),
        ("factory", {"factory": "IVF4,SQ8_direct"}, "it keeps whole numbers alone"),
        ("ivf_pq", {"pq": "PQ999999999999999x8"}, "do not divide the vector size 32; use PQ32x8np"),
        ("pq_fastscan", {"parts": 2_147_483_647}, "does not divide the vector size 32; use 32, or 0"),
    ],
)
def test_options_are_refused_before_faiss_aborts_or_a_loop_is_endless(kind: str, options: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_index(IndexConfig(kind, options), clustered())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e20, 1e-30])
def test_vectors_whose_products_overflow_or_vanish(kind: str, scale: float) -> None:
    vectors = clustered()
    vectors[7] *= np.float32(scale)
    with pytest.raises(DataError, match=r"vectors, row 7: vector has length 1e.*, with which inner products are 0 or"):
        build_index(config(kind), vectors)


@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_vectors_that_16_bits_do_not_hold(scale: float) -> None:
    vectors = clustered()
    vectors[7] *= np.float32(scale)
    with pytest.raises(DataError, match=r"vectors, row 7: vector has \S+ as its largest number, and float16 holds"):
        build_index(config("sqfp16"), vectors)
    build_index(config("flat"), vectors)


def test_queries_whose_products_vanish() -> None:
    index = build_index(config("flat"), clustered())
    with pytest.raises(DataError, match="queries, row 0: vector has length 1e-30"):
        index.search(clustered()[:1] * np.float32(1e-30), 3)
