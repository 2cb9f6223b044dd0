"""Outcomes and evidence: what metrics see, made of examples, predictions and the passages that were retrieved.

Predictions and rankings meet their examples by id, never by position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example, Passage, Prediction, Ranking, Score, read_checked
from rag_lightning.metrics.answers import AnswerMatcher
from rag_lightning.metrics.metric import AnyMetric, Metric, Outcome, parse_metric, score_outcome, statistics_of
from rag_lightning.metrics.pages import evidence_sets, normalize_title
from rag_lightning.metrics.patterns import PatternFault, PatternMatcher, pattern_faults

_LISTED = 10
"""Ids that a message names."""
Matcher = AnswerMatcher | PatternMatcher


class ScoredTask(Protocol):
    """What decides how the examples of a task are scored; a `TaskSpec` has it."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of its metrics, the objective first."""

    @property
    def extractive(self) -> bool:
        """Whether answers are looked for in passages."""


class PassageTable(Protocol):
    """Passages by row; a `PassageStore` is one."""

    def __getitem__(self, row: int) -> Passage:
        """The passage of a row."""


class HasExampleId(Protocol):
    """A record that belongs to an example: Prediction, Ranking, Score."""

    @property
    def example_id(self) -> str:
        """The id of the example."""


R = TypeVar("R", bound=HasExampleId)


@dataclass(frozen=True)
class Outcomes:
    """Outcomes in the order of the examples.

    Args:
        listed: One per example.
        unanswered: Ids of examples that a file of predictions left without one on purpose.
        faults: Answer patterns that could not be used, and in how many examples.
        patterns: Whether the answers are regular expressions.
    """

    listed: list[Outcome]
    unanswered: frozenset[str] = frozenset()
    faults: Mapping[PatternFault, int] = field(default_factory=dict)
    patterns: bool = False


def make_matcher(task: ScoredTask, text_of: Callable[[int], str]) -> Matcher:
    """A matcher of answers in passages: by pattern in tasks that are scored by pattern, else DPR's."""
    return PatternMatcher(text_of) if has_patterns(task) else AnswerMatcher(text_of)


def has_patterns(task: ScoredTask) -> bool:
    """Whether the answers of the task are regular expressions."""
    return "em_regex" in task.metrics


def find_faults(task: ScoredTask, outcomes: Sequence[Outcome], matcher: Matcher | None) -> dict[PatternFault, int]:
    """The patterns that predictions or passages could not be compared with."""
    if not has_patterns(task):
        return {}
    faults = pattern_faults(outcomes)
    found = matcher.faults if isinstance(matcher, PatternMatcher) else ()
    patterns = {fault.pattern for fault in faults}
    for fault in found:
        if fault.pattern not in patterns:
            faults[fault] = sum(fault.pattern in outcome.example.answers for outcome in outcomes)
    return faults


def from_artifacts(
    task: ScoredTask,
    passages: PassageTable | None,
    asked: Sequence[Example],
    predictions: Artifact | None,
    rankings: Artifact | None,
    k: int,
) -> Outcomes:
    """Outcomes of our own predictions and of the first k of our own rankings; either may be left out.

    Args:
        task: Decides how answers are looked for in passages.
        passages: The corpus; None leaves the rankings out.
        asked: The examples.
        predictions: An artifact of predictions, None where nothing was predicted.
        rankings: An artifact of rankings, None where nothing was retrieved.
        k: Passages of a ranking that count.

    Raises:
        DataError: a line that is no record, or their ids are not those of the examples.
    """
    texts: dict[str, str] = {}
    if predictions is not None:
        file = predictions.path / "predictions.jsonl"
        texts = {p.example_id: p.text for p, _ in join_by_id(read_checked(file, Prediction), asked, file)}
    outcomes = [Outcome(example, texts.get(example.example_id)) for example in asked]
    if rankings is None or passages is None:
        return Outcomes(outcomes, faults=find_faults(task, outcomes, None), patterns=has_patterns(task))
    matcher = make_matcher(task, lambda row: passages[row].text) if task.extractive else None
    with_hits = []
    for outcome, ranking in zip(outcomes, read_rankings(rankings, asked, k), strict=True):
        found = [passages[row] for row in ranking.rows]
        gold = set(outcome.example.gold_passage_ids)
        with_hits.append(
            replace(
                outcome,
                answer_hits=matcher.hits(outcome.example.answers, ranking.rows) if matcher else None,
                gold_hits=tuple(passage.passage_id in gold for passage in found) if gold else None,
                titles=tuple(passage.title for passage in found),
            )
        )
    return Outcomes(with_hits, faults=find_faults(task, with_hits, matcher), patterns=has_patterns(task))


