"""Stage `examples`: task data -> artifacts/examples, with train, dev, test and, where there is one, test2 as JSONL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core import seeds
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, read_jsonl, write_jsonl
from rag_lightning.core.scripts import joins_words
from rag_lightning.core.stage import Bound
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.outcomes import has_patterns
from rag_lightning.mini.names import without_countries
from rag_lightning.mini.registry import builder_of
from rag_lightning.stages import corpus
from rag_lightning.stages.workspace import HUB, Workspace, config_stage, hub_digest, hub_source
from rag_lightning.tasks.beir import questions_digest
from rag_lightning.tasks.hub import read_hub
from rag_lightning.tasks.load import load_examples
from rag_lightning.tasks.spec import get_task

SPLITS = ("train", "dev", "test")
SECOND = "test2"
"""The split that only the mini data have, and data that name a file for it."""


def _check(workspace: Workspace) -> None:
    """Check the task before anything is built.

    Raises:
        UnknownNameError: an unknown task.
        ConfigError: task.source where the hub has no data set, or split test2 of data that have none.
    """
    task = workspace.config.task
    files = task.source or task.train or task.dev or task.test
    if (workspace.config.split == SECOND or task.test2) and files and (task.source or not task.test2):
        raise _no_second(task)
    if task.source and get_task(task.name).hub is None:
        raise ConfigError(
            f"task.source: the hub has no official data set of {task.name}; give task.train, dev and test"
        )


def _no_second(task: TaskConfig) -> ConfigError:
    if task.source:
        return ConfigError(f"task.source {task.source} has no test2: clear task.test2 and set split to test")
    return ConfigError(f"{task.dataset} has no split test2: set task.test2 to a file of examples, or split to test")


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    """Files and corpus; data sets of the hub have no gold passages, so they do not depend on the corpus."""
    task = workspace.config.task
    if task.source:
        return {"source": hub_digest(*_hub_source(workspace))}
    files = {f"train {i}": path for i, path in enumerate(task.train)}
    files |= {"dev": task.dev, "test": task.test, SECOND: task.test2}
    found: dict[str, str | Bound[Workspace]] = {n: questions_digest(Path(path)) for n, path in files.items() if path}
    return found | {"corpus": corpus.STAGE.at(workspace)}


def _hub_source(workspace: Workspace) -> tuple[str, str, str]:
    task = workspace.config.task
    hub = get_task(task.name).hub
    assert hub is not None  # _check
    own = ":".join(filter(None, (hub.name, hub.configuration)))
    return hub_source(own if task.source == HUB else task.source, hub.revision)


def _from_hub(workspace: Workspace, folder: Path) -> dict[str, Any]:
    task, spec = workspace.config.task, get_task(workspace.config.task.name)
    assert spec.hub is not None  # _check
    hub = spec.hub.of_rows(spec.named(task.columns)) if task.columns else spec.hub
    layouts = () if task.columns else spec.layouts
    found = read_hub(hub, *_hub_source(workspace), data_seed(workspace), task.fallback, layouts)
    counts = {k: n for part in SPLITS for k, n in spec.count_notes(part, len(found.parts[part])).items()}
    return _write(workspace, folder, found.parts, found.notes | counts)


def data_seed(workspace: Workspace) -> int:
    """Seed of mini questions and held-out splits: task.seed, or the experiment's if that is null."""
    given = workspace.config.task.seed
    return workspace.config.seed if given is None else given


def read(workspace: Workspace, split: str, limited: bool = True) -> list[Example]:
    """The examples of one split; all but train are limited to `task.limit`.

    Raises:
        ConfigError: test2 of data that have none.
    """
    artifact = build(workspace)
    if split == SECOND and split not in artifact.info["counts"]:
        raise _no_second(workspace.config.task)
    examples = list(read_jsonl(artifact.path / f"{split}.jsonl", Example))
    limit = workspace.config.task.limit
    return examples[:limit] if limit and limited and split != "train" else examples


