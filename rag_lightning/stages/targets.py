"""Stage `targets`: train questions and their retrieved passages -> artifacts/targets, the outputs of training.

Two rules of the paper (section 3.1), for tasks that set one (`TaskSpec.mine`):

present  the answers that a retrieved passage contains; a question without any is not used in training
regex    the string that a pattern matches most often in the passages; a pattern without a match is expanded

Targets given in the examples of such a task are not used, but the agreement with them is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Example, read_jsonl, write_jsonl
from rag_lightning.core.stage import Bound, Stage
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.answers import AnswerMatcher
from rag_lightning.metrics.patterns import PatternFault, find_matches
from rag_lightning.retrieval.retriever import Retriever
from rag_lightning.stages import biencoder, bm25, corpus, examples, vectors
from rag_lightning.stages.vectors import pretrained
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.curatedtrec import expand
from rag_lightning.tasks.spec import get_task

TARGETS = "targets.jsonl"
ASKED = {"examples": examples, "corpus": corpus}
BATCH = 64
Rows = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mined:
    """The targets of one train question, and the outcome for each of its answers."""

    example_id: str
    targets: tuple[str, ...]
    outcomes: tuple[str, ...]


Rule = Callable[[Example, Rows], Mined]


def mined(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    """This stage as an input of a training; empty if the task trains on its answers."""
    return {"targets": STAGE.at(workspace)} if get_task(workspace.config.task.name).mine else {}


def _check(workspace: Workspace) -> None:
    """Raise ConfigError if the task trains on its answers."""
    task = get_task(workspace.config.task.name)
    if not task.mine:
        raise ConfigError(f"task.name={task.name} trains on its answers; there are no targets to find")


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    found: dict[str, str | Bound[Workspace]] = {n: s.STAGE.at(workspace) for n, s in ASKED.items()}
    if workspace.config.targets.retriever == "bm25":
        return found | {"bm25": bm25.STAGE.at(workspace)}
    return found | {"vectors": vectors.PRETRAINED.at(workspace), "query_model": pretrained(workspace, "query").identity}


def _settings(workspace: Workspace) -> dict[str, Any]:
    """The settings, with the fields of the encoder only for dense retrieval."""
    found = settings(workspace.config, "targets")
    dense = workspace.config.targets.retriever == "dense"
    return {name: value for name, value in found.items() if dense or not name.startswith("encoder.")}


def training_examples(workspace: Workspace) -> list[Example]:
    """Train questions with their targets, without those that have none; all questions if the task has no rule."""
    asked = examples.read(workspace, "train")
    if not get_task(workspace.config.task.name).mine:
        return asked
    found = {one.example_id: one for one in read_jsonl(build(workspace).path / TARGETS, Mined)}
    given = [replace(example, targets=found[example.example_id].targets) for example in asked]
    return [example for example in given if example.targets]


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    task, store = get_task(workspace.config.task.name), corpus.open_store(workspace)
    asked = examples.read(workspace, "train")
    rule = Present(store) if task.mine == "present" else Patterns(store)
    found = list(mine(rule, asked, open_retriever(workspace), min(workspace.config.targets.k, len(store))))
    write_jsonl(folder / TARGETS, found)
    counts = Counter(outcome for one in found for outcome in one.outcomes)
    dropped = sum(not one.targets for one in found)
    for outcome, count in counts.items():
        workspace.detail(f"  {count:7} answers {outcome}")
    workspace.detail(f"  {dropped:7} of {len(found)} train questions have no target and are not used in training")
    named = [(one, example) for one, example in zip(found, asked, strict=True) if example.targets]
    agreed = sum(not set(one.targets).isdisjoint(example.targets) for one, example in named)
    if named:
        workspace.detail(f"  {agreed:7} of {len(named)} questions with a given target got the same one")
    faults = [f"{fault.pattern!r} {fault.reason}" for fault in getattr(rule, "faults", ())]
    for fault in faults:
        workspace.announce(f"answer pattern {fault}")
    if dropped == len(found):
        raise ConfigError(f"task {task.name}: no train question has a target in its top {workspace.config.targets.k}")
    info = {"questions": len(found), "dropped": dropped, "answers": dict(counts), "faults": faults}
    return info | ({"named": len(named), "agreed": agreed} if named else {})


def mine(rule: Rule, asked: Sequence[Example], retriever: Retriever, k: int) -> Iterator[Mined]:
    """The rule applied to every question and its first k passages."""
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        hits = retriever.retrieve([example.query for example in batch], k)
        for example, found in zip(batch, hits, strict=True):
            yield rule(example, tuple(map(int, found.rows)))


def open_retriever(workspace: Workspace) -> Retriever:
    """The configured retriever of this stage, before any training of ours."""
    config = workspace.config
    if config.targets.retriever == "bm25":
        return bm25.open_bm25(workspace)
    return biencoder.pretrained_retriever(workspace)


class Present:
    """The rule `present`: answers that a passage contains, in their order."""

    def __init__(self, store: PassageStore) -> None:
        self._matcher = AnswerMatcher(lambda row: store[row].text)

    def __call__(self, example: Example, rows: Rows) -> Mined:
        """The targets of one question."""
        stands = [any(any(self._matcher.hits([a], [row])) for row in rows) for a in example.answers]
        kept = tuple(a for a, found in zip(example.answers, stands, strict=True) if found)
        return Mined(example.example_id, kept, tuple("found" if found else "not found" for found in stands))


class Patterns:
    """The rule `regex`: the string that each pattern matches most often, ignoring case; the first one in a tie.

    Attributes:
        faults: Patterns that could not be used; each is tried only once.
    """

    def __init__(self, store: PassageStore) -> None:
        self._store = store
        self._faults: dict[str, PatternFault] = {}

    @property
    def faults(self) -> tuple[PatternFault, ...]:
        """Patterns that could not be used, in the order of their first use."""
        return tuple(self._faults.values())

    def __call__(self, example: Example, rows: Rows) -> Mined:
        """The targets of one question: matched strings, else expanded patterns."""
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


STAGE = Stage("targets", 2, _settings, _inputs, _make, check=_check)
build = STAGE.build


def run(config: ExperimentConfig) -> None:
    """Find the targets and print their number and folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    info = artifact.info
    workspace.announce(f"{info['questions'] - info['dropped']} train questions with targets in {artifact.path}")
