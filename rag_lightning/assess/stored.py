"""The stored runs whose outputs are compared, with their questions and predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.core.artifacts import Artifact, open_artifact
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.records import Example, Prediction, read_jsonl
from rag_lightning.report.collect import Run
from rag_lightning.runs import folders

Pair = tuple[Run, Run]
"""The systems A and B of an assessment."""


@dataclass(frozen=True)
class Shared:
    """What two runs wrote to the same questions: id -> question, and for each run id -> output."""

    questions: Mapping[str, Example]
    outputs: tuple[Mapping[str, str], Mapping[str, str]]


def read_shared(root: str | Path, runs: Pair) -> Shared:
    """The questions that both runs were asked in the same words, with both outputs.

    Raises:
        ConfigError: the runs are the same, are of two data sets or splits, or share fewer than two questions.
        ArtifactError, DataError: questions or predictions are damaged, or no longer stored.
    """
    if runs[0].record == runs[1].record:
        raise ConfigError(f"the two runs are the same, {runs[0].run_id}; give two systems")
    asked = [f"{run.dataset} {run.split}" for run in runs]
    if asked[0] != asked[1]:
        raise ConfigError(f"the runs answer different questions: {asked[0]} and {asked[1]}; give two of one split")
    left, right = ({one.example_id: one for one in _questions(root, run)} for run in runs)
    first, second = ({one.example_id: one.text for one in _predictions(root, run)} for run in runs)
    answered = left.keys() & right.keys() & first.keys() & second.keys()
    shared = {name: one for name, one in left.items() if name in answered and right[name].query == one.query}
    if len(shared) < 2:
        raise ConfigError(f"the runs share {len(shared)} questions: at least 2 are needed; give two of the same data")
    return Shared(shared, (first, second))


def find_artifact(root: str | Path, run: Run, kind: str) -> Artifact | None:
    """The verified artifact of a run, None if it is no longer stored.

    Raises:
        ArtifactError: it is damaged.
    """
    digest = run.record.get("digests", {}).get(kind)
    folder = folders.artifacts(root) / kind / str(digest)
    return open_artifact(folder, kind) if digest and folder.exists() else None


def _questions(root: str | Path, run: Run) -> Iterator[Example]:
    return read_jsonl(_needed(root, run, "examples").path / f"{run.split}.jsonl", Example)


def _predictions(root: str | Path, run: Run) -> Iterator[Prediction]:
    return read_jsonl(_needed(root, run, "predictions").path / "predictions.jsonl", Prediction)


def _needed(root: str | Path, run: Run, kind: str) -> Artifact:
    found = find_artifact(root, run, kind)
    if found is None:
        raise ArtifactError(f"the {kind} of run {run.run_id} are no longer stored; run it again")
    return found
