"""How well each retriever finds passages by itself, for the query encoder as it came, warmed up and trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rag_lightning.core.config import SweepConfig
from rag_lightning.stages import bm25, index, retrieve, score
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep.system import System

FROZEN, WARMED_UP = "frozen", "warmed up"


def rows(config: SweepConfig, split: str = "dev") -> list[dict[str, Any]]:
    """One row per retriever and query encoder (frozen, warmed up, and of each trained formulation)."""
    return [row for retriever in config.retriever for row in _rows(config, retriever, split)]


def _rows(config: SweepConfig, retriever: str, split: str) -> Iterator[dict[str, Any]]:
    formulations = dict.fromkeys(decoding.partition("/")[0] for decoding in config.decoding)
    before = config.experiment.retriever_warmup.steps or config.experiment.biencoder.steps
    warmed_up = [WARMED_UP] if before else []
    models = [FROZEN] if retriever == "bm25" else [FROZEN, *warmed_up, *formulations]
    for model in models:
        decoding = next(d for d in config.decoding if model in (FROZEN, WARMED_UP) or d.startswith(model))
        system = System.make(decoding, retriever, 1)
        yield _row(Workspace(system.configure(config.experiment)), retriever, model, split)


def _asker(model: str) -> retrieve.Asker:
    if model == FROZEN:
        return "frozen"
    return "warmed up" if model == WARMED_UP else "trained"


def _row(workspace: Workspace, retriever: str, model: str, split: str) -> dict[str, Any]:
    ranked = retrieve.build(workspace, split, _asker(model))
    scored = score.of(workspace, split, None, ranked, workspace.config.retriever.k_max)
    built = bm25.build(workspace) if retriever == "bm25" else index.build(workspace)
    summary = json.loads((scored.path / score.SUMMARY).read_text(encoding="utf-8"))
    return {
        "retriever": retriever,
        "model": "words" if retriever == "bm25" else model,
        "split": split,
        "metrics": summary["metrics"],
        "score_scale": ranked.info["score_scale"],
        "index_bytes": built.info["bytes"],
        "build_seconds": built.info["build_seconds"],
        "seconds_per_query": ranked.info["seconds_per_query"],
    }