def read_rankings(rankings: Artifact, asked: Sequence[Example], k: int) -> list[Ranking]:
    """The first k of every example's ranking.

    Raises:
        DataError: a line that is no ranking, or the ids are not those of the examples.
    """
    file = rankings.path / "rankings.jsonl"
    joined = join_by_id(read_checked(file, Ranking), asked, file)
    return [replace(ranking, rows=ranking.rows[:k], scores=ranking.scores[:k]) for ranking, _ in joined]


def score_all(outcomes: Outcomes, metrics: Iterable[AnyMetric]) -> list[Score]:
    """Values and statistics of every metric that is defined for the example; the worst value where unanswered."""
    listed = list(metrics)
    return [_score(outcome, listed, outcome.example.example_id in outcomes.unanswered) for outcome in outcomes.listed]


def _score(outcome: Outcome, metrics: Sequence[AnyMetric], unanswered: bool) -> Score:
    example = outcome.example
    values = _worst(outcome, metrics) if unanswered else score_outcome(outcome, metrics)
    # to a metric of all examples, an example without an answer has an empty one
    counted = replace(outcome, prediction="") if unanswered else outcome
    return Score(example.example_id, example.entity, values, example.tags, statistics_of(counted, metrics))


def _worst(outcome: Outcome, metrics: Sequence[AnyMetric]) -> dict[str, float]:
    values = score_outcome(outcome, metrics)
    of_a_prediction = score_outcome(replace(outcome, prediction=""), metrics)
    worst = {metric.name: 0.0 if metric.direction == "higher" else 1.0 for metric in metrics}
    return {name: values.get(name, worst[name]) for name in of_a_prediction}


def evidence_hits(
    task: ScoredTask, passages: PassageTable, asked: Sequence[Example], rankings: Sequence[Ranking]
) -> list[tuple[bool, ...]]:
    """Whether each retrieved passage is evidence: one tuple per example, in the order of its ranking.

    Evidence holds an answer (DPR's rule: passage text only); where answers do not stand in passages, it is a gold
    passage, or of a gold article.
    """
    matcher = make_matcher(task, lambda row: passages[row].text)
    pairs = zip(asked, rankings, strict=True)
    if task.extractive:
        return [matcher.hits(example.answers, ranking.rows) for example, ranking in pairs]
    return [tuple(_is_gold(example, passages[row]) for row in ranking.rows) for example, ranking in pairs]


def judged_evidence_hits(
    task: ScoredTask, passages: PassageTable, asked: Sequence[Example], rankings: Sequence[Ranking]
) -> list[tuple[bool, ...] | None]:
    """`evidence_hits`, with None for an example without any known evidence, such as an unverifiable claim."""
    hits = evidence_hits(task, passages, asked, rankings)
    judged = [task.extractive or bool(e.gold_passage_ids or evidence_sets(e)) for e in asked]
    return [flags if right else None for flags, right in zip(hits, judged, strict=True)]


def _is_gold(example: Example, passage: Passage) -> bool:
    titles = frozenset().union(*evidence_sets(example))
    return passage.passage_id in example.gold_passage_ids or normalize_title(passage.title) in titles


def objectives(task: ScoredTask) -> tuple[Metric, ...]:
    """The task's metrics with a value per prediction, whatever the k and the retriever; the task's objective first."""
    found = [parse_metric(name) for name in task.metrics]
    return tuple(metric for metric in found if isinstance(metric, Metric) and "passages" not in metric.needs)


def score_texts(metric: Metric, texts: Sequence[str], examples: Sequence[Example]) -> list[float]:
    """The metric's value of each prediction, 0 where it is not defined."""
    pairs = zip(texts, examples, strict=True)
    return [metric.score(Outcome(example, text)) or 0.0 for text, example in pairs]


def join_by_id(
    records: Iterable[R], examples: Sequence[Example], source: Path | str = "predictions"
) -> list[tuple[R, Example]]:
    """Each example with its record, in the order of the examples.

    Args:
        records: Predictions, rankings or scores, in any order.
        examples: What they belong to.
        source: The records' file, named in the message.

    Raises:
        DataError: ids twice, missing or extra; the message lists them.
    """
    listed = list(records)
    by_id = {record.example_id: record for record in listed}
    wanted = [example.example_id for example in examples]
    problems = _problems([record.example_id for record in listed], wanted)
    if problems:
        raise DataError(
            source,
            "; ".join(problems),
            field="example_id",
            hint="give the questions they were made for, or predict again for those that are missing",
        )
    return [(by_id[example.example_id], example) for example in examples]


def _problems(given: list[str], wanted: list[str]) -> list[str]:
    have, want = set(given), set(wanted)
    kinds = {
        "missing": [name for name in wanted if name not in have],
        "extra": [name for name in given if name not in want],
        "there twice": [name for name, count in Counter(given).items() if count > 1],
        "twice among the examples": [name for name, count in Counter(wanted).items() if count > 1],
    }
    return [f"{len(names)} {kind}: {_list(names)}" for kind, names in kinds.items() if names]


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
