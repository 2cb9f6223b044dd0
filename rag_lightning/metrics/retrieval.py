"""Metrics of retrieval from ordered hit flags (best passage first).

Sources: answer recall is DPR's top-k accuracy (Karpukhin et al. 2020); reciprocal rank as in TREC-8 QA; precision as
in trec_eval (P_k). EM without an answer in the passages: Lewis et al. 2020, section 4.1 (11.8 % on NQ).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rag_lightning.metrics.answers import EM, tokenize
from rag_lightning.metrics.metric import EVERY_TASK, Family, Metric, Need, Outcome


def recall_at(hits: Sequence[bool], k: int) -> float:
    """1 if any of the first k flags is set, else 0; fewer than k flags count as they are."""
    return float(any(hits[:k]))


def precision_at(hits: Sequence[bool], k: int) -> float:
    """Set flags among the first k, divided by k also where there are fewer than k flags."""
    return sum(hits[:k]) / k


def reciprocal_rank(hits: Sequence[bool]) -> float:
    """1 / position of the first set flag (from 1), 0 if none is set."""
    return next((1.0 / rank for rank, hit in enumerate(hits, 1) if hit), 0.0)


def of_hits(measure: Callable[[Sequence[bool], int], float]) -> Callable[[Outcome, int], float | None]:
    """A measure of the flags of passages that hold an answer, as a family's score."""

    def score(outcome: Outcome, k: int) -> float | None:
        return None if outcome.answer_hits is None else measure(outcome.answer_hits, k)

    return score


def _em_unanswerable(outcome: Outcome, k: int) -> float | None:
    if outcome.answer_hits is None or any(outcome.answer_hits[:k]):
        return None
    return EM.score(outcome)


def _gold_recall(outcome: Outcome, k: int) -> float | None:
    return None if outcome.gold_hits is None else recall_at(outcome.gold_hits, k)


def _mrr(outcome: Outcome) -> float | None:
    return None if outcome.answer_hits is None else reciprocal_rank(outcome.answer_hits)


OF_ANSWERS: tuple[Need, ...] = ("passages", "answers")
ANSWER_RECALL = Family(
    "answer_recall", "%", "higher", of_hits(recall_at), needs=OF_ANSWERS, beside=(EVERY_TASK,), words=tokenize
)
"""Share of queries with an answer in the text of the top k passages."""
ANSWER_PRECISION = Family(
    "answer_precision", "%", "higher", of_hits(precision_at), needs=OF_ANSWERS, beside=(EVERY_TASK,), words=tokenize
)
"""Share of the top k passages whose text holds an answer."""
EM_UNANSWERABLE = Family(
    "em_unanswerable",
    "%",
    "higher",
    _em_unanswerable,
    needs=("prediction", "passages", "strings"),
    beside=("em",),
    cutoffs=(),
    words=EM.words,
)
"""EM of the queries with no answer in the text of the top k passages; not defined for the others."""
GOLD_RECALL = Family("gold_recall", "%", "higher", _gold_recall, needs=("passages", "gold"), beside=(EVERY_TASK,))
"""Share of the queries that have gold passages with at least one of them in the top k."""
MRR = Metric("mrr", "", "higher", _mrr, needs=OF_ANSWERS, beside=(EVERY_TASK,), words=tokenize)
"""Mean reciprocal rank of the first passage that holds an answer, within what was retrieved."""
