"""Baselines that read no passage and train nothing: they answer from the training examples.

Whoever claims that a model has learnt to read has to be above the strongest of these. An example's answer is its first
target or answer; answers count as equal as exact match does. Ties: of equal counts the answer that is first among the
training examples, of equal spellings the first, of equally near questions the earlier training example.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import regex

from rag_lightning.config.bounds import PositiveInt
from rag_lightning.core.records import Example, Hypothesis, Prediction
from rag_lightning.decoding.strategy import Strategy
from rag_lightning.metrics.questions import question_type
from rag_lightning.metrics.tokens import normalize_answer

RELATION = "relation"
"""The tag by which most_common_by_type tells types apart, where all examples have it."""
Answered = tuple[str, float]
"""An answer, and its share of the votes."""


Nearest = Callable[[str, int], Sequence[int]]
"""(question, k) -> at most k rows of the training questions that share words with it, the nearest first."""


@dataclass(frozen=True)
class Trained:
    """Training examples with their answers, at least one, and a search among their questions."""

    examples: Sequence[Example]
    answers: Sequence[str]
    nearest: Nearest

    @cached_property
    def most_common(self) -> Answered:
        """The most common answer of all."""
        return vote(self.answers)


Answer = Callable[[Example], Answered]


@dataclass(frozen=True)
class Trivial(Strategy):
    """A baseline that answers from the training examples, without a model and without passages."""

    formulations: ClassVar[tuple[str, ...]] = ("closed_book",)
    generates: ClassVar[bool] = False
    from_train: ClassVar[bool] = True

    def answers(self, trained: Trained, asked: Sequence[Example]) -> list[Prediction]:
        """One prediction per question, in their order; log_prob is the log of the answer's share of the votes."""
        answer, found = self.answer_with(trained, asked), []
        for example in asked:
            text, share = answer(example)
            log_prob = math.log(share)
            found.append(Prediction(example.example_id, text, text, log_prob, (Hypothesis(text, log_prob),)))
        return found

    def answer_with(self, trained: Trained, asked: Sequence[Example]) -> Answer:
        """A function that answers one question; it sees no answer of the questions asked."""
        raise NotImplementedError


@dataclass(frozen=True)
class MostCommon(Trivial):
    """The most common answer of the training examples; in classification the majority label."""

    title: ClassVar[str] = "most common answer"

    def answer_with(self, trained: Trained, asked: Sequence[Example]) -> Answer:
        """The same answer to every question."""
        return lambda example: trained.most_common


@dataclass(frozen=True)
class MostCommonByType(Trivial):
    """The most common answer to the training questions of one type, or of all where none is of the type.

    The type is the relation that the data names, or else the question word.
    """

    title: ClassVar[str] = "most common answer by type"

    def answer_with(self, trained: Trained, asked: Sequence[Example]) -> Answer:
        """The answer of the question's type."""
        tagged = all(RELATION in example.tags for example in (*trained.examples, *asked))

        def kind(example: Example) -> str:
            return example.tags[RELATION] if tagged else question_type(example.query)

        groups: dict[str, list[str]] = {}
        for example, answer in zip(trained.examples, trained.answers, strict=True):
            groups.setdefault(kind(example), []).append(answer)
        common = {name: vote(listed) for name, listed in groups.items()}
        return lambda example: common.get(kind(example), trained.most_common)


@dataclass(frozen=True)
class NearestQuestion(Trivial):
    """The answer to the training question that shares most words with the question (BM25), its entity replaced.

    Where the training example's entity stands in its answer, and the asked one's entity in the question, the latter
    takes the place of the former. A question that shares no word gets the most common answer.
    """

    title: ClassVar[str] = "answer of the nearest question"

    def answer_with(self, trained: Trained, asked: Sequence[Example]) -> Answer:
        """The nearest question's answer."""

        def answer(example: Example) -> Answered:
            rows = trained.nearest(example.query, 1)
            if not rows:
                return trained.most_common
            near = trained.examples[rows[0]]
            return with_entity(trained.answers[rows[0]], near.entity, example), 1.0

        return answer


@dataclass(frozen=True)
class KNNVote(Trivial):
    """The most common answer to the nearest training questions (BM25), that of the nearer at equal counts.

    Args:
        neighbours: Number of training questions that vote.
    """

    title: ClassVar[str] = "vote of the nearest questions"

    neighbours: PositiveInt = 10

    def answer_with(self, trained: Trained, asked: Sequence[Example]) -> Answer:
        """The vote."""

        def answer(example: Example) -> Answered:
            rows = trained.nearest(example.query, self.neighbours)
            return vote([trained.answers[row] for row in rows]) if rows else trained.most_common

        return answer


def vote(answers: Sequence[str]) -> Answered:
    """The most common answer in its most common spelling, and its share; at equal counts the first.

    >>> vote(["Paris", "Rome", "paris", "Rome", "Paris"])
    ('Paris', 0.6)
    """
    names = [normalize_answer(answer) for answer in answers]
    name, count = Counter(names).most_common(1)[0]
    spelling = Counter(answer for answer, other in zip(answers, names, strict=True) if other == name)
    return spelling.most_common(1)[0][0], count / len(answers)


def with_entity(answer: str, entity: str, asked: Example) -> str:
    """An answer with the asked entity in the place of its own, where the question names the asked one.

    >>> with_entity("The capital of Peru is Lima.", "peru", Example("1", "capital of chad", (), entity="Chad"))
    'The capital of Chad is Lima.'
    """
    if not (entity and asked.entity and _whole(asked.entity).search(asked.query)):
        return answer
    return _whole(entity).sub(lambda match: asked.entity, answer)


def _whole(name: str) -> regex.Pattern[str]:
    return regex.compile(rf"(?<!\w){regex.escape(name)}(?!\w)", regex.IGNORECASE)
