"""Stage `bm25`: corpus -> artifacts/bm25, the BM25 index over title and text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import counted
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.words import rule_of
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import Workspace, config_stage


def open_bm25(workspace: Workspace) -> BM25Retriever:
    """The BM25 retriever over title and text."""
    return BM25Retriever.load(STAGE.build(workspace).path, rule_of(workspace.config))


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    store = corpus.open_store(workspace)
    passages = counted(store, "reading", "passages", len(store))
    info = BM25Retriever.build(workspace.config.bm25, passages, rule_of(workspace.config)).save(folder)
    if info["unseen"]:
        workspace.announce(
            f"bm25: {info['unseen']} of {info['ntotal']} passages hold no word that the rule of "
            f"corpus.language={workspace.config.corpus.language} sees"
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
