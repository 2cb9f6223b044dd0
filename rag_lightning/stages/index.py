"""Stage `index`: vectors -> artifacts/index (FAISS)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig, IndexConfig, to_dict
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.index.factory import build_index, load_index
from rag_lightning.index.flat import FlatIndex
from rag_lightning.index.index import FaissIndex, Floats
from rag_lightning.stages import bm25, embed
from rag_lightning.stages.workspace import Workspace, progress

VERSION = 1
BUILT_WITH = {
    "flat": (),
    "sq8": (),
    "hnsw": ("m", "ef_construction"),
    "ivf_flat": ("nlist",),
    "ivf_pq": ("nlist", "pq"),
}
"""Fields that change the file; the others only change a search."""


def build(workspace: Workspace) -> Artifact:
    """The configured index over the corpus's vectors."""
    config = workspace.config.index
    fields = to_dict(config)
    settings = {"kind": config.kind} | {name: fields[name] for name in BUILT_WITH.get(config.kind, ())}
    recipe = Recipe("index", settings, {"vectors": embed.build(workspace).digest}, VERSION)

    def make(folder: Path) -> dict[str, Any]:
        started = time.perf_counter()
        with progress(f"adding to {config.kind}", "vectors") as report:
            index = build_index(config, embed.open_vectors(workspace), report=report)
        return {**index.save(folder), "build_seconds": round(time.perf_counter() - started, 3)}

    return workspace.store.build(recipe, make)


def open_index(workspace: Workspace) -> FaissIndex:
    """The configured index, ready to search."""
    return load_index(build(workspace).path, workspace.config.index)


def open_flat(workspace: Workspace, vectors: Floats) -> FlatIndex:
    """Exact search, as training uses it, over the workspace's memory-mapped vectors; its file is mapped too.

    Processes of a machine share one copy of both, which is only searched.
    """
    built = build(workspace.with_config(index=IndexConfig("flat")))
    return FlatIndex.mapped(built.path, vectors)


def run(config: ExperimentConfig) -> None:
    """Build what the configured retriever searches."""
    workspace = Workspace(config)
    artifact = bm25.build(workspace) if config.retriever.kind == "bm25" else build(workspace)
    info = artifact.info
    workspace.announce(f"{info['bytes'] / 1e6:.1f} MB in {info['build_seconds']} s: {artifact.path}")
