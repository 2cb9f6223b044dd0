"""The evaluation of one system on one split, recorded in a run folder; for sweeps, the matrix and claims."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from rag_lightning.config.data import TESTS
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.retrieval import IndexConfig, retriever_kind, training_kind
from rag_lightning.core import artifacts
from rag_lightning.core.console import within
from rag_lightning.core.links import make_folder
from rag_lightning.core.records import Score, read_jsonl
from rag_lightning.core.redact import redacted
from rag_lightning.runs import folders, ledger
from rag_lightning.runs import record as runs
from rag_lightning.runs.ledger import Evaluation
from rag_lightning.runs.system import CLOSED_BOOK, System
from rag_lightning.stages import bm25, cost, index, predict, retrieve, score, train
from rag_lightning.stages.workspace import Workspace

SEARCHED = {"index": index.STAGE, "bm25": bm25.STAGE}
"""Value of a retriever's `searches` -> the stage that builds it."""
LARGEST_EXACT = 8 << 30
"""Bytes of a flat index up to which it is read only to tell errors of another index from those of the retriever."""


def folder_of(system: System, group: str, split: str) -> Path:
    """The run folder of a system, runs/<group>/<run_id>."""
    return folders.run_group(system.config.folder, group) / system.run_id(split)


def run(system: System, group: str, split: str, role: str) -> Path:
    """Evaluate a system, or reuse its finished run; returns the run folder. A test goes into the ledger.

    A second process that wants the same cell waits, and finds the run.

    A finished run with another role (a trial that is also a baseline) keeps its role.

    Args:
        system: System to evaluate.
        group: Folder of runs: the name of the sweep, or `folders.EXPERIMENTS`.
        split: dev, test or test2.
        role: trial, baseline or final in a sweep, cell in the matrix.
    """
    folder = folder_of(system, group, split)
    with _turn(folder) if group == folders.EXPERIMENTS else nullcontext():
        if not (folder.exists() and runs.is_finished(folder)):
            _run(system, folder, group, split, role)
    return folder


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """The turn of this process to run a cell, which others may want too; a sweep has a lock of its own."""
    make_folder(folder, folder.parent.parent)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _run(system: System, folder: Path, group: str, split: str, role: str) -> None:
    workspace = Workspace(system.config).on(split)
    workspace.detail(f"{split}: {system.label}")
    info = _info(system, workspace, group, role)
    with within(f"{split}: {system.label}"), runs.recorded(folder, info) as result:
        evaluate(workspace, split, result)
        scores = result.digests["scores"]
        done = Evaluation(group, info.run_id, info.label, role, split, info.dataset, scores)
        ledger.append(system.config.folder, done)


def restore(system: System, group: str, split: str) -> None:
    """Build the scores of a finished run again, with their inputs, if the artifact was removed; its record stays."""
    digest = runs.read_run(folder_of(system, group, split))["digests"]["scores"]
    if not (folders.artifacts(system.config.folder) / "scores" / digest).exists():
        with within(f"{split}: {system.label}"):
            score.build(Workspace(system.config), split)


def evaluate(workspace: Workspace, split: str, result: runs.RunResult) -> None:
    """Score the workspace's system on a split; fills the result with summary, notes, digests, timings and work."""
    workspace = workspace.on(split)
    scored = score.build(workspace, split)
    made = predict.build(workspace, split)
    result.summary = json.loads((scored.path / score.SUMMARY).read_text(encoding="utf-8"))
    if exact := exact_scores(workspace, split):
        result.summary[runs.EXACT] = {"scores": exact}
    result.notes += score.note_lines(result.summary)
    if not workspace.config.decoding.made().from_train:
        result.notes += train.alarms(train.read_info(train.build(workspace)))
    result.digests = score.stage(workspace).lineage()
    measured = cost.build(workspace).info
    result.timings = {
        "retrieve": measured["retrieve"],
        "generate": measured["generate"],
        "seconds_per_query": measured["retrieve"] + measured["generate"],
        "predict_stage": made.info["seconds"],
        "build_seconds": build_seconds(workspace),
        "peak_memory": measured["peak_memory"],  # bytes
    }
    result.work = work(workspace)


