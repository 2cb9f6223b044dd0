"""Command `report`: runs/<sweep> -> reports/out/<sweep>, from stored runs; needs no model."""

from __future__ import annotations

from pathlib import Path

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.console import say
from rag_lightning.core.errors import DataError
from rag_lightning.core.shipped import find_shipped
from rag_lightning.report.sweep_page import render
from rag_lightning.runs import folders

PAPER, LATER = "reports/paper.yaml", "reports/later.yaml"
"""The paper's numbers, and those that others published after it."""


def run(config: SweepConfig) -> None:
    """Write the report of a sweep and print its path.

    Raises:
        DataError: the sweep has not been run, a file of it is damaged, or the published numbers are not there.
        ArtifactError: stored scores or predictions were altered.
    """
    root = Path(config.experiment.folder)
    sweep = folders.run_group(root, config.name)
    if not sweep.is_dir():
        known = sorted(folder.name for folder in folders.runs(root).glob("*") if folder.is_dir())
        hint = f"run the sweep first; there are runs of {', '.join(known) or 'no sweep'}"
        raise DataError(sweep, "does not exist", hint=hint)
    page = render(sweep, folders.artifacts(root), folders.report(root), find_shipped(PAPER), find_shipped(LATER))
    say(f"report            {page}")
