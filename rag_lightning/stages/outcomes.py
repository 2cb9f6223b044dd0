"""Examples, predictions and the passages they were made from -> Outcomes, what metrics look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.records import Example, Prediction, Ranking, Score, read_jsonl
from rag_lightning.metrics.answers import AnswerMatcher
from rag_lightning.metrics.joining import join_by_id
from rag_lightning.metrics.metric import AnyMetric, Outcome, score_outcome, statistics_of
from rag_lightning.metrics.patterns import PatternFault, PatternMatcher, pattern_faults
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.spec import TaskSpec

Matcher = AnswerMatcher | PatternMatcher


@dataclass(frozen=True)
class Outcomes:
    """Outcomes in the order of the examples.

    Args:
        listed: One per example.
        unanswered: Ids of examples that a file of predictions left without one on purpose.
        faults: Answer patterns that could not be used, and in how many examples.
    """

    listed: list[Outcome]
    unanswered: frozenset[str] = frozenset()
    faults: Mapping[PatternFault, int] = field(default_factory=dict)


def make_matcher(task: TaskSpec, text_of: Callable[[int], str]) -> Matcher:
    """What finds answers in passages: by pattern in tasks that are scored by pattern."""
    return PatternMatcher(text_of) if has_patterns(task) else AnswerMatcher(text_of)


def has_patterns(task: TaskSpec) -> bool:
    """Are the task's answers regular expressions?"""
    return "em_regex" in task.metrics


def find_faults(task: TaskSpec, outcomes: Sequence[Outcome], matcher: Matcher | None) -> dict[PatternFault, int]:
    """The patterns that predictions or passages could not be compared with."""
    if not has_patterns(task):
        return {}
    faults = pattern_faults(outcomes)
    found = matcher.faults if isinstance(matcher, PatternMatcher) else ()
    known = {fault.pattern for fault in faults}
    for fault in found:
        if fault.pattern not in known:
            faults[fault] = sum(fault.pattern in outcome.example.answers for outcome in outcomes)
    return faults


def from_artifacts(
    workspace: Workspace,
    task: TaskSpec,
    asked: Sequence[Example],
    predictions: Artifact | None,
    rankings: Artifact | None,
    k: int,
) -> Outcomes:
    """Outcomes of our own predictions and of the first k of our own rankings; either may be left out.

    Raises:
        DataError: their ids are not those of the examples.
    """
    texts: dict[str, str] = {}
    if predictions is not None:
        file = predictions.path / "predictions.jsonl"
        texts = {p.example_id: p.text for p, _ in join_by_id(read_jsonl(file, Prediction), asked, file)}
    outcomes = [Outcome(example, texts.get(example.example_id)) for example in asked]
    if rankings is None:
        return Outcomes(outcomes, faults=find_faults(task, outcomes, None))
    store = corpus.open_store(workspace)
    matcher = make_matcher(task, lambda row: store[row].text) if task.extractive else None
    with_hits = []
    for outcome, ranking in zip(outcomes, read_rankings(rankings, asked, k), strict=True):
        found = [store[row] for row in ranking.rows]
        gold = set(outcome.example.gold_passage_ids)
        with_hits.append(
            replace(
                outcome,
                answer_hits=matcher.hits(outcome.example.answers, ranking.rows) if matcher else None,
                gold_hits=tuple(passage.passage_id in gold for passage in found) if gold else None,
                titles=tuple(passage.title for passage in found),
            )
        )
    return Outcomes(with_hits, faults=find_faults(task, with_hits, matcher))


def read_rankings(rankings: Artifact, asked: Sequence[Example], k: int) -> list[Ranking]:
    """The first k of every example's ranking.

    Raises:
        DataError: the ids are not those of the examples.
    """
    file = rankings.path / "rankings.jsonl"
    joined = join_by_id(read_jsonl(file, Ranking), asked, file)
    return [replace(ranking, rows=ranking.rows[:k], scores=ranking.scores[:k]) for ranking, _ in joined]


def score_all(outcomes: Outcomes, metrics: Iterable[AnyMetric]) -> list[Score]:
    """Values and statistics of every metric that is defined for the example; the worst value where unanswered."""
    listed = list(metrics)
    return [_score(outcome, listed, outcome.example.example_id in outcomes.unanswered) for outcome in outcomes.listed]


def _score(outcome: Outcome, metrics: Sequence[AnyMetric], unanswered: bool) -> Score:
    example = outcome.example
    values = _worst(outcome, metrics) if unanswered else score_outcome(outcome, metrics)
    # to a metric of all examples, an example without an answer has an empty one
    said = replace(outcome, prediction="") if unanswered else outcome
    return Score(example.example_id, example.entity, values, example.tags, statistics_of(said, metrics))


def _worst(outcome: Outcome, metrics: Sequence[AnyMetric]) -> dict[str, float]:
    values = score_outcome(outcome, metrics)
    of_a_prediction = score_outcome(replace(outcome, prediction=""), metrics)
    worst = {metric.name: 0.0 if metric.direction == "higher" else 1.0 for metric in metrics}
    return {name: values.get(name, worst[name]) for name in of_a_prediction}
