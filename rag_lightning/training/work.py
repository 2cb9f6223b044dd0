"""Work that several processes share, by its name; what they compute on must be alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.devices import device_class, gpu_names
from rag_lightning.core.errors import ConfigError, JobError
from rag_lightning.core.registry import load
from rag_lightning.training.processes import Group, launch, launch_each

WORKS = {
    "train": "rag_lightning.stages.train:train_as_one_of",
    "embed": "rag_lightning.stages.embed_parts:embed_share",
    "predict": "rag_lightning.stages.predict:predict_share",
}
"""Name of shared work -> its function, which each process calls with its rank, the configuration, folder and values."""


@dataclass(frozen=True)
class Work:
    """Shared work.

    Args:
        name: Its name in WORKS.
        config: Configuration of the experiment.
        folder: Folder that its processes write into; all machines see it.
        values: Plain JSON values.
        devices: Processes of a machine.
        nodes: Machines.
        alone: Whether the processes share nothing, so that those left go on when one dies.
        setting: Prefix of the fields that say how many, for messages.
    """

    name: str
    config: ExperimentConfig
    folder: Path
    values: Mapping[str, Any]
    devices: int
    nodes: int = 1
    alone: bool = False
    setting: str = ""

    @property
    def kind(self) -> str:
        """Class of the devices: cpu, cuda or mps.

        Raises:
            ConfigError: the configuration names one device, and the work is for several.
        """
        device = self.config.device
        if ":" in device and self.devices > 1:
            raise ConfigError(
                f"device={device} is one device, and devices={self.devices} are asked for; use device=cuda"
            )
        return device_class(device)

    def start(self, group: Group, watch: Callable[[], None]) -> list[str]:
        """Run the processes of this command; returns why some were lost."""
        if not group.share.count:
            return []
        run: Callable[..., list[str] | None] = launch_each if self.alone else launch
        given = (self.config, self.folder, {**self.values, "world": group.share.world})
        return run(load(WORKS[self.name]), group, given, self.folder, watch) or []


def device_names(kind: str) -> list[str]:
    """What this machine computes on: the names of its GPUs for the class cuda, else the class."""
    return gpu_names() if kind == "cuda" else [kind]


def check_devices(kind: str) -> None:
    """Raise JobError if the devices of this machine differ."""
    check_alike([{"host": "this machine", "device": name} for name in device_names(kind)])


def check_alike(commands: Sequence[Mapping[str, Any]]) -> None:
    """Raise JobError unless all commands, as each described itself, have the same versions and devices."""
    titles = {"version": "versions of rag-lightning", "torch": "versions of torch", "device": "devices"}
    for name, title in titles.items():
        values = {str(one.get(name)): one["host"] for one in reversed(commands)}
        if len(values) > 1:
            listed = ", ".join(f"{value} on {host}" for value, host in sorted(values.items()))
            remedy = "give the job devices of one kind" if name == "device" else "install the same on each machine"
            raise JobError(f"one job with several {title} would mix their numbers: {listed}; {remedy}")