def read_all(workspace: Workspace) -> dict[str, list[Example]]:
    """Every split of the data, whole."""
    return {split: read(workspace, split, limited=False) for split in build(workspace).info["counts"]}


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    if workspace.config.task.source:
        return _from_hub(workspace, folder)
    store, countries = corpus.open_store(workspace), workspace.config.task.without
    parts, notes = _splits(workspace, store)
    if countries:
        parts, left_out = without_countries(parts, store, countries)
        notes = {**notes, **left_out}
    return _write(workspace, folder, parts, notes)


def _write(
    workspace: Workspace, folder: Path, splits: Mapping[str, Sequence[Example]], notes: Mapping[str, int]
) -> dict[str, Any]:
    """Write the splits, train limited to `task.train_limit`; the notes go into the manifest."""
    kept = _drawn(splits["train"], workspace)
    if len(kept) < len(splits["train"]):
        notes = {**notes, "training examples excluded by task.train_limit": len(splits["train"]) - len(kept)}
    splits = {**splits, "train": kept}
    notes = {**notes, **_joined(workspace, splits)}
    names = (*SPLITS, SECOND) if splits.get(SECOND) else SPLITS
    counts = {name: write_jsonl(folder / f"{name}.jsonl", splits[name]) for name in names}
    for reason, count in notes.items():
        workspace.detail(f"  {count:7} {reason}")
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        raise ConfigError(f"task {workspace.config.task.name}: no examples in {' and '.join(empty)}; give more data")
    dropped = sum(count for reason, count in notes.items() if "dropped" in reason)
    return {"counts": counts, "dropped": dropped, "notes": dict(notes)}


def _joined(workspace: Workspace, splits: Mapping[str, Sequence[Example]]) -> dict[str, int]:
    """The note on answers that metrics take for one word, announced; none for patterns and labels."""
    task, language = get_task(workspace.config.task.name), workspace.config.corpus.language
    if task.labels or has_patterns(task):
        return {}
    answers = [answer for listed in splits.values() for example in listed for answer in example.answers]
    joined = sum(joins_words([answer]) for answer in answers)
    if not joined:
        return {}
    readers = "has-answer, em and f1 take" if task.extractive else "the metrics of words take"
    workspace.announce(
        f"{joined} of {len(answers)} answers hold text without spaces between words, which {readers} for one word "
        f"(corpus.language={language})"
    )
    return {"answers hold text without spaces between words": joined}


def _drawn(examples: Sequence[Example], workspace: Workspace) -> Sequence[Example]:
    """A random sample of `task.train_limit` examples, in their order."""
    limit = workspace.config.task.train_limit
    if not limit or limit >= len(examples):
        return examples
    order = seeds.generator(data_seed(workspace), "train_limit").permutation(len(examples))
    return [examples[i] for i in sorted(order[:limit])]


def _splits(workspace: Workspace, store: PassageStore) -> tuple[Mapping[str, Sequence[Example]], Mapping[str, int]]:
    task = workspace.config.task
    if task.train or task.dev or task.test or task.test2:
        loaded = load_examples(task, store, data_seed(workspace), limited=workspace.config.corpus.limit > 0)
        return loaded.parts, loaded.notes
    if workspace.config.corpus.source != "mini":
        source = workspace.config.corpus.source
        raise ConfigError(f"corpus.source={source} needs questions of your own; give task.train (and dev and test)")
    text = corpus.mini_text(workspace)
    made = builder_of(task.name)(corpus.mini_passages(workspace), *text, data_seed(workspace))
    if not workspace.config.corpus.limit:
        return made.splits, made.dropped
    return _within(made.splits, store)


def _within(
    splits: Mapping[str, Sequence[Example]], store: PassageStore
) -> tuple[dict[str, list[Example]], dict[str, int]]:
    """The examples that a limited corpus can answer, with only its gold passages.

    Claims without evidence ("not enough info"), which have no gold passages, are kept.
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


STAGE = config_stage("examples", 4, _inputs, _make, check=_check)
build = STAGE.build


def run(config: ExperimentConfig) -> None:
    """Build the examples and print their number and folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    workspace.announce(f"{artifact.info['counts']} in {artifact.path}")
