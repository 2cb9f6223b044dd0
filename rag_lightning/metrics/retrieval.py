"""Metrics of retrieval from ordered hit flags (best passage first).

Sources: answer recall is DPR's top-k accuracy (Karpukhin et al. 2020); reciprocal rank as in TREC-8 QA; precision as
in trec_eval (P_k). EM without an answer in the passages: Lewis et al. 2020, section 4.1 (11.8 % on NQ).
"""

from __future__ import annotations

from collections.abc import Sequence

from rag_lightning.metrics.answers import EM
from rag_lightning.metrics.metric import Metric, Outcome


def recall_at(hits: Sequence[bool], k: int) -> float:
    """1 if any of the first k flags is set, else 0; fewer than k flags count as they are."""
    return float(any(hits[:k]))


def precision_at(hits: Sequence[bool], k: int) -> float:
    """Set flags among the first k, divided by k also where there are fewer than k flags."""
    return sum(hits[:k]) / k


def reciprocal_rank(hits: Sequence[bool]) -> float:
    """1 / position of the first set flag (from 1), 0 if none is set."""
    return next((1.0 / rank for rank, hit in enumerate(hits, 1) if hit), 0.0)


def answer_recall_at(k: int) -> Metric:
    """Share of queries with an answer in the text of the top k passages."""

    def score(outcome: Outcome) -> float | None:
        return None if outcome.answer_hits is None else recall_at(outcome.answer_hits, k)

    return Metric(f"answer_recall@{k}", "%", "higher", score)


def answer_precision_at(k: int) -> Metric:
    """Share of the top k passages whose text holds an answer."""

    def score(outcome: Outcome) -> float | None:
        return None if outcome.answer_hits is None else precision_at(outcome.answer_hits, k)

    return Metric(f"answer_precision@{k}", "%", "higher", score)


def em_unanswerable_at(k: int) -> Metric:
    """EM of the queries with no answer in the text of the top k passages; None for the others."""

    def score(outcome: Outcome) -> float | None:
        if outcome.answer_hits is None or any(outcome.answer_hits[:k]):
            return None
        return EM.score(outcome)

    return Metric(f"em_unanswerable@{k}", "%", "higher", score)


def gold_recall_at(k: int) -> Metric:
    """Share of the queries that have gold passages with at least one of them in the top k."""

    def score(outcome: Outcome) -> float | None:
        return None if outcome.gold_hits is None else recall_at(outcome.gold_hits, k)

    return Metric(f"gold_recall@{k}", "%", "higher", score)


def _mrr(outcome: Outcome) -> float | None:
    return None if outcome.answer_hits is None else reciprocal_rank(outcome.answer_hits)


MRR = Metric("mrr", "", "higher", _mrr)
"""Mean reciprocal rank of the first passage that holds an answer, within what was retrieved."""
