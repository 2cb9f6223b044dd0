"""Paths of artifacts, runs and reports in a project folder."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from rag_lightning.config.commands import RESERVED
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.plain import shorten

EXPERIMENTS: Final = RESERVED
"""Folder of the runs outside of sweeps: cells of the matrix, which claims use too."""
LONGEST: Final = 120
"""Characters of a name in a message."""


def artifacts(root: str | Path) -> Path:
    """The folder artifacts/ of a project."""
    return Path(root) / "artifacts"


def runs(root: str | Path) -> Path:
    """The folder runs/ of a project."""
    return Path(root) / "runs"


def assessments(root: str | Path) -> Path:
    """The folder reports/assessments/ of a project, with a folder per human assessment."""
    return Path(root) / "reports" / "assessments"


def run_group(root: str | Path, group: str) -> Path:
    """The folder runs/<group>, where a group is the name of a sweep, or EXPERIMENTS.

    Raises:
        ConfigError: a name, such as one that a file of a run has, that would lead elsewhere.
    """
    return runs(root) / _one(group)


def report(root: str | Path, *names: str) -> Path:
    """The folder reports/out/<names>.

    Raises:
        ConfigError: as `run_group`.
    """
    return Path(root).joinpath("reports", "out", *map(_one, names))


def _one(name: str) -> str:
    """A name that is one folder's, and no way to another; the folders of earlier runs have longer ones than `Name`."""
    if name in ("", ".", "..") or {"/", "\0"} & set(name):
        raise ConfigError(f"{shorten(repr(name), LONGEST)} is not the name of a folder of runs or reports")
    return name


def find_run(root: str | Path, name: str) -> Path:
    """The folder of a run: its path, its name, SWEEP/NAME, or a part of the name that no other run has.

    Raises:
        UnknownNameError: no run of this project, or several; the message has the nearest names.
    """
    named = shorten(repr(name), LONGEST)
    found = {file.parent.relative_to(runs(root)).as_posix(): file.parent for file in runs(root).glob("*/*/run.json")}
    here = Path(name) if name and os.path.isfile(Path(name, "run.json")) else None  # False also for what is no path
    exact = [full for full, at in found.items() if name in (full, at.name) or (here and at.samefile(here))]
    fitting = sorted(exact or [full for full in found if name and name in full])
    if len(fitting) == 1:
        return found[fitting[0]]
    if fitting:
        listed = f"{', '.join(fitting[:3])}{', …' if len(fitting) > 3 else ''}"
        raise UnknownNameError(f"run {named} is one of {len(fitting)}: {listed}; give more of the name")
    near = get_close_matches(Path(name).name, [at.name for at in found.values()], n=3, cutoff=0.2)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UnknownNameError(f"no run {named} among the {len(found)} of {runs(root)}{hint}")
