"""How large an index will be, before there is one: what FAISS writes, by arithmetic."""

from __future__ import annotations

from rag_lightning.config.experiment import IndexConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.index.ivf import cells, quantizer

LINK, ROW = 4, 8
"""Bytes of an HNSW link and of a row number in an inverted list."""


def index_bytes(config: IndexConfig, count: int, dim: int) -> int:
    """Bytes of the configured kind over count vectors, dim wide; headers of some hundred bytes are left out.

    HNSW: 2 m links of a vector on the ground level, m on each level above, which a vector reaches with probability
    m ** -level; 12 bytes more for its level and offset.

    Raises:
        ConfigError: parameters that do not fit the vectors.
    """
    full = 4 * dim
    if config.kind == "flat":
        return count * full
    if config.kind == "sq8":
        return count * dim + 2 * full
    if config.kind == "hnsw":
        if config.m < 2:
            raise ConfigError(f"index.m={config.m} must be at least 2")
        return round(count * (full + LINK * (2 * config.m + config.m / (config.m - 1)) + 12))
    centroids = cells(config, count) * full
    if config.kind == "ivf_flat":
        return count * (full + ROW) + centroids
    parts, bits = quantizer(config.pq, count, dim)
    codebook = (1 << bits) * full
    return count * (-(-parts * bits // 8) + ROW) + centroids + codebook
