"""The tiny project's vectors, as other projects would store them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.stages.workspace import Workspace
from tests.tiny_project import experiment, passages, write_data

IDS = [passage["id"] for passage in passages()]
Vectors = NDArray[Any]
OTHER = np.random.default_rng(1).normal(size=(64, 32)).astype(np.float32)
"""Vectors of no encoder."""


def project_in(folder: Path, bert: Path) -> ExperimentConfig:
    """Its vectors differ in length, so that L2 and inner product rank otherwise."""
    write_data(folder / "data")
    config = experiment(folder / "work", folder / "data", bert)
    return replace(config, encoder=replace(config.encoder, normalize=False))


def quiet(config: ExperimentConfig, kind: str = "flat", **options: Any) -> Workspace:
    """With a kind of index, and silent."""
    return Workspace(replace(config, index=IndexConfig(kind, options)), lambda line: None)


def save_npy(path: Path, vectors: Vectors) -> None:
    """numpy.save."""
    with path.open("wb") as handle:
        np.save(handle, vectors)


def save_npz(path: Path, vectors: Vectors) -> None:
    """numpy.savez, with ids."""
    with path.open("wb") as handle:
        np.savez(handle, ids=np.array(IDS), embeddings=vectors)


def save_parquet(path: Path, vectors: Vectors) -> None:
    """A column of vectors, and one of ids."""
    pq.write_table(pa.table({"text": IDS, "id": IDS, "vector": list(vectors)}), path)


def save_raw(path: Path, vectors: Vectors) -> None:
    """The numbers alone."""
    path.write_bytes(np.ascontiguousarray(vectors).tobytes())


SAVED: dict[str, Callable[[Path, Vectors], None]] = {
    "npy": save_npy,
    "npz": save_npz,
    "parquet": save_parquet,
    "raw": save_raw,
}


def in_order(names: list[str], path: Path) -> Path:
    """A file of ids, one a line."""
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def write_faiss(path: Path, made: Any, vectors: Vectors) -> Path:
    """Train, fill and write an index."""
    made.train(vectors)
    made.add(vectors)
    faiss.write_index(made, str(path))
    return path


def dpr_index(vectors: Vectors) -> Any:
    """DPR's HNSW: L2 over vectors with sqrt(phi - |x|^2) behind."""
    squares = (vectors**2).sum(axis=1)
    added = np.concatenate([vectors, np.sqrt(squares.max() - squares)[:, None]], axis=1).astype(np.float32)
    made = faiss.IndexHNSWFlat(vectors.shape[1] + 1, 8)
    made.add(added)
    return made
