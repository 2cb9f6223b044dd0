"""Monitoring of retrieval while it is trained: at every evaluation, over the dev questions, with the k of training.

Every value is a field of a row of history.jsonl. Two of them are alarms, `collapse` and `worse_retrieval`.

`collapse` (Lewis et al. 2020, appendix H): the retriever returns the same passages for any input, the generator learns
to ignore them, and RAG becomes its generator. `worse_retrieval`: fewer questions get a right passage first than from
the encoder that training started from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rag_lightning.core.records import Example, Prediction, Ranking
from rag_lightning.decoding.posterior import of_sequence
from rag_lightning.decoding.question import Question
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.metrics.paired import mcnemar
from rag_lightning.training.processes import gather_items

Evidence = Callable[[Sequence[Example], Sequence[Ranking]], Sequence[tuple[bool, ...] | None]]
"""Whether each passage of each ranking is right, by the task's rule; None for a question without known evidence."""


@dataclass(frozen=True)
class Seen:
    """Retrieval of one dev question: rows, p(z|x), p(z|x,y) where known, and which rows are right (None: unknown).

    y is the prediction of the evaluation. p(z|x,y) is known under RAG-Sequence, whose hypotheses carry log p(y|x,z).
    `right_frozen` is `right` of the passages found by the encoder that training starts from.
    """

    example_id: str
    rows: tuple[int, ...]
    prior: tuple[float, ...]
    posterior: tuple[float, ...]
    right: tuple[bool, ...] | None
    right_frozen: tuple[bool, ...] | None


def entropy(probabilities: Sequence[float]) -> float:
    """Entropy in nats: 0 where one passage has all the mass, log K where all K have the same."""
    p: NDArray[np.float64] = np.asarray(probabilities, dtype=np.float64)
    kept = p[p > 0]
    return float(-(kept * np.log(kept)).sum()) + 0.0


def summarise(seen: Sequence[Seen], frozen: Mapping[str, Rows], k: int, passages: int) -> dict[str, float]:
    """The row of an evaluation; empty without questions.

    Args:
        seen: Retrieval of every dev question.
        frozen: Example id -> rows found by the encoder training started from.
        k: Passages of a question.
        passages: Passages of the corpus.

    Returns:
        unique_passage_ratio and frozen_unique_passage_ratio; frozen_overlap@k; prior_entropy and, where it is known,
        posterior_entropy (nats, means over questions); first_passage_mass, mean p(z_1|x); answer_recall@1 and @k, where
        answers do not stand in passages of gold passages or articles, and frozen_answer_recall@1; the alarms, 1 or 0.
    """
    if not seen:
        return {}
    rankings, before = [s.rows for s in seen], [frozen[s.example_id] for s in seen]
    known = [(s.right, s.right_frozen) for s in seen if s.right is not None and s.right_frozen is not None]
    first = [float(any(right[:1])) for right, _ in known]
    first_before = [float(any(right[:1])) for _, right in known]
    row: dict[str, float] = {
        "unique_passage_ratio": unique_passage_ratio(rankings),
        "frozen_unique_passage_ratio": unique_passage_ratio(before),
        f"frozen_overlap@{k}": _mean([overlap(*pair) for pair in zip(rankings, before, strict=True)]),
        "prior_entropy": _mean([entropy(s.prior) for s in seen]),
        "first_passage_mass": _mean([s.prior[0] for s in seen if s.rows]),
        "answer_recall@1": _mean(first),
        "frozen_answer_recall@1": _mean(first_before),
        f"answer_recall@{k}": _mean([float(any(right)) for right, _ in known]),
        "collapse": int(has_collapsed(rankings, before, passages)),
        "worse_retrieval": int(got_worse(first, first_before)),
    }
    if any(s.posterior for s in seen):
        row["posterior_entropy"] = _mean([entropy(s.posterior) for s in seen if s.posterior])
    return row


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


