"""An automatic stand-in for the two questions, by words. It is no human assessment and knows nothing of truth.

Factuality: which output has the larger share of its content words in the gold passages of the question. Specificity:
which has more distinct content words that the question lacks. Content words are all but the stop words and question
words of Q-BLEU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.assess.majority import share_of_each
from rag_lightning.assess.stored import Pair, Shared, find_artifact, read_shared
from rag_lightning.core.records import Example, passage_text
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.metric import Estimate
from rag_lightning.metrics.qbleu import STOP_WORDS
from rag_lightning.metrics.tokens import QUESTION_WORDS, treebank

PREFERENCES = ("A", "B", "equal")
NOT_CONTENT = STOP_WORDS | QUESTION_WORDS


@dataclass(frozen=True, slots=True)
class Proxy:
    """Question -> preference -> its share of the pairs in %; empty where it cannot be computed, with the reason."""

    shares: Mapping[str, Mapping[str, Estimate]]
    missing: Mapping[str, str]


def compute_proxy(root: str | Path, runs: Pair) -> Proxy:
    """The proxies over all questions that both runs answered.

    Raises:
        ConfigError: the runs do not share questions.
        ArtifactError, DataError: what the runs stored is damaged, or no longer there.
    """
    shared = read_shared(root, runs)
    store = next((PassageStore(one.path) for run in runs if (one := find_artifact(root, run, "corpus"))), None)
    evidence = {name: _evidence(one, store) for name, one in shared.questions.items()} if store else {}
    supported = {name: words for name, words in evidence.items() if words}
    measures: dict[str, tuple[Sequence[str], Callable[[Example, str], float]]] = {
        "factuality": (list(supported), lambda one, text: support(text, supported[one.example_id])),
        "specificity": (list(shared.questions), lambda one, text: float(len(content(text) - content(one.query)))),
    }
    shares = {name: _shares(shared, *measure) for name, measure in measures.items()}
    missing = {} if supported else {"factuality": "no gold passages are stored for these questions"}
    return Proxy(shares, missing)


def content(text: str) -> frozenset[str]:
    """The distinct content words of a text, in lower case.

    >>> sorted(content("This is the author of Emma, who wrote Emma in 1815."))
    ['1815', 'author', 'emma', 'wrote']
    """
    return frozenset(word for word in treebank(text) if word not in NOT_CONTENT and any(map(str.isalnum, word)))


def support(text: str, evidence: frozenset[str]) -> float:
    """The share of the content words of a text that stand in the evidence; 0 for a text without any.

    >>> support("author of Emma, born in Bath", frozenset({"author", "emma", "novel"}))
    0.5
    """
    words = content(text)
    return len(words & evidence) / len(words) if words else 0.0


def _evidence(question: Example, store: PassageStore) -> frozenset[str]:
    rows = [row for name in question.gold_passage_ids if (row := store.find(name)) is not None]
    return frozenset[str]().union(*(content(passage_text(store[row])) for row in rows))


def _shares(shared: Shared, names: Sequence[str], measure: Callable[[Example, str], float]) -> dict[str, Estimate]:
    found = []
    for name in names:
        a, b = (measure(shared.questions[name], outputs[name]) for outputs in shared.outputs)
        found.append("equal" if a == b else "A" if a > b else "B")
    return share_of_each(found, PREFERENCES, [shared.questions[name].entity for name in names])
