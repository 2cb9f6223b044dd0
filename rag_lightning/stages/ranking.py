"""A retriever over the questions of a split, and the score_scale that suits one which is not learnt."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from rag_lightning.core.records import Example, Ranking
from rag_lightning.metrics.outcomes import evidence_hits
from rag_lightning.retrieval.questions import ByText, QuestionRetriever
from rag_lightning.retrieval.retriever import Retriever
from rag_lightning.stages import corpus, examples
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task

BATCH = 256
SCALES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)


def rank(retriever: QuestionRetriever, asked: Sequence[Example], k: int) -> tuple[list[Ranking], float]:
    """Rankings in the order of the examples, and the seconds they took."""
    started = time.perf_counter()
    rankings = []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        hits = retriever.retrieve(batch, k)
        rankings += [found.ranking(example.example_id) for found, example in zip(hits, batch, strict=True)]
    return rankings, time.perf_counter() - started


def marked(
    workspace: Workspace, retriever: Retriever, asked: Sequence[Example], k: int
) -> tuple[list[Ranking], list[tuple[bool, ...]]]:
    """Rankings of at most k passages, and of each passage whether it holds an answer (or the evidence)."""
    store = corpus.open_store(workspace)
    rankings, _ = rank(ByText(retriever), asked, min(k, len(store)))
    return rankings, evidence_hits(get_task(workspace.config.task.name), store, asked, rankings)


def tuned_scale(workspace: Workspace, retriever: Retriever) -> float:
    """The scale that gives the passages with an answer (or the evidence) the most log-probability on dev."""
    rankings, flags = marked(workspace, retriever, examples.read(workspace, "dev"), workspace.config.retriever.k_max)
    pairs = [(np.array(r.scores), np.array(f)) for r, f in zip(rankings, flags, strict=True) if any(f)]
    if not pairs:
        return 1.0

    def mass(scale: float) -> float:
        return float(np.mean([_log_mass(scores * scale, hit) for scores, hit in pairs]))

    return max(SCALES, key=mass)


def _log_mass(logits: Any, hit: Any) -> float:
    shifted = logits - logits.max()
    return float(np.log(np.exp(shifted[hit]).sum()) - np.log(np.exp(shifted).sum()))
