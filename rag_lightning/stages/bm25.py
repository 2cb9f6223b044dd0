"""Stage `bm25`: corpus -> artifacts/bm25, the BM25 index over title and text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import counted
from rag_lightning.core.records import Passage
from rag_lightning.metrics.tokens import is_unspaced
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import Workspace, config_stage


def open_bm25(workspace: Workspace) -> BM25Retriever:
    """The BM25 retriever over title and text."""
    return BM25Retriever.load(STAGE.build(workspace).path)


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    store = corpus.open_store(workspace)
    unspaced = 0

    def passages() -> Iterator[Passage]:
        nonlocal unspaced
        for passage in counted(store, "reading", "passages", len(store)):
            unspaced += is_unspaced(passage.text)
            yield passage

    info = BM25Retriever.build(workspace.config.bm25, passages()).save(folder)
    if unspaced:
        workspace.announce(
            f"bm25: {unspaced:,} of {len(store):,} passages have a script without spaces between words; "
            "a question finds there only what it has in common from space to space"
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {**info, "bytes": size, "build_seconds": round(time.perf_counter() - started, 3)}


STAGE = config_stage("bm25", 2, lambda workspace: {"corpus": corpus.STAGE.at(workspace)}, _make)
build = STAGE.build


def run(config: ExperimentConfig) -> None:
    """Build the BM25 index and print its size and folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    info = artifact.info
    workspace.announce(f"{info['bytes'] / 1e6:.1f} MB in {info['build_seconds']} s: {artifact.path}")
