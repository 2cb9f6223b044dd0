"""Lexical retrieval's part of stage `index`: words -> artifacts/bm25."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import to_dict
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import Workspace, counted

VERSION = 1


def build(workspace: Workspace) -> Artifact:
    """The BM25 retriever over title and text."""
    config = workspace.config.bm25
    settings = {name: value for name, value in to_dict(config).items() if name != "score_scale"}
    passages = corpus.build(workspace)

    def make(folder: Path) -> dict[str, Any]:
        started = time.perf_counter()
        store = corpus.open_store(workspace)
        info = BM25Retriever.build(config, counted(store, "reading", "passages", len(store))).save(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return {**info, "bytes": size, "build_seconds": round(time.perf_counter() - started, 3)}

    return workspace.store.build(Recipe("bm25", settings, {"corpus": passages.digest}, VERSION), make)
