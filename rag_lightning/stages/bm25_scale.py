"""Stage `bm25_scale`: the score_scale of BM25, fitted on dev if neither a training nor the configuration gives one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.stages import bm25, corpus, examples
from rag_lightning.stages.ranking import rank_and_judge
from rag_lightning.stages.workspace import Workspace, config_stage

SCALES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)


def score_scale(workspace: Workspace) -> float:
    """bm25.score_scale, or the fitted one if that is 0."""
    return workspace.config.bm25.score_scale or float(STAGE.build(workspace).info["score_scale"])


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """Choose the scale that maximises the log-probability of passages with an answer (or evidence) on dev."""
    asked, k = examples.read(workspace, "dev"), workspace.config.retriever.k_max
    rankings, flags = rank_and_judge(workspace, bm25.open_bm25(workspace), asked, k)
    pairs = [(np.array(r.scores), np.array(f)) for r, f in zip(rankings, flags, strict=True) if any(f)]

    def mass(scale: float) -> float:
        return float(np.mean([_log_mass(scores * scale, hit) for scores, hit in pairs]))

    return {"score_scale": max(SCALES, key=mass) if pairs else 1.0, "questions": len(pairs)}


def _log_mass(logits: Any, hit: Any) -> float:
    shifted = logits - logits.max()
    return float(np.log(np.exp(shifted[hit]).sum()) - np.log(np.exp(shifted).sum()))


STAGE = config_stage(
    "bm25_scale",
    1,
    lambda w: {"bm25": bm25.STAGE.at(w), "examples": examples.STAGE.at(w), "corpus": corpus.STAGE.at(w)},
    _make,
)
build = STAGE.build


def run(config: ExperimentConfig) -> None:
    """Fit the scale and print it."""
    workspace = Workspace(config)
    workspace.announce(f"bm25.score_scale {build(workspace).info['score_scale']}")
