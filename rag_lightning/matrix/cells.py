"""Cells as jobs with a seed, their runs in runs/experiments/, and the check which cells can run here.

A cell cannot run if its scale needs the hub, which cannot be reached, or user files that are not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rag_lightning.config.commands import ClaimsConfig, MatrixConfig
from rag_lightning.config.data import Split
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import merged
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.core.hub import cached_commit, hub_reachable
from rag_lightning.matrix.matrix import Cell, Matrix
from rag_lightning.runs import evaluate, folders
from rag_lightning.runs.system import System, label_of
from rag_lightning.tracking.track import Mirrors

FAILURES = (RagLightningError, ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, ValueError)
"""Errors of one experiment that do not stop the others; torch's own errors are RuntimeErrors."""


@dataclass(frozen=True)
class Job:
    """A cell with a seed, as a system to run."""

    cell: Cell
    system: System

    @property
    def config(self) -> ExperimentConfig:
        """The configuration of the system."""
        return self.system.config

    @property
    def label(self) -> str:
        """The label in tables: cell, seed and system."""
        return self.system.label


def make_job(cell: Cell, seed: int, folder: str, tracking_uri: str, k: int = 0) -> Job:
    """The job of a cell and a seed, with k passages at prediction (0 for the cell's own k).

    Raises:
        ConfigError: a cell with invalid values.
    """
    decoding = {"decoding": {"k": k}} if k else {}
    config = cell.experiment(seed, folder=folder, tracking_uri=tracking_uri, **decoding)
    return Job(cell, System(config, f"{cell.name}, seed {seed}: {label_of(config)}"))


def run_job(job: Job, split: Split, mirrors: Mirrors) -> Path:
    """Train, predict and score, or reuse the finished run, and mirror it; returns the run folder."""
    folder = evaluate.run(job.system, folders.EXPERIMENTS, split, "cell")
    mirrors.of(job.config.task.name).child(folder)
    return folder


NO_HUB = "the hub cannot be reached, and its models are not in the cache"
FETCHED = "facebook/bart-large"
"""A model that every experiment of scale paper needs."""
NO_FILES = "needs your passages and questions: give --corpus and --train"


def reachable(matrix: Matrix, cells: Sequence[Cell], config: MatrixConfig | ClaimsConfig) -> list[Cell]:
    """Cells with the user's files if their scale needs them, and with a reason if they cannot run here.

    Raises:
        ConfigError: files are given, but no cell needs them.
    """
    wanted = [cell.name for cell in cells if _own_files(matrix, cell)]
    if (config.corpus or config.train) and not wanted:
        scales = ", ".join(name for name, row in matrix.scales.items() if row.own_files)
        raise ConfigError(f"--corpus and --train are only for a scale that needs them: {scales}")
    return _on_the_hub([with_files(cell, config) if cell.name in wanted else cell for cell in cells])


def with_files(cell: Cell, config: MatrixConfig | ClaimsConfig) -> Cell:
    """A cell with the user's files; skipped if they are not given."""
    if not (config.corpus and config.train):
        return replace(cell, skip=cell.skip or NO_FILES)
    files = {"corpus": {"source": config.corpus}, "task": {"train": list(config.train)}}
    return replace(cell, values=merged(cell.values, files))


def _own_files(matrix: Matrix, cell: Cell) -> bool:
    return cell.scale in matrix.scales and matrix.scales[cell.scale].own_files


def _on_the_hub(cells: Sequence[Cell]) -> list[Cell]:
    """The cells; those of scale paper are skipped if the hub cannot be reached and its cache is empty."""
    wanted = any(cell.scale == "paper" and not cell.skip for cell in cells)
    if not wanted or cached_commit(FETCHED, "model") or hub_reachable():
        return list(cells)
    return [replace(cell, skip=cell.skip or NO_HUB) if cell.scale == "paper" else cell for cell in cells]
