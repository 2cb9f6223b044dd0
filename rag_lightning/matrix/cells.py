"""One training of one cell on one split, recorded in runs/experiments/; a finished run is found again.

Which cells can run here: where the scale needs it, the hub is there, and so are files of the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rag_lightning.config.commands import ClaimsConfig, MatrixConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import merged
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.core.hub import cached_commit, hub_reachable
from rag_lightning.matrix.matrix import Cell, Matrix
from rag_lightning.runs import evaluate, folders
from rag_lightning.runs.system import System, label_of
from rag_lightning.runs.track import Mirrors

FAILURES = (RagLightningError, ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, ValueError)
"""What one experiment may end with while others go on; torch's own errors are RuntimeErrors."""
Split = Literal["dev", "test"]


@dataclass(frozen=True)
class Job:
    """A cell with a seed, and the system that is run."""

    cell: Cell
    system: System

    @property
    def config(self) -> ExperimentConfig:
        """The system's experiment."""
        return self.system.config

    @property
    def label(self) -> str:
        """Cell, seed, and the system as tables print it."""
        return self.system.label


def make_job(cell: Cell, seed: int, folder: str, tracking_uri: str, k: int = 0) -> Job:
    """A cell's training; k passages at prediction instead of the cell's own, unless 0.

    Raises:
        ConfigError: values that are no experiment.
    """
    decoding = {"decoding": {"k": k}} if k else {}
    config = cell.experiment(seed, folder=folder, tracking_uri=tracking_uri, **decoding)
    return Job(cell, System(config, f"{cell.name}, seed {seed}: {label_of(config)}"))


def run_job(job: Job, split: Split, mirrors: Mirrors) -> Path:
    """Train, predict and score, or find the finished run, and mirror it; returns the run folder."""
    folder = evaluate.run(job.system, folders.EXPERIMENTS, split, "cell")
    mirrors.of(job.config.task.name).child(folder)
    return folder


NO_HUB = "the hub cannot be reached, and nothing was fetched from it"
FETCHED = "facebook/bart-large"
"""The model that every experiment of scale paper needs."""
NO_FILES = "needs passages and questions of your own: give corpus and train"


def reachable(matrix: Matrix, cells: Sequence[Cell], config: MatrixConfig | ClaimsConfig) -> list[Cell]:
    """Cells with the user's files where they are about those, and a reason where they cannot run here.

    Raises:
        ConfigError: files for cells that are about none.
    """
    wanted = [cell.name for cell in cells if _own_files(matrix, cell)]
    if (config.corpus or config.train) and not wanted:
        scales = ", ".join(name for name, row in matrix.scales.items() if row.own_files)
        raise ConfigError(f"corpus and train go with a scale that is about files of your own: {scales}")
    return _on_the_hub([with_files(cell, config) if cell.name in wanted else cell for cell in cells])


def with_files(cell: Cell, config: MatrixConfig | ClaimsConfig) -> Cell:
    """A cell that is about the user's files."""
    if not (config.corpus and config.train):
        return replace(cell, skip=cell.skip or NO_FILES)
    files = {"corpus": {"source": config.corpus}, "task": {"train": list(config.train)}}
    return replace(cell, values=merged(cell.values, files))


def _own_files(matrix: Matrix, cell: Cell) -> bool:
    return cell.scale in matrix.scales and matrix.scales[cell.scale].own_files


def _on_the_hub(cells: Sequence[Cell]) -> list[Cell]:
    """Those of scale paper cannot run where neither the hub nor what was fetched from it is there."""
    wanted = any(cell.scale == "paper" and not cell.skip for cell in cells)
    if not wanted or cached_commit(FETCHED, "model") or hub_reachable():
        return list(cells)
    return [replace(cell, skip=cell.skip or NO_HUB) if cell.scale == "paper" else cell for cell in cells]
