"""One training of one cell on one split, recorded in runs/experiments/; a finished run is found again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rag_lightning.core.config import ExperimentConfig, to_dict
from rag_lightning.core.digest import digest
from rag_lightning.core.errors import RagLightningError
from rag_lightning.core.records import Score, read_jsonl
from rag_lightning.experiments.matrix import Cell
from rag_lightning.stages.score import SCORES
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import trial
from rag_lightning.sweep.system import System, identity
from rag_lightning.tracking import run as runs

FOLDER = "experiments"
FAILURES = (RagLightningError, ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, ValueError)
"""What one experiment may end with while others go on; torch's own errors are RuntimeErrors."""
Split = Literal["dev", "test"]


@dataclass(frozen=True)
class Job:
    """A cell with a seed, as it is run."""

    cell: Cell
    config: ExperimentConfig

    @property
    def label(self) -> str:
        """Cell, seed, and the system as tables print it."""
        return f"{self.cell.name}, seed {self.config.seed}: {System.of(self.config).label_in(self.config)}"


def make_job(cell: Cell, seed: int, folder: str, tracking_uri: str, k: int = 0) -> Job:
    """A cell's training; k passages at prediction instead of the cell's own, unless 0.

    Raises:
        ConfigError: values that are no experiment.
    """
    decoding = {"decoding": {"k": k}} if k else {}
    return Job(cell, cell.experiment(seed, folder=folder, tracking_uri=tracking_uri, **decoding))


def folder_of(job: Job, split: Split) -> Path:
    """The run folder: readable, and unique to the configuration."""
    unique = digest([identity(job.config), split])[:8]
    name = f"{split}-{job.cell.name}-seed{job.config.seed}-k{job.config.decoding.k}-{unique}"
    return Path(job.config.folder) / "runs" / FOLDER / name


def run_job(job: Job, split: Split) -> Path:
    """Train, predict and score, or find the finished run; returns the run folder."""
    folder = folder_of(job, split)
    if folder.exists() and runs.is_finished(folder):
        return folder
    workspace = Workspace(job.config)
    workspace.announce(f"{split}: {job.label}")
    with runs.recorded(folder, _info(job, split, folder)) as result:
        trial.evaluate(workspace, split, result)
    return folder


def scores_of(folder: Path, root: Path) -> list[Score]:
    """The scores of a finished run.

    Raises:
        DataError: they cannot be read.
    """
    digests = runs.read_run(folder)["digests"]
    return list(read_jsonl(root / "artifacts" / "scores" / digests["scores"] / SCORES, Score))


def _info(job: Job, split: Split, folder: Path) -> runs.RunInfo:
    config = job.config
    system = System.of(config)
    return runs.RunInfo(
        run_id=folder.name,
        sweep=FOLDER,
        role="cell",
        split=split,
        system=system.as_dict(),
        label=job.label,
        task=config.task.name,
        dataset=config.task.dataset,
        scale=config.scale,
        config=to_dict(replace(config, split=split)),
        seed=config.seed,
        notes=trial.swapped(config),
    )
