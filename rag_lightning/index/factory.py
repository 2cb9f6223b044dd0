"""Index kinds by name: build one over vectors, or load one from its folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from rag_lightning.config.experiment import IndexConfig
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.registry import Registry
from rag_lightning.index.index import INFO_FILE, FaissIndex, Floats, Report

INDEX_KINDS = Registry(
    "index kind",
    {
        "flat": "rag_lightning.index.flat:FlatIndex",
        "hnsw": "rag_lightning.index.hnsw:HNSWIndex",
        "ivf_flat": "rag_lightning.index.ivf:IVFFlatIndex",
        "ivf_pq": "rag_lightning.index.ivf:IVFPQIndex",
        "sq8": "rag_lightning.index.flat:SQ8Index",
    },
)
SEARCH_FIELDS = ("ef_search", "nprobe")


def build_index(
    config: IndexConfig, vectors: Floats, threads: int = 0, report: Report = lambda done, total: None
) -> FaissIndex:
    """Build the configured kind over vectors [N, D] float32 (may be memory-mapped).

    `threads` 0: as FAISS is set; `report` is told how many of how many vectors are in.

    Raises:
        UnknownNameError: no such kind.
        DataError: vectors of another type, or not finite.
        ConfigError: parameters that do not fit the vectors.
    """
    kind: type[FaissIndex] = INDEX_KINDS.get(config.kind)
    return kind.build(config, vectors, threads, report)


def load_index(folder: Path, config: IndexConfig | None = None) -> FaissIndex:
    """Load a saved index; ef_search and nprobe may be set anew by `config`, the rest is as it was built.

    Raises:
        ArtifactError: a file is missing or unreadable.
        ConfigError: `config` is of another kind.
    """
    built = _read_config(folder)
    if config is not None:
        if config.kind != built.kind:
            raise ConfigError(f"{folder} holds an index of kind {built.kind!r}, not {config.kind!r}")
        built = dataclasses.replace(built, **{name: getattr(config, name) for name in SEARCH_FIELDS})
    kind: type[FaissIndex] = INDEX_KINDS.get(built.kind)
    return kind.load(folder, built)


def _read_config(folder: Path) -> IndexConfig:
    file = folder / INFO_FILE
    try:
        return IndexConfig(**json.loads(file.read_text(encoding="utf-8"))["config"])
    except FileNotFoundError as error:
        raise ArtifactError(f"{file}: is missing; remove {folder} and build the index again") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ArtifactError(f"{file}: cut short or damaged; remove {folder} and build the index again") from error
