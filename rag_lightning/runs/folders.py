"""Paths of artifacts, runs and reports in a project folder."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from rag_lightning.config.commands import RESERVED
from rag_lightning.core.errors import UnknownNameError

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


def find_run(root: str | Path, name: str) -> Path:
    """The folder of a run: a path, its name, SWEEP/NAME, or a part of the name that no other run has.

    Raises:
        UnknownNameError: no run, or several; the message has the nearest names.
    """
    if name and (Path(name) / "run.json").is_file():
        return Path(name)
    found = {file.parent.relative_to(runs(root)).as_posix(): file.parent for file in runs(root).glob("*/*/run.json")}
    exact = [full for full in found if name in (full, full.rpartition("/")[2])]
    fitting = sorted(exact or [full for full in found if name and name in full])
    if len(fitting) == 1:
        return found[fitting[0]]
    if fitting:
        listed = f"{', '.join(fitting[:3])}{', …' if len(fitting) > 3 else ''}"
        raise UnknownNameError(f"run {name!r} is one of {len(fitting)}: {listed}; give more of the name")
    near = get_close_matches(name, [full.rpartition("/")[2] for full in found], n=3, cutoff=0.2)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UnknownNameError(f"no run {name!r} among the {len(found)} of {runs(root)}{hint}")