class RetrievalMonitor:
    """Collects the retrieval of dev questions, and raises the alarms.

    Args:
        frozen: Example id -> rows found by the encoder training starts from.
        k: Passages of a question.
        passages: Passages of the corpus.
        evidence: Decides which passages are right.
        announce: Called with the text of an alarm, the first time.
    """

    def __init__(
        self,
        frozen: Mapping[str, Rows],
        k: int,
        passages: int,
        evidence: Evidence,
        announce: Callable[[str], None],
    ) -> None:
        self.frozen, self.k, self.passages = frozen, k, passages
        self.evidence, self.announce = evidence, announce
        self._seen: list[Seen] = []
        self._right_frozen: dict[str, tuple[bool, ...] | None] = {}
        self._told: set[str] = set()

    def observe(self, questions: Sequence[Question], predictions: Sequence[Prediction]) -> None:
        """Record retrieval and predictions of a batch of dev questions."""
        examples = [question.example for question in questions]
        rankings = [Ranking(q.example.example_id, q.rows, q.doc_scores) for q in questions]
        self._learn([example for example in examples if example.example_id not in self._right_frozen])
        for question, prediction, right in zip(questions, predictions, self.evidence(examples, rankings), strict=True):
            self._seen.append(_seen(question, prediction, right, self._right_frozen[question.example.example_id]))

    def _learn(self, examples: Sequence[Example]) -> None:
        """Judge the frozen encoder's passages, which are the same at every evaluation."""
        frozen = [(example.example_id, tuple(self.frozen[example.example_id])) for example in examples]
        rankings = [Ranking(name, rows, (0.0,) * len(rows)) for name, rows in frozen]
        for (name, _), right in zip(frozen, self.evidence(examples, rankings), strict=True):
            self._right_frozen[name] = right

    def close(self, step: int) -> dict[str, float]:
        """The row of the evaluation at a step, over the questions of all processes, each of which calls it."""
        seen, self._seen = gather_items(self._seen), []
        row = summarise(seen, self.frozen, self.k, self.passages)
        for name, text in ALARMS.items():
            if row.get(name) and name not in self._told:
                self.announce(text([step]))
                self._told.add(name)
        return row


def _seen(
    question: Question, prediction: Prediction, right: tuple[bool, ...] | None, right_frozen: tuple[bool, ...] | None
) -> Seen:
    prior = doc_log_probs(torch.tensor(question.logits, device="cpu"))
    known = prediction.hypotheses[0].passage_log_probs if prediction.hypotheses else ()
    posterior = of_sequence(known, prior) if known and len(known) == len(prior) else torch.empty(0, device="cpu")
    return Seen(
        question.example.example_id,
        question.rows,
        tuple(prior.exp().tolist()),
        tuple(posterior.tolist()),
        right,
        right_frozen,
    )


Rows = Sequence[int]

COLLAPSED = 0.1
"""Share of the distinct passages that could be shown, below which questions get the same ones."""
AGAINST_FROZEN = 0.5
"""Share of the frozen encoder's distinct passages, below which they have become the same by training."""
SURE = 0.05
"""Chance of as many questions lost on balance, where training changes nothing, below which retrieval got worse."""


def distinct(rankings: Sequence[Rows]) -> int:
    """Number of different passages over all questions."""
    return len({row for rows in rankings for row in rows})


def unique_passage_ratio(rankings: Sequence[Rows]) -> float:
    """Different passages by passages shown: 1 where none is shown twice, 1/Q where all Q questions get the same."""
    shown = sum(map(len, rankings))
    return distinct(rankings) / shown if shown else 0.0


def spread(rankings: Sequence[Rows], passages: int) -> float:
    """0 where all questions get the same passages, 1 where as many different ones as could be.

    Args:
        rankings: Rows of each question.
        passages: Passages of the corpus.
    """
    same = max(map(len, rankings), default=0)
    most = min(sum(map(len, rankings)), passages)
    return (distinct(rankings) - same) / (most - same) if most > same else 1.0


def has_collapsed(rankings: Sequence[Rows], frozen: Sequence[Rows], passages: int) -> bool:
    """Whether different questions get the same passages that did not before training.

    The spread is below COLLAPSED, and below AGAINST_FROZEN of that of the encoder training started from: questions
    that are all about one page, or a corpus of a few passages, raise no alarm.
    """
    found = spread(rankings, passages)
    return found < COLLAPSED and found < AGAINST_FROZEN * spread(frozen, passages)


def overlap(rows: Rows, frozen: Rows) -> float:
    """Share of the frozen encoder's passages that are still found; 1 where it found none."""
    return len(set(rows) & set(frozen)) / len(set(frozen)) if frozen else 1.0


def got_worse(first: Sequence[float], frozen: Sequence[float]) -> bool:
    """Whether training lost significantly more questions than it won, by McNemar's exact test.

    Args:
        first: 1 where the first passage of a question is a right one, else 0.
        frozen: As `first`, for the encoder training started from.
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