def exact_scores(workspace: Workspace, split: str) -> str:
    """Digest of the scores of exact search, at the same k and query encoder, for an approximate index on test.

    They tell errors of the index from those of the retriever. Empty on other splits, where the search is exact anyway,
    and where exact search would first have to build an index, or to read a large one.
    """
    config = workspace.config
    if split not in TESTS or config.formulation == CLOSED_BOOK or "index" not in config.retriever.made().searches:
        return ""
    exact = workspace.with_config(index=IndexConfig("flat"))
    if index.STAGE.digest(exact) == index.STAGE.digest(workspace):
        return ""
    if retrieve.stage().open(exact) is None:
        built = index.STAGE.open(exact)
        if built is None or built.info["bytes"] > LARGEST_EXACT:
            return ""
    return score.of(exact, split, None, retrieve.build(exact, split), config.decoding.k).digest


def work(workspace: Workspace) -> dict[str, int]:
    """The cost of a system in counts: pairs generated per question, beams per pair, bytes of the index."""
    config = workspace.config
    return {"pairs": pairs(config), "beams": config.decoding.made().beams, "index_bytes": index_bytes(workspace)}


def pairs(config: ExperimentConfig) -> int:
    """Number of question-passage pairs per question for the generator; 1 for closed book."""
    if not config.decoding.made().generates:
        return 0
    if config.formulation == CLOSED_BOOK:
        return 1
    return config.decoding.k + (config.retriever.null_document != "none")


def index_bytes(workspace: Workspace) -> int:
    """Size of the searched index in bytes; 0 without one."""
    return sum(int(info.get("bytes", 0)) for info in _searched(workspace))


def build_seconds(workspace: Workspace) -> float:
    """Build time of the searched index in seconds; 0 without one."""
    return float(sum(info.get("build_seconds", 0) for info in _searched(workspace)))


def _searched(workspace: Workspace) -> list[Mapping[str, Any]]:
    """The infos of the searched indexes."""
    config = workspace.config
    names = () if config.formulation == CLOSED_BOOK else config.retriever.made().searches
    return [SEARCHED[name].build(workspace).info for name in names if name in SEARCHED]


def scores_of(folder: Path, root: str | Path) -> list[Score]:
    """The scores of a finished run.

    Raises:
        ArtifactError, DataError: the scores cannot be read, or are altered.
    """
    scores = artifacts.folder_of(folders.artifacts(root), "scores", runs.read_run(folder)["digests"].get("scores"))
    return list(read_jsonl(artifacts.open_artifact(scores, "scores").path / score.SCORES, Score))


def degraded_of(folder: Path) -> frozenset[str]:
    """Names of the metrics whose values are degraded in a finished run.

    Raises:
        DataError: the summary cannot be read.
    """
    notes = runs.read_summary(folder).get("notes", ())
    return frozenset(name for note in notes if note["degraded"] for name in note["metrics"])


def _info(system: System, workspace: Workspace, group: str, role: str) -> runs.RunInfo:
    config, split = workspace.config, workspace.config.split
    return runs.RunInfo(
        run_id=system.run_id(split),
        sweep=group,
        role=role,
        split=split,
        label=system.label,
        task=config.task.name,
        dataset=config.task.dataset,
        scale=config.scale,
        config=redacted(to_dict(config)),
        seed=config.seed,
        notes=swap_notes(config),
        planned=score.stage(workspace).lineage(),
    )


def swap_notes(config: ExperimentConfig) -> list[str]:
    """A note if the model was trained with another retriever."""
    kind, trained = config.retriever.kind, training_kind(config.retriever)
    if config.formulation == CLOSED_BOOK or kind == trained:
        return []
    name = retriever_kind(kind).title
    return [
        f"{name[:1].upper()}{name[1:]} was swapped in at test: the model was trained with "
        f"{retriever_kind(trained).title}"
    ]
