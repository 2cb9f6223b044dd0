"""Where a project keeps its artifacts, runs and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rag_lightning.config.commands import RESERVED

EXPERIMENTS: Final = RESERVED
"""The folder of runs that belong to no sweep: cells of the matrix, which claims use too."""


def artifacts(root: str | Path) -> Path:
    """artifacts/ of a project folder."""
    return Path(root) / "artifacts"


def runs(root: str | Path) -> Path:
    """runs/ of a project folder."""
    return Path(root) / "runs"


def run_group(root: str | Path, group: str) -> Path:
    """runs/<group>: a sweep's name, or EXPERIMENTS."""
    return runs(root) / group


def report(root: str | Path, *names: str) -> Path:
    """reports/out/<names>."""
    return Path(root).joinpath("reports", "out", *names)
