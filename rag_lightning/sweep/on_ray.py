"""Workers of a sweep as Ray tasks, on the cluster of RAY_ADDRESS or on one that Ray starts on this machine.

A task claims trials from the study like a worker process; Ray places it by the CPUs and GPUs that it asks for. A task
whose process or node is lost has its trial failed, its point tried again, and is replaced.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core import console
from rag_lightning.core.cluster import cluster, import_ray
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.sweep.storage import is_server
from rag_lightning.sweep.workers import MOST_A_CORE, POLL, SOFT, Crew, work


class Tasks(Crew):
    """Workers as Ray tasks of the connected cluster."""

    def __init__(self, config: SweepConfig) -> None:
        super().__init__(config)
        self._ray = import_ray()

    def start(self) -> None:
        """Start a task."""
        tag = f" ray-{uuid4().hex[:8]}"
        options = {"num_cpus": self.config.worker_cpus, "num_gpus": self.config.worker_gpus, "max_retries": 0}
        self.running[self._ray.remote(**options)(_work).remote(self.config, os.getcwd(), tag)] = tag

    def wait(self) -> dict[Any, str]:
        """As in the base class."""
        ended, _ = self._ray.wait(list(self.running), num_returns=1, timeout=POLL)
        return {task: _ending(self._ray, task) for task in ended}

    def stop(self, workers: Sequence[Any]) -> None:
        """End the processes of tasks."""
        for task in workers:
            self._ray.cancel(task, force=True)
        if workers:
            self._ray.wait(list(workers), num_returns=len(workers), timeout=SOFT)


@contextmanager
def connected(config: SweepConfig) -> Iterator[None]:
    """Connect to the cluster of RAY_ADDRESS, or to one started on this machine, and check that all workers have room.

    Raises:
        ConfigError: Ray is not installed or not reached, or the cluster lacks the resources.
    """
    with cluster() as ray:
        _check_cluster(ray, config)
        yield


def _ending(ray: Any, task: Any) -> str:
    """Why a task is lost; empty if it ended because nothing is left to claim.

    Raises:
        RagLightningError: the error that ended it.
    """
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RagLightningError):
            raise error.cause from None
        console.say(str(error))
        return f"worker lost ({type(error.cause).__name__})"
    except ray.exceptions.RayError as error:
        return f"worker lost ({type(error).__name__})"
    return ""


def _work(config: SweepConfig, folder: str, tag: str) -> int:
    """The work of a task."""
    if Path(folder).is_dir():
        os.chdir(folder)  # relative paths of the configuration mean the same as in the command
    return work(config, tag)


def _check_cluster(ray: Any, config: SweepConfig) -> None:
    """Raise ConfigError unless all workers have room on the cluster, and their machines can share the study."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    nodes = [node["Resources"] for node in alive]
    wanted = {"CPU": config.worker_cpus, "GPU": config.worker_gpus}
    asked = {kind: amount for kind, amount in wanted.items() if amount}
    if not asked:
        asked = {"CPU": 1 / MOST_A_CORE}  # Ray itself would place any number
    room = sum(int(min(node.get(kind, 0.0) / amount for kind, amount in asked.items())) for node in nodes)
    if room < config.workers:
        text = " and ".join(f"{amount:g} {kind}" for kind, amount in asked.items())
        raise ConfigError(
            f"engine=ray: {config.workers} workers of {text} each were asked for, but the cluster has room for {room}; "
            "lower workers, worker_cpus or worker_gpus"
        )
    elsewhere = {node["NodeManagerHostname"] for node in alive} - {socket.gethostname()}
    if elsewhere and not is_server(config):
        raise ConfigError("engine=ray on other machines needs storage: postgresql://…, which all of them can share")
