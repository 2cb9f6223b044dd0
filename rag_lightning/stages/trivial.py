"""Predictions of the baselines that answer from the training examples, which are searched by BM25."""

from __future__ import annotations

from collections.abc import Sequence

from rag_lightning.config.retrieval import BM25Config
from rag_lightning.core.records import Example, Passage, Prediction
from rag_lightning.decoding.trivial import Trained
from rag_lightning.metrics.outcomes import has_patterns
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.words import WordRule, rule_of_questions
from rag_lightning.stages import examples
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.curatedtrec import expand
from rag_lightning.tasks.spec import get_task


def predict(workspace: Workspace, asked: Sequence[Example]) -> list[Prediction]:
    """Predictions of the configured baseline, one per question in their order."""
    listed = examples.read(workspace, "train")
    patterns, rule = has_patterns(get_task(workspace.config.task.name)), rule_of_questions(workspace.config)
    answers = [_first_answer(example, patterns) for example in listed]
    trained = Trained(listed, answers, _Search(listed, rule))
    found: list[Prediction] = workspace.config.decoding.made().answers(trained, asked)
    return found


class _Search:
    """The training questions by BM25, indexed with the first search; the lower row first at equal scores.

    All words are indexed: those of a question's form tell what is asked for.
    """

    def __init__(self, listed: Sequence[Example], rule: WordRule) -> None:
        self._listed, self._rule = listed, rule
        self._index: BM25Retriever | None = None

    def __call__(self, query: str, k: int) -> list[int]:
        """At most k rows that share a word with the query, the nearest first."""
        if self._index is None:
            questions = (Passage(example.example_id, "", example.query) for example in self._listed)
            self._index = BM25Retriever.build(BM25Config(), questions, self._rule)
        return [int(row) for row in self._index.retrieve([query], min(k, len(self._listed)))[0].rows]


def _first_answer(example: Example, patterns: bool) -> str:
    """The first target or answer of a training example; of a pattern the first string that it matches."""
    first = (example.targets or example.answers)[0]
    strings = expand(first, most=1) if patterns and not example.targets else ()
    return strings[0] if strings else first
