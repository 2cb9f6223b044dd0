"""Stage `index`: vectors -> artifacts/index (FAISS)."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.console import progress
from rag_lightning.index.codes import CompressedKind
from rag_lightning.index.flat import FlatIndex
from rag_lightning.index.index import FaissIndex, Floats, Index, IndexKind, build_index, load_index
from rag_lightning.retrieval.exact import ExactSearch
from rag_lightning.stages import embed, vectors
from rag_lightning.stages.workspace import Workspace, config_stage


def open_searched(workspace: Workspace) -> Index:
    """What is searched at prediction: the configured index, whose exact search runs on the device of the models."""
    if workspace.config.index.kind == "flat" and workspace.device != "cpu":
        return ExactSearch(vectors.mapped(embed.build(workspace)), workspace.device)
    return open_index(workspace)


def open_index(workspace: Workspace) -> FaissIndex:
    """The configured index, memory-mapped, with the vectors if its search reads them.

    Vectors that are needed to refine are embedded again if their artifact was removed.
    """
    config = workspace.config.index
    kind: IndexKind = config.made()
    found = embed.STAGE.open(workspace) if kind.reads_vectors else None
    if found is None and isinstance(kind, CompressedKind) and kind.refine:
        found = embed.build(workspace)
    return load_index(build(workspace).path, config, vectors.mapped(found) if found else None)


def open_flat(workspace: Workspace, passages: Floats) -> Index:
    """Exact search for training, on the device of the models; on a CPU over a memory-mapped index file.

    All processes of a machine share one read-only copy of the file and of the memory-mapped vectors.
    """
    if workspace.device != "cpu":
        return ExactSearch(passages, workspace.device)
    return FlatIndex.mapped(FLAT.build(workspace).path, passages)


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config, started = workspace.config.index, time.perf_counter()
    with progress(f"adding to {config.kind}", "vectors") as report:
        encoder = workspace.config.encoder
        unit = encoder.normalize and not encoder.passage_vectors
        index = build_index(config, vectors.mapped(embed.build(workspace)), report=report, folder=folder, unit=unit)
    return {**index.save(folder), "build_seconds": round(time.perf_counter() - started, 3)}


STAGE = config_stage("index", 3, lambda workspace: {"vectors": embed.STAGE.at(workspace)}, _make, resumable=True)
FLAT = replace(
    STAGE,
    settings=lambda workspace: settings(_flat(workspace).config, "index"),
    make=lambda workspace, folder: _make(_flat(workspace), folder),
)
"""The stage of the flat index, whatever the configured kind."""
build = STAGE.build


def _flat(workspace: Workspace) -> Workspace:
    return workspace.with_config(index=IndexConfig("flat"))


def run(config: ExperimentConfig) -> None:
    """Build the configured index and print its size and folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    info = artifact.info
    workspace.announce(f"{info['bytes'] / 1e6:.1f} MB in {info['build_seconds']} s: {artifact.path}")
