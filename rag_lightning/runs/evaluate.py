"""One system on one split: stage calls, recorded in a run folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.retrieval import training_kind
from rag_lightning.stages import corpus, cost, examples, predict, score, train, training_start
from rag_lightning.stages.workspace import Workspace
from rag_lightning.runs.system import System
from rag_lightning.runs import record as runs

NAMES = {"bm25": "BM25", "dense": "dense retrieval", "oracle": "the oracle", "random": "random retrieval"}


def folder_of(config: SweepConfig, system: System, split: str) -> Path:
    """runs/<sweep>/<run_id>."""
    base = config.experiment
    return sweep_folder(config) / system.run_id(base, split)


def sweep_folder(config: SweepConfig) -> Path:
    """runs/<sweep>."""
    return Path(config.experiment.folder) / "runs" / config.name


def run(config: SweepConfig, system: System, split: str, role: str) -> Path:
    """Evaluate a system, or find its finished run; returns the run folder.

    A run found under another role (a trial that is also a baseline) keeps its numbers and its role.
    """
    folder = folder_of(config, system, split)
    if folder.exists() and runs.is_finished(folder):
        return folder
    workspace = Workspace(system.configure(config.experiment))
    workspace.announce(f"{split}: {system.label_in(config.experiment)}")
    with runs.recorded(folder, _info(config, system, split, role, folder)) as result:
        evaluate(workspace, split, result)
    return folder


def evaluate(workspace: Workspace, split: str, result: runs.RunResult) -> None:
    """Score the workspace's system on a split; summary, notes, digests and timings go into the result."""
    scored = score.build(workspace, split)
    made = predict.build(workspace, split)
    result.summary = json.loads((scored.path / score.SUMMARY).read_text(encoding="utf-8"))
    result.notes += score.note_lines(result.summary) + train.alarms(train.read_info(train.build(workspace)))
    result.digests = score.stage(workspace.on(split)).lineage()
    measured = cost.build(workspace).info
    result.timings = {
        "retrieve": measured["retrieve"],
        "generate": measured["generate"],
        "seconds_per_query": measured["retrieve"] + measured["generate"],
        "predict_stage": made.info["seconds"],
    }


def _info(config: SweepConfig, system: System, split: str, role: str, folder: Path) -> runs.RunInfo:
    base = config.experiment
    return runs.RunInfo(
        run_id=folder.name,
        sweep=config.name,
        role=role,
        split=split,
        system=system.as_dict(),
        label=system.label_in(base),
        task=base.task.name,
        dataset=base.task.dataset,
        scale=base.scale,
        config=to_dict(replace(system.configure(base), split=split)),  # type: ignore[arg-type]
        seed=base.seed,
        notes=swapped(system.configure(base)),
    )


def swapped(config: ExperimentConfig) -> list[str]:
    """What has to be said of a retriever that the model was not trained with."""
    kind, trained = config.retriever.kind, training_kind(config.retriever)
    if config.formulation == "closed_book" or kind == trained:
        return []
    name = NAMES[kind]
    return [f"{name[0].upper()}{name[1:]} was swapped in at test: the model was trained with {NAMES[trained]}"]
