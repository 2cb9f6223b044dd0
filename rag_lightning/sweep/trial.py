"""One trial of a sweep: a system evaluated on dev, recorded in its run folder."""

from __future__ import annotations

from rag_lightning.config.commands import SweepConfig
from rag_lightning.runs import evaluate
from rag_lightning.runs.record import RUN, fail_run, read_run
from rag_lightning.runs.system import System
from rag_lightning.sweep import objectives
from rag_lightning.sweep.space import SPLIT
from rag_lightning.sweep.study import Found


def evaluate_trial(config: SweepConfig, system: System) -> Found:
    """Evaluate a system on dev, or reuse its finished run; returns its objectives and constraints."""
    folder = evaluate.run(system, config.name, SPLIT, "trial")
    excesses = objectives.constraints_of(config, folder)
    return objectives.values_of(config, folder), dict(zip(config.constraints, excesses, strict=True))


def record_loss(config: SweepConfig, system: System, reason: str) -> None:
    """Mark the run of a trial whose process is gone as failed."""
    folder = evaluate.folder_of(system, config.name, SPLIT)
    if (folder / RUN).exists() and read_run(folder)["status"] == "running":
        fail_run(folder, reason)
