"""Corpus -> `vectors.npy`: batches of like length by token budget, in shards, so that an interrupted run continues.

Passages of the same title and text are encoded once: shards are cut from the distinct passages, in the order of the
corpus, and the vector of each is copied to the rows that repeat it.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rag_lightning.config.fields import InferenceDtype
from rag_lightning.config.retrieval import Stored
from rag_lightning.core.arrays import new_array, open_array
from rag_lightning.core.devices import in_smaller_batches
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import open_atomic, read_sealed, replace_file, write_sealed
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.checks import check_vectors
from rag_lightning.retrieval.duplicates import first_of_same
from rag_lightning.retrieval.encoders import TextEncoder

VECTORS, SHARDS, PLAN = "vectors.npy", "shards", "plan.json"
BLOCK = 1 << 16
SHARD_SIZE = 2048
Progress = Callable[[int, int], None]
Shard = tuple[int, Sequence[Passage]]
"""Position of its first passage among the distinct ones, which names it, and its passages."""
Embedded = Iterator[tuple[int, NDArray[np.float32]]]
"""Name of a shard, and its vectors [size, D]; in any order."""


class Crew(Protocol):
    """What encodes shards."""

    def embed(self, shards: Iterable[Shard], dtype: str, tokens_per_batch: int) -> Embedded:
        """The vectors of shards, each by `embed_shard` with weights of `dtype`."""


class Alone:
    """Encodes shards in this process, with a copy of an encoder."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    def embed(self, shards: Iterable[Shard], dtype: str, tokens_per_batch: int) -> Embedded:
        """As `Crew.embed`, in order."""
        model = copy.deepcopy(self.encoder).to(getattr(torch, dtype)).eval()
        for start, passages in shards:
            yield start, embed_shard(passages, model, tokens_per_batch)


def embed_corpus(
    encoder: TextEncoder,
    store: PassageStore | Sequence[Passage],
    folder: Path,
    tokens_per_batch: int = 4096,
    dtype: InferenceDtype = "auto",
    progress: Progress = lambda done, total: None,
    shard_size: int = SHARD_SIZE,
    stored: Stored = "float32",
    crew: Crew | None = None,
) -> dict[str, Any]:
    """Write `folder/vectors.npy` [N, D], row i being corpus row i.

    Finished shards of an interrupted run are kept if made with the same plan; no batch crosses a shard.

    Args:
        encoder: The passage encoder; its own weights are left as they are.
        store: The corpus.
        folder: An existing folder.
        tokens_per_batch: Padded tokens of a batch at most (one passage always fits).
        dtype: Type of the weights; auto keeps the type of an interrupted run.
        progress: Called with (done, total) of the distinct passages after every shard.
        shard_size: Passages of a shard.
        stored: Type of the numbers in the file; float16 rounds each to 11 bits.
        crew: What encodes the shards; None for this process.

    Returns:
        passages, dim, dtype, stored, duplicates (passages that repeat another), and of this run seconds,
        passages_per_second and reused (passages found embedded).

    Raises:
        ConfigError: a passage encoder is needed, a size below 1, or a device without memory for a quarter of a batch.
        DataError: the encoder gave a vector that is not finite, or too large for float16.
        ArtifactError: a shard of an interrupted run is damaged, or of another shape.
    """
    if encoder.role != "passage" or tokens_per_batch < 1 or shard_size < 1:
        raise ConfigError("embed_corpus needs a passage encoder, tokens_per_batch >= 1 and shard_size >= 1")
    first = first_of_same(store)
    rows = np.flatnonzero(first == np.arange(len(first)))
    settings = {"passages": len(store), "distinct": len(rows), "dim": encoder.dim, "stored": stored}
    settings |= {"tokens_per_batch": tokens_per_batch, "shard_size": shard_size}
    plan = _plan(folder / SHARDS, settings, dtype, encoder.model.device.type)
    missing = _missing(folder, len(rows), shard_size)
    shards = ((part.start, [store[int(row)] for row in rows[part.start : part.stop]]) for part in missing)
    embedded = (crew or Alone(encoder)).embed(shards, plan["dtype"], tokens_per_batch)
    reused = len(rows) - sum(map(len, missing))
    taken = _write(folder, embedded, stored, lambda done: progress(done, len(rows)), reused)
    _merge(folder, first, rows, encoder.dim, shard_size, stored)
    size = {"passages": len(store), "duplicates": len(store) - len(rows), "dim": encoder.dim}
    return {**size, "dtype": plan["dtype"], "stored": stored, **taken}


