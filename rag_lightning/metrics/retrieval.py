"""How well passages were found, from ordered hit flags (best passage first).

Sources: answer recall is DPR's top-k accuracy (Karpukhin et al. 2020); reciprocal rank as in TREC-8 QA.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag_lightning.metrics.metric import Metric, Outcome


def recall_at(hits: Sequence[bool], k: int) -> float:
    """1 if any of the first k flags is set, else 0; fewer than k flags count as they are."""
    return float(any(hits[:k]))


def reciprocal_rank(hits: Sequence[bool]) -> float:
    """1 / position of the first set flag (from 1), 0 if none is set."""
    return next((1.0 / rank for rank, hit in enumerate(hits, 1) if hit), 0.0)


def answer_recall_at(k: int) -> Metric:
    """Share of queries with an answer in the text of the top k passages."""

    def score(outcome: Outcome) -> float | None:
        return None if outcome.answer_hits is None else recall_at(outcome.answer_hits, k)

    return Metric(f"answer_recall@{k}", "%", "higher", score)


def gold_recall_at(k: int) -> Metric:
    """Share of the queries that have gold passages with at least one of them in the top k."""

    def score(outcome: Outcome) -> float | None:
        return None if outcome.gold_hits is None else recall_at(outcome.gold_hits, k)

    return Metric(f"gold_recall@{k}", "%", "higher", score)


def _mrr(outcome: Outcome) -> float | None:
    return None if outcome.answer_hits is None else reciprocal_rank(outcome.answer_hits)


MRR = Metric("mrr", "", "higher", _mrr)
"""Mean reciprocal rank of the first passage that holds an answer, within what was retrieved."""
