"""Work of a stage that is dealt to processes of this machine and of others, part by part, until nothing is missing.

A part is a file, whole or not there, whose content does not depend on who makes it: so the parts of a process that dies
are dealt again to those that are left, and the result is that of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import ignore
from rag_lightning.core.errors import JobError
from rag_lightning.stages.workspace import Workspace, check_device
from rag_lightning.training.job import check_started, work_together
from rag_lightning.training.work import Work


def is_shared(config: ExperimentConfig) -> bool:
    """Whether embedding and prediction are dealt to several processes."""
    return config.devices * config.num_nodes > 1


def check(workspace: Workspace) -> None:
    """Raise ConfigError unless the device is there, and the command runs on as many machines as are configured."""
    check_device(workspace)
    check_started(workspace.config.devices, workspace.config.num_nodes, "")


def quiet(config: ExperimentConfig) -> Workspace:
    """The workspace of a process that prints nothing."""
    return Workspace(config, ignore, ignore)


def share(rank: int, values: Mapping[str, Any]) -> list[int]:
    """The numbers of the parts that a process makes."""
    numbers: list[int] = values["numbers"]
    return numbers[rank :: values["world"]]


def finish(
    work: str, workspace: Workspace, folder: Path, missing: Callable[[], list[int]], values: Mapping[str, Any]
) -> None:
    """Deal the missing parts to the processes until there are none.

    Args:
        work: Name of the work (training/work.py); its function makes the parts that `share` gives it.
        workspace: Workspace of the stage.
        folder: Folder of the parts.
        missing: Lists the numbers of those that are not there.
        values: Plain values for the work.

    Raises:
        JobError: all processes are lost, or make nothing.
        RagLightningError: what a process raised.
    """
    config = workspace.config
    left = missing()
    while left:
        given = {**values, "numbers": left}
        lost = work_together(Work(work, config, folder, given, config.devices, config.num_nodes, alone=True))
        now = missing()
        if len(now) == len(left):
            reason = lost[0] if lost else "they ended without a word"
            raise JobError(f"{folder}: none of the processes has made a part of it: {reason}; run again to go on")
        for line in lost:
            workspace.announce(f"{line}; its parts are made by those that are left")
        left = now
