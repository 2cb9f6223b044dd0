"""Stage `targets`: train questions and what is retrieved for them -> artifacts/targets, what training writes.

Two rules of the paper (section 3.1), for tasks that ask for one (`TaskSpec.mine`):

present  an answer that stands in none of the retrieved passages is no target; a question without any is not trained on
regex    the string that a pattern matches most often in the passages; a pattern that matches nothing is expanded

Targets that examples of such a task name themselves are not used; how often the rule finds the same is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig, to_dict
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Example, read_jsonl, write_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.answers import AnswerMatcher
from rag_lightning.metrics.patterns import PatternFault, find_matches
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.retriever import Retriever
from rag_lightning.stages import biencoder, bm25, corpus, embed, examples
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.curatedtrec import expand
from rag_lightning.tasks.spec import TaskSpec, get_task

VERSION = 1
TARGETS = "targets.jsonl"
BATCH = 64
Rows = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mined:
    """The targets of one train question and what became of its answers: counts by outcome."""

    example_id: str
    targets: tuple[str, ...]
    outcomes: tuple[str, ...]


Rule = Callable[[Example, Rows], Mined]


def build(workspace: Workspace) -> Artifact:
    """Targets of the train questions.

    Raises:
        ConfigError: the task takes its answers as they are, or targets.k is below 1.
    """
    task, config = get_task(workspace.config.task.name), workspace.config
    if not task.mine:
        raise ConfigError(f"task {task.name} trains on its answers as they are; it has no targets to look for")
    if config.targets.k < 1:
        raise ConfigError(f"targets.k={config.targets.k} must be at least 1")
    settings: dict[str, Any] = {"mine": task.mine, "targets": to_dict(config.targets)}
    inputs = {"examples": examples.build(workspace).digest, "corpus": corpus.build(workspace).digest}
    if config.targets.retriever == "bm25":
        inputs["bm25"] = bm25.build(workspace).digest
    else:
        inputs["vectors"] = embed.build(biencoder.as_it_came(workspace)).digest
        inputs["query_model"] = workspace.model_digest(config.encoder.model)
        settings["encoder"] = to_dict(config.encoder)
    recipe = Recipe("targets", settings, inputs, VERSION)
    return workspace.store.build(recipe, lambda folder: _make(workspace, task, folder))


def training_examples(workspace: Workspace) -> list[Example]:
    """Train questions with their targets, those that have none left out; where a task asks for nothing, all of them."""
    asked = examples.read(workspace, "train")
    if not get_task(workspace.config.task.name).mine:
        return asked
    found = {mined.example_id: mined for mined in read_jsonl(build(workspace).path / TARGETS, Mined)}
    given = [replace(example, targets=found[example.example_id].targets) for example in asked]
    return [example for example in given if example.targets]


def _make(workspace: Workspace, task: TaskSpec, folder: Path) -> dict[str, Any]:
    store = corpus.open_store(workspace)
    asked = examples.read(workspace, "train")
    rule = Present(store) if task.mine == "present" else Patterns(store)
    mined = list(mine(rule, asked, open_retriever(workspace), min(workspace.config.targets.k, len(store))))
    write_jsonl(folder / TARGETS, mined)
    counts = Counter(outcome for one in mined for outcome in one.outcomes)
    dropped = sum(not one.targets for one in mined)
    for outcome, count in counts.items():
        workspace.announce(f"  {count:7} answers {outcome}")
    workspace.announce(f"  {dropped:7} of {len(mined)} train questions without a target are not trained on")
    named = [(one, example) for one, example in zip(mined, asked, strict=True) if example.targets]
    agreed = sum(not set(one.targets).isdisjoint(example.targets) for one, example in named)
    if named:
        workspace.announce(f"  {agreed:7} of {len(named)} questions that name a target of their own have that one")
    faults = [f"{fault.pattern!r} {fault.reason}" for fault in getattr(rule, "faults", ())]
    for fault in faults:
        workspace.announce(f"  answer pattern {fault}")
    if dropped == len(mined):
        raise ConfigError(f"task {task.name}: no train question has a target in its top {workspace.config.targets.k}")
    info = {"questions": len(mined), "dropped": dropped, "answers": dict(counts), "faults": faults}
    return info | ({"named": len(named), "agreed": agreed} if named else {})


def mine(rule: Rule, asked: Sequence[Example], retriever: Retriever, k: int) -> Iterator[Mined]:
    """The rule applied to every question and its first k passages."""
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        hits = retriever.retrieve([example.query for example in batch], k)
        for example, found in zip(batch, hits, strict=True):
            yield rule(example, tuple(map(int, found.rows)))


def open_retriever(workspace: Workspace) -> Retriever:
    """What the configuration searches for targets with; nothing of it is trained yet."""
    config = workspace.config
    if config.targets.retriever == "bm25":
        return BM25Retriever.load(bm25.build(workspace).path)
    return biencoder.frozen_retriever(workspace)


class Present:
    """Answers that stand in a passage, in their order."""

    def __init__(self, store: PassageStore) -> None:
        self._matcher = AnswerMatcher(lambda row: store[row].text)

    def __call__(self, example: Example, rows: Rows) -> Mined:
        """Every answer is looked for until it is found."""
        stands = [any(any(self._matcher.hits([a], [row])) for row in rows) for a in example.answers]
        kept = tuple(a for a, found in zip(example.answers, stands, strict=True) if found)
        return Mined(example.example_id, kept, tuple("found" if found else "not found" for found in stands))


class Patterns:
    """For every pattern the string it matches most often, upper and lower case alike; the first of equals.

    Attributes:
        faults: Patterns that could not be used; none is tried twice.
    """

    def __init__(self, store: PassageStore) -> None:
        self._store = store
        self._faults: dict[str, PatternFault] = {}

    @property
    def faults(self) -> tuple[PatternFault, ...]:
        """In the order they were met."""
        return tuple(self._faults.values())

    def __call__(self, example: Example, rows: Rows) -> Mined:
        """Matched, else expanded, else nothing."""
        found = [self._of(pattern, rows) for pattern in example.answers]
        targets = dict.fromkeys(target for listed, _ in found for target in listed)
        return Mined(example.example_id, tuple(targets), tuple(outcome for _, outcome in found))

    def _of(self, pattern: str, rows: Rows) -> tuple[tuple[str, ...], str]:
        matched = self._most_often(pattern, rows)
        if matched:
            return (matched,), "matched"
        try:
            strings = expand(pattern)
        except DataError:
            strings = ()
        return strings, "expanded" if strings else "of no use"

    def _most_often(self, pattern: str, rows: Rows) -> str:
        spellings: dict[str, Counter[str]] = {}
        for row in rows:
            found = () if pattern in self._faults else find_matches(self._store[row].text, pattern)
            if isinstance(found, PatternFault):
                self._faults[pattern] = found
                return ""
            for string in found:
                spellings.setdefault(string.casefold(), Counter())[string] += 1
        if not spellings:
            return ""
        best = max(spellings.values(), key=lambda counter: counter.total())
        return best.most_common(1)[0][0]


def run(config: ExperimentConfig) -> None:
    """Look for the targets and say what came out."""
    workspace = Workspace(config)
    artifact = build(workspace)
    info = artifact.info
    workspace.announce(f"{info['questions'] - info['dropped']} train questions with targets in {artifact.path}")
