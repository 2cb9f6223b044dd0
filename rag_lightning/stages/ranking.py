"""Rankings of a retriever for many questions, and the judgement of the ranked passages."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rag_lightning.core.records import Example, Ranking
from rag_lightning.metrics.outcomes import evidence_hits
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import Asked, ByText, QuestionRetriever, Retriever
from rag_lightning.stages import bm25, corpus
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import get_task

BATCH = 256
CANDIDATES = 20
"""Number of hits to search for passages with an answer, of questions without gold passages, and for hard negatives."""


def rank(retriever: QuestionRetriever, asked: Sequence[Example], k: int) -> tuple[list[Ranking], float]:
    """Rankings in the order of the examples, and the seconds they took."""
    started = time.perf_counter()
    rankings = []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        hits = retriever.retrieve(batch, k)
        rankings += [found.ranking(example.example_id) for found, example in zip(hits, batch, strict=True)]
    return rankings, time.perf_counter() - started


def count_cut(workspace: Workspace, encoder: TextEncoder, asked: Sequence[Asked], what: str = "questions") -> int:
    """Announce how many questions are cut for retrieval, which finds passages for their beginnings; returns it."""
    cut = encoder.count_cut([question.query for question in asked])
    if cut:
        workspace.announce(
            f"{cut} of {len(asked)} {what} are truncated to {encoder.max_length} tokens for retrieval "
            "(encoder.max_query_length)"
        )
    return cut


def rows_with_answers(workspace: Workspace, asked: Sequence[Example]) -> dict[str, tuple[int, ...]]:
    """Example id -> the rows of its first BM25 hits that hold an answer (or the evidence), best first."""
    rankings, flags = rank_and_judge(workspace, bm25.open_bm25(workspace), asked, CANDIDATES) if asked else ([], [])
    return {
        ranking.example_id: tuple(row for row, hit in zip(ranking.rows, right, strict=True) if hit)
        for ranking, right in zip(rankings, flags, strict=True)
    }


def rank_and_judge(
    workspace: Workspace, retriever: Retriever, asked: Sequence[Example], k: int
) -> tuple[list[Ranking], list[tuple[bool, ...]]]:
    """Rankings of at most k passages, and for each passage whether it holds an answer (or the evidence)."""
    store = corpus.open_store(workspace)
    rankings, _ = rank(ByText(retriever), asked, min(k, len(store)))
    return rankings, evidence_hits(get_task(workspace.config.task.name), store, asked, rankings)
