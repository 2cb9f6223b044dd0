"""Stage `examples`: task data -> artifacts/examples with train, dev and test as JSON lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core import seeds
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import file_digest
from rag_lightning.core.records import Example, read_jsonl, write_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.mini.registry import builder_of
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import HUB, Workspace, hub_source
from rag_lightning.tasks.hub import read_hub
from rag_lightning.tasks.load import load_examples
from rag_lightning.tasks.spec import get_task

VERSION = 2
SPLITS = ("train", "dev", "test")


def build(workspace: Workspace) -> Artifact:
    """The task's examples in three splits.

    Raises:
        UnknownNameError: no such task.
        ConfigError: files given without training data, or dev without test; a negative train_limit.
        DataError: a file that cannot be read.
    """
    task = workspace.config.task
    get_task(task.name)
    if task.train_limit < 0:
        raise ConfigError(f"task.train_limit is {task.train_limit}; give how many training examples to keep, 0 for all")
    if task.source:
        return _build_from_hub(workspace)
    files = {f"train {i}": path for i, path in enumerate(task.train)} | {"dev": task.dev, "test": task.test}
    inputs = {name: file_digest(Path(path)) for name, path in files.items() if path}
    inputs["corpus"] = corpus.build(workspace).digest
    recipe = Recipe("examples", _settings(workspace), inputs, VERSION)
    return workspace.store.build(recipe, lambda folder: _make(workspace, folder))


def _build_from_hub(workspace: Workspace) -> Artifact:
    """A data set of the hub; it names no gold passages, so the corpus is no input."""
    task, seed = workspace.config.task, data_seed(workspace)
    spec = get_task(task.name)
    hub = spec.hub
    if hub is None:
        raise ConfigError(f"task {task.name}: the hub has no official data set of it; give task.train, dev and test")
    own = ":".join(filter(None, (hub.name, hub.configuration)))
    name, configuration, commit = hub_source(own if task.source == HUB else task.source, hub.revision)
    inputs = {"source": f"{name} {configuration} {commit}"}

    def make(folder: Path) -> dict[str, Any]:
        found = read_hub(hub, name, configuration, commit, seed, task.fallback)
        counts = {k: n for part in SPLITS for k, n in spec.count_notes(part, len(found.parts[part])).items()}
        return _write(workspace, folder, found.parts, found.notes | counts)

    return workspace.store.build(Recipe("examples", _settings(workspace), inputs, VERSION), make)


def _settings(workspace: Workspace) -> dict[str, Any]:
    """What decides the examples beside their inputs."""
    task = workspace.config.task
    special: dict[str, Any] = {"fallback": True} if task.fallback else {}
    if task.train_limit:
        special["train_limit"] = task.train_limit
    return {"task": task.name, "seed": data_seed(workspace), **special}


def data_seed(workspace: Workspace) -> int:
    """Of mini questions and of held-out splits: `task.seed`, or the experiment's where that is not given."""
    given = workspace.config.task.seed
    return workspace.config.seed if given is None else given


def read(workspace: Workspace, split: str, limited: bool = True) -> list[Example]:
    """One split; dev and test are cut to `task.limit` for smoke runs."""
    examples = list(read_jsonl(build(workspace).path / f"{split}.jsonl", Example))
    limit = workspace.config.task.limit
    return examples[:limit] if limit and limited and split != "train" else examples


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    store = corpus.open_store(workspace)
    return _write(workspace, folder, *_splits(workspace, store))


def _write(
    workspace: Workspace, folder: Path, splits: Mapping[str, Sequence[Example]], notes: Mapping[str, int]
) -> dict[str, Any]:
    """Three files, train cut to `task.train_limit`; the notes are announced and kept in the manifest."""
    kept = _drawn(splits["train"], workspace)
    if len(kept) < len(splits["train"]):
        notes = {**notes, "training examples left out by task.train_limit": len(splits["train"]) - len(kept)}
    splits = {**splits, "train": kept}
    counts = {name: write_jsonl(folder / f"{name}.jsonl", splits[name]) for name in SPLITS}
    for reason, count in notes.items():
        workspace.announce(f"  {count:7} {reason}")
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        raise ConfigError(f"task {workspace.config.task.name}: no examples for {' and '.join(empty)}; give more data")
    return {"counts": counts, "notes": dict(notes)}


def _drawn(examples: Sequence[Example], workspace: Workspace) -> Sequence[Example]:
    """As many as `task.train_limit` keeps, in their order."""
    limit = workspace.config.task.train_limit
    if not limit or limit >= len(examples):
        return examples
    order = seeds.generator(data_seed(workspace), "train_limit").permutation(len(examples))
    return [examples[i] for i in sorted(order[:limit])]


def _splits(workspace: Workspace, store: PassageStore) -> tuple[Mapping[str, Sequence[Example]], Mapping[str, int]]:
    task = workspace.config.task
    if task.train or task.dev or task.test:
        loaded = load_examples(task, store, data_seed(workspace))
        return loaded.parts, loaded.notes
    if workspace.config.corpus.source != "mini":
        raise ConfigError("a corpus of your own needs questions of your own: give task.train (and dev and test)")
    text = corpus.mini_text(workspace)
    made = builder_of(task.name)(corpus.mini_passages(workspace), *text, data_seed(workspace))
    if not workspace.config.corpus.limit:
        return made.splits, made.dropped
    return _within(made.splits, store)


def _within(
    splits: Mapping[str, Sequence[Example]], store: PassageStore
) -> tuple[dict[str, list[Example]], dict[str, int]]:
    """The examples a smaller corpus can answer, their gold passages cut to those it holds.

    A claim without evidence ("not enough info") has no gold passage in any corpus and stays.
    """
    kept: dict[str, list[Example]] = {}
    for name, listed in splits.items():
        held = [
            replace(e, gold_passage_ids=tuple(g for g in e.gold_passage_ids if store.find(g) is not None))
            for e in listed
        ]
        kept[name] = [
            new for new, old in zip(held, listed, strict=True) if new.gold_passage_ids or not old.gold_passage_ids
        ]
    dropped = sum(map(len, splits.values())) - sum(map(len, kept.values()))
    return kept, {"questions whose gold passages are outside the limited corpus": dropped}


def run(config: ExperimentConfig) -> None:
    """Build the examples and say how many there are."""
    workspace = Workspace(config)
    artifact = build(workspace)
    workspace.announce(f"{artifact.info['counts']} in {artifact.path}")
