"""Paths of artifacts, runs and reports in a project folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rag_lightning.config.commands import RESERVED

EXPERIMENTS: Final = RESERVED
"""Folder of the runs outside of sweeps: cells of the matrix, which claims use too."""


def artifacts(root: str | Path) -> Path:
    """The folder artifacts/ of a project."""
    return Path(root) / "artifacts"


def runs(root: str | Path) -> Path:
    """The folder runs/ of a project."""
    return Path(root) / "runs"


def run_group(root: str | Path, group: str) -> Path:
    """The folder runs/<group>, where a group is the name of a sweep, or EXPERIMENTS."""
    return runs(root) / group


def report(root: str | Path, *names: str) -> Path:
    """The folder reports/out/<names>."""
    return Path(root).joinpath("reports", "out", *names)


def assessments(root: str | Path) -> Path:
    """The folder reports/assessments/ of a project, with a folder per human assessment."""
    return Path(root) / "reports" / "assessments"