def _write(
    folder: Path, embedded: Embedded, stored: Stored, report: Callable[[int], None], reused: int
) -> dict[str, float]:
    """Write the shards as they come, and report how many passages are done; returns the time that it took."""
    started, done = time.perf_counter(), reused
    if done:
        report(done)
    for start, vectors in embedded:
        _save(_shard(folder, start), vectors, stored)
        done += len(vectors)
        report(done)
    seconds = time.perf_counter() - started
    rate = round((done - reused) / seconds, 1) if seconds else 0.0
    return {"seconds": round(seconds, 3), "passages_per_second": rate, "reused": reused}


def _plan(shards: Path, plan: dict[str, Any], dtype: InferenceDtype, kind: str) -> dict[str, Any]:
    """The settings the shards depend on; shards made with others are removed."""
    file = shards / PLAN
    if file.exists():
        old = read_sealed(file)
        chosen = old.pop("dtype", "")
        if old == plan and dtype in ("auto", chosen):
            return {**plan, "dtype": chosen}
        shutil.rmtree(shards)
    shards.mkdir(parents=True, exist_ok=True)
    chosen = resolve_dtype(dtype, kind)
    write_sealed(file, {**plan, "dtype": chosen})
    return {**plan, "dtype": chosen}


def embed_shard(passages: Sequence[Passage], model: TextEncoder, tokens_per_batch: int) -> NDArray[np.float32]:
    """Vectors [size, D] of the passages of a shard.

    Raises:
        ConfigError: a device without memory for a quarter of a batch.
    """
    encoded, setting = model.token_ids(passages), f"encoder.tokens_per_batch={tokens_per_batch}"
    vectors = np.empty((len(passages), model.dim), dtype=np.float32)
    for rows in length_batches([len(item["input_ids"]) for item in encoded], tokens_per_batch):
        vectors[rows] = in_smaller_batches(
            lambda part: list(model.encode_batch([encoded[row] for row in part])), rows, setting
        )
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


def _missing(folder: Path, count: int, shard_size: int) -> list[range]:
    parts = (range(start, min(start + shard_size, count)) for start in range(0, count, shard_size))
    return [part for part in parts if not _shard(folder, part.start).exists()]


def _save(path: Path, vectors: NDArray[np.float32], stored: Stored) -> None:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        kept = vectors.astype(stored)
    check_vectors(kept.astype(np.float32), source=path)
    with open_atomic(path) as handle:
        np.save(handle, kept)


def _merge(
    folder: Path, first: NDArray[np.int64], rows: NDArray[np.int64], dim: int, shard_size: int, stored: Stored
) -> None:
    temporary = folder / (VECTORS + ".tmp")
    merged = new_array(temporary, (len(first), dim), stored)
    for start in range(0, len(rows), shard_size):
        places = rows[start : start + shard_size]
        merged[places] = open_array(_shard(folder, start), stored, 2, (len(places), dim))
    repeated = np.flatnonzero(first != np.arange(len(first)))
    for start in range(0, len(repeated), BLOCK):
        merged[repeated[start : start + BLOCK]] = merged[first[repeated[start : start + BLOCK]]]
    merged.flush()
    del merged
    replace_file(temporary, folder / VECTORS)
    shutil.rmtree(folder / SHARDS)
