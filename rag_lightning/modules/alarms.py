"""What can go wrong with a retriever while it is trained, seen over dev questions and told as an alarm.

`collapse` (Lewis et al. 2020, appendix H): the retriever returns the same passages for any input, the generator learns
to ignore them, and RAG becomes its generator. `worse_retrieval`: fewer questions get a right passage first than from
the encoder that training started from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rag_lightning.metrics.paired import mcnemar

Rows = Sequence[int]

COLLAPSED = 0.1
"""Share of the distinct passages that could be shown, below which questions get the same ones."""
AGAINST_FROZEN = 0.5
"""Share of the frozen encoder's distinct passages, below which they have become the same by training."""
SURE = 0.05
"""Chance of as many questions lost on balance, where training changes nothing, below which retrieval got worse."""


def distinct(rankings: Sequence[Rows]) -> int:
    """How many different passages the questions got."""
    return len({row for rows in rankings for row in rows})


def unique_passage_ratio(rankings: Sequence[Rows]) -> float:
    """Different passages by passages shown: 1 where none is shown twice, 1/Q where all Q questions get the same."""
    shown = sum(map(len, rankings))
    return distinct(rankings) / shown if shown else 0.0


def spread(rankings: Sequence[Rows], passages: int) -> float:
    """0 where all questions get the same passages, 1 where as many different ones as could be.

    Args:
        rankings: Of the questions.
        passages: In the corpus.
    """
    same = max(map(len, rankings), default=0)
    most = min(sum(map(len, rankings)), passages)
    return (distinct(rankings) - same) / (most - same) if most > same else 1.0


def has_collapsed(rankings: Sequence[Rows], frozen: Sequence[Rows], passages: int) -> bool:
    """Do different questions get the same passages, and did they not before training.

    The spread is below COLLAPSED, and below AGAINST_FROZEN of that of the encoder training started from: questions
    that are all about one page, or a corpus of a few passages, raise no alarm.
    """
    found = spread(rankings, passages)
    return found < COLLAPSED and found < AGAINST_FROZEN * spread(frozen, passages)


def overlap(rows: Rows, frozen: Rows) -> float:
    """Share of the frozen encoder's passages that are still found; 1 where it found none."""
    return len(set(rows) & set(frozen)) / len(set(frozen)) if frozen else 1.0


def got_worse(first: Sequence[float], frozen: Sequence[float]) -> bool:
    """Did training lose more questions than it won, by McNemar's exact test.

    Args:
        first: 1 where the first passage of a question is a right one, else 0.
        frozen: The same of the encoder training started from.
    """
    return sum(first) < sum(frozen) and mcnemar(first, frozen).p < SURE


def _collapse(steps: Sequence[int]) -> str:
    return (
        f"ALARM collapse: at step {_listed(steps)} different dev questions get the same passages, which the query "
        "encoder that training started from did not do; lower train.retriever_lr, or freeze it with 0"
    )


def _worse_retrieval(steps: Sequence[int]) -> str:
    return (
        f"ALARM worse_retrieval: at step {_listed(steps)} fewer dev questions get a right passage first than from the "
        "query encoder that training started from; lower train.retriever_lr, or freeze it with 0"
    )


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps))


ALARMS: Mapping[str, Callable[[Sequence[int]], str]] = {"collapse": _collapse, "worse_retrieval": _worse_retrieval}
"""Name in a row of an evaluation, 1 where it is raised -> the warning, of the steps at which it was."""
