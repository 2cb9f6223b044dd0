"""One index in a process of its own: `python -m rag_lightning.bench.child BUILD|SEARCH REQUEST ANSWER`.

A process of its own gives memory that is the index's alone, and cold caches of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.bench.memory import Peak, memory
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import RagLightningError
from rag_lightning.core.files import write_json
from rag_lightning.index.faiss_files import faiss_threads, read_faiss
from rag_lightning.index.index import FAISS_FILE, FaissIndex, build_index, load_index

CUTOFFS = (1, 5, 20, 100)
"""Results of the searches that recall is measured in, each by itself: `refine` and `ef_search` give a search for more
results more candidates."""
BATCH = 64
LEAST, SECONDS = 50, 8.0
"""Batches of one query that are timed at least, and about how long timing may take beyond that."""
WARM = 5
"""Batches before timing."""


def build(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Build and save an index, inverted files in parts; seconds, bytes, and the largest memory of its own."""
    vectors, folder = np.load(asked["vectors"], mmap_mode="r"), Path(asked["folder"])
    with faiss_threads(asked["threads"]), Peak() as peak:  # FAISS is imported before the peak begins
        begun, computed = time.perf_counter(), time.process_time()
        made = build_index(_config(asked), vectors, folder=folder)
        seconds = {"build_seconds": time.perf_counter() - begun, "build_cpu_seconds": time.process_time() - computed}
        info = made.save(folder)
    return {**seconds, "bytes": info["bytes"], "build_mib": peak.mib}


def search(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Open a saved index and search it; what is found is saved beside the answer."""
    queries = np.load(asked["queries"])
    vectors = np.load(asked["vectors"], mmap_mode="r")
    with faiss_threads(asked["threads"]):  # FAISS is imported here
        before, begun = memory(), time.perf_counter()
        index = load_index(Path(asked["folder"]), _config(asked), vectors)
        index.search(queries[:1], max(CUTOFFS))
        first = time.perf_counter() - begun
        rows = np.hstack([np.vstack([index.search(part, k)[1] for part in _parts(queries, BATCH)]) for k in CUTOFFS])
        after = memory()
        single, batched = _timed(index, queries, 1, asked["k"]), _timed(index, queries, BATCH, asked["k"])
    np.save(asked["rows"], rows)
    held = memory()["anonymous"]
    read = read_faiss(Path(asked["folder"]) / FAISS_FILE, mapped=False)
    tail = dict(zip(("p50", "p95", "p99"), (1000 * np.percentile(single[:, 0], (50, 95, 99))).tolist(), strict=True))
    return {
        "first_seconds": first,
        "anonymous_mib": after["anonymous"] - before["anonymous"],
        "mapped_mib": after["mapped"] - before["mapped"],
        "read_mib": memory()["anonymous"] - held if read.ntotal else 0.0,
        **_rates(single, 1, ""),
        **_rates(batched, BATCH, "_64"),
        "timed": len(single),
        **{f"{name}_ms": value for name, value in tail.items()},
    }


def _config(asked: Mapping[str, Any]) -> IndexConfig:
    return IndexConfig(asked["kind"], asked["options"])


def _parts(queries: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    """Batches of one size, the last one filled up from the front."""
    count = -(-len(queries) // size)
    return [queries[start : start + size] for start in range(0, count * size, size)]


def _rates(seconds: NDArray[np.float64], size: int, suffix: str) -> dict[str, float]:
    """Queries per second, and per second of CPU, which other work on the machine hardly changes."""
    second, computed = size * len(seconds) / seconds.sum(axis=0)
    return {f"queries_per_second{suffix}": float(second), f"queries_per_cpu_second{suffix}": float(computed)}


def _timed(index: FaissIndex, queries: NDArray[np.float32], size: int, k: int) -> NDArray[np.float64]:
    """[any, 2] seconds, and seconds of CPU, of each batch."""
    parts = [part for part in _parts(queries, size) if len(part) == size]
    for part in parts[:WARM]:
        index.search(part, k)
    seconds: list[tuple[float, float]] = []
    until = time.perf_counter() + SECONDS
    while len(seconds) < len(parts) and (len(seconds) < min(LEAST, len(parts)) or time.perf_counter() < until):
        begun, computed = time.perf_counter(), time.process_time()
        index.search(parts[len(seconds)], k)
        seconds.append((time.perf_counter() - begun, time.process_time() - computed))
    return np.array(seconds)


WORK: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"build": build, "search": search}


def main(work: str, request: Path, answer: Path) -> None:
    """Do one piece of work; what cannot be done is answered as `problem`."""
    try:
        found = WORK[work](json.loads(request.read_text(encoding="utf-8")))
    except RagLightningError as error:
        found = {"problem": str(error)}
    write_json(answer, found)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
