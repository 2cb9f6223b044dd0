"""Results of another toolkit's file, joined with examples -> Outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.metric import Outcome
from rag_lightning.stages.outcomes import Matcher, Outcomes, find_faults, make_matcher
from rag_lightning.tasks.exchange.record import Format, Result, RetrievedPassage
from rag_lightning.tasks.spec import TaskSpec


def needs_corpus(kind: Format, results: Sequence[Result]) -> bool:
    """Are passages known by their ids only?"""
    return not kind.pages and any(passage.text is None for result in results for passage in result.passages or ())


def with_texts(result: Result, store: PassageStore, source: str) -> Result:
    """A result whose passages all have title and text, from the corpus where the file has none.

    Raises:
        DataError: a passage that is not in the corpus.
    """
    if result.passages is None:
        return result
    return replace(result, passages=tuple(_with_text(passage, store, source) for passage in result.passages))


def to_outcomes(task: TaskSpec, kind: Format, results: Sequence[Result], asked: Sequence[Example]) -> Outcomes:
    """Outcomes in the order of the examples, to which the results belong one by one."""
    rows = dict(zip((p.text or "" for r in results for p in r.passages or ()), count(), strict=False))
    texts = {row: text for text, row in rows.items()}
    matcher = make_matcher(task, texts.__getitem__) if task.extractive else None
    listed = [_outcome(kind, r, e, matcher, rows) for r, e in zip(results, asked, strict=True)]
    predicted = any(outcome.prediction is not None for outcome in listed)
    unanswered = {o.example.example_id for o in listed if predicted and o.prediction is None}
    return Outcomes(listed, frozenset(unanswered), find_faults(task, listed, matcher))


def _outcome(kind: Format, result: Result, example: Example, matcher: Matcher | None, rows: dict[str, int]) -> Outcome:
    outcome = Outcome(example, result.prediction)
    if result.passages is None:
        return outcome
    outcome = replace(outcome, titles=_titles(result.passages))
    if kind.pages:
        return outcome
    gold = example.gold_passage_ids
    found = [rows[passage.text or ""] for passage in result.passages]
    return replace(
        outcome,
        answer_hits=matcher.hits(example.answers, found) if matcher else None,
        gold_hits=tuple(passage.passage_id in gold for passage in result.passages) if gold else None,
    )


def _with_text(passage: RetrievedPassage, store: PassageStore, source: str) -> RetrievedPassage:
    if passage.text is not None:
        return passage
    row = store.find(passage.passage_id)
    if row is None:
        hint = "give the corpus these passages are of, --corpus.source"
        raise DataError(source, "no such passage in the corpus", field="id", value=passage.passage_id, hint=hint)
    return replace(passage, title=store[row].title, text=store[row].text)


def _titles(passages: Sequence[RetrievedPassage]) -> tuple[str, ...] | None:
    """None where the file leaves any title out: a rank with holes cannot be scored."""
    titles = tuple(passage.title for passage in passages if passage.title is not None)
    return titles if len(titles) == len(passages) else None
