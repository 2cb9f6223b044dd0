"""Which retrieved passages are the right ones."""

from __future__ import annotations

from collections.abc import Sequence

from rag_lightning.core.records import Example, Passage, Ranking
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.pages import evidence_sets, normalize_title
from rag_lightning.stages.outcomes import make_matcher
from rag_lightning.tasks.spec import TaskSpec


def evidence_hits(
    task: TaskSpec, store: PassageStore, asked: Sequence[Example], rankings: Sequence[Ranking]
) -> list[tuple[bool, ...]]:
    """Does each retrieved passage hold an answer (DPR's rule: passage text only).

    Where answers do not stand in passages: is it a gold passage, or of a gold article?
    """
    matcher = make_matcher(task, lambda row: store[row].text)
    pairs = zip(asked, rankings, strict=True)
    if task.extractive:
        return [matcher.hits(example.answers, ranking.rows) for example, ranking in pairs]
    return [tuple(_is_gold(example, store[row]) for row in ranking.rows) for example, ranking in pairs]


def known_evidence_hits(
    task: TaskSpec, store: PassageStore, asked: Sequence[Example], rankings: Sequence[Ranking]
) -> list[tuple[bool, ...] | None]:
    """The same; None for an example of which no right passage is known, such as a claim without evidence."""
    hits = evidence_hits(task, store, asked, rankings)
    known = [task.extractive or bool(e.gold_passage_ids or evidence_sets(e)) for e in asked]
    return [flags if right else None for flags, right in zip(hits, known, strict=True)]


def _is_gold(example: Example, passage: Passage) -> bool:
    titles = frozenset().union(*evidence_sets(example))
    return passage.passage_id in example.gold_passage_ids or normalize_title(passage.title) in titles
