"""Corpus -> `vectors.npy`: batches of like length by token budget, in shards, so that an interrupted run continues."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rag_lightning.config.fields import Dtype
from rag_lightning.core.arrays import new_array, open_array
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import open_atomic, read_sealed, replace_file, write_sealed
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.checks import check_vectors
from rag_lightning.retrieval.encoders import TextEncoder

VECTORS, SHARDS, PLAN = "vectors.npy", "shards", "plan.json"
Progress = Callable[[int, int], None]


def embed_corpus(
    encoder: TextEncoder,
    store: PassageStore | Sequence[Passage],
    folder: Path,
    tokens_per_batch: int = 4096,
    dtype: Dtype = "auto",
    progress: Progress = lambda done, total: None,
    shard_size: int = 2048,
) -> dict[str, Any]:
    """Write `folder/vectors.npy` float32 [N, D], row i being corpus row i.

    Finished shards of an interrupted run are kept if made with the same plan; batches never cross a shard, so the
    result is the same as in one go.

    Args:
        encoder: The passage encoder; its own weights are left as they are.
        store: The corpus.
        folder: An existing folder.
        tokens_per_batch: Padded tokens of a batch at most (one passage always fits).
        dtype: Type of the weights; auto keeps the type of an interrupted run.
        progress: Called with (done, total) after every shard.
        shard_size: Passages of a shard.

    Returns:
        passages, dim, dtype, seconds and passages_per_second (of this run), reused (passages found embedded).

    Raises:
        ConfigError: a passage encoder is needed, or a size below 1.
        DataError: the encoder gave a vector that is not finite.
        ArtifactError: a shard of an interrupted run is damaged, or of another shape.
    """
    if encoder.role != "passage" or tokens_per_batch < 1 or shard_size < 1:
        raise ConfigError("embed_corpus needs a passage encoder, tokens_per_batch >= 1 and shard_size >= 1")
    plan = _plan(folder / SHARDS, encoder, len(store), tokens_per_batch, dtype, shard_size)
    model = copy.deepcopy(encoder).to(getattr(torch, plan["dtype"])).eval()
    started, reused = time.perf_counter(), 0
    for start in range(0, len(store), shard_size):
        rows = range(start, min(start + shard_size, len(store)))
        if _shard(folder, start).exists():
            reused += len(rows)
        else:
            _save(_shard(folder, start), _embed([store[row] for row in rows], model, tokens_per_batch))
        progress(rows.stop, len(store))
    seconds = time.perf_counter() - started
    _merge(folder, len(store), encoder.dim, shard_size)
    rate = round((len(store) - reused) / seconds, 1) if seconds else 0.0
    done = {"seconds": round(seconds, 3), "passages_per_second": rate, "reused": reused}
    return {"passages": len(store), "dim": encoder.dim, "dtype": plan["dtype"], **done}


def _plan(
    shards: Path, encoder: TextEncoder, count: int, tokens_per_batch: int, dtype: Dtype, shard_size: int
) -> dict[str, Any]:
    """The settings the shards depend on; shards made with others are removed."""
    plan = {"passages": count, "dim": encoder.dim, "tokens_per_batch": tokens_per_batch, "shard_size": shard_size}
    file = shards / PLAN
    if file.exists():
        old = read_sealed(file)
        chosen = old.pop("dtype", "")
        if old == plan and dtype in ("auto", chosen):
            return {**plan, "dtype": chosen}
        shutil.rmtree(shards)
    shards.mkdir(parents=True, exist_ok=True)
    chosen = resolve_dtype(dtype)
    write_sealed(file, {**plan, "dtype": chosen})
    return {**plan, "dtype": chosen}


def _embed(passages: Sequence[Passage], model: TextEncoder, tokens_per_batch: int) -> NDArray[np.float32]:
    encoded = model.token_ids(passages)
    vectors = np.empty((len(passages), model.dim), dtype=np.float32)
    for rows in length_batches([len(item["input_ids"]) for item in encoded], tokens_per_batch):
        vectors[rows] = model.encode_batch([encoded[row] for row in rows])
    return vectors


def length_batches(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Positions sorted by length, cut so that (size x longest) of a batch stays within the budget."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if batch and (len(batch) + 1) * lengths[row] > tokens_per_batch:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _shard(folder: Path, start: int) -> Path:
    return folder / SHARDS / f"{start:010d}.npy"


def _save(path: Path, vectors: NDArray[np.float32]) -> None:
    check_vectors(vectors, source=path)
    with open_atomic(path) as handle:
        np.save(handle, vectors)


def _merge(folder: Path, count: int, dim: int, shard_size: int) -> None:
    temporary = folder / (VECTORS + ".tmp")
    merged = new_array(temporary, (count, dim))
    for start in range(0, count, shard_size):
        shape = min(shard_size, count - start), dim
        merged[start : start + shard_size] = open_array(_shard(folder, start), np.float32, 2, shape)
    merged.flush()
    del merged
    replace_file(temporary, folder / VECTORS)
    shutil.rmtree(folder / SHARDS)
