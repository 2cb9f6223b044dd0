"""The arguments of Lightning's Trainer that say how a training is spread over devices, machines and batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.places import Place, find_place, share_of

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")


class HasTrainer(Protocol):
    """A section with arguments of Lightning's Trainer."""

    @property
    def trainer(self) -> Mapping[str, Any]:
        """Arguments of the Trainer, name -> value."""


class Spread(Protocol):
    """An experiment: what is spread over devices and machines."""

    @property
    def devices(self) -> int:
        """Processes of each machine that embed and predict."""

    @property
    def num_nodes(self) -> int:
        """Machines that embed and predict."""

    @property
    def train(self) -> HasTrainer:
        """The section of training."""


def processes(section: str, config: HasTrainer) -> int:
    """Number of processes that train together: `trainer.devices` on each of `trainer.num_nodes` machines.

    Raises:
        ConfigError: not a positive integer, or a strategy that is not distributed data parallel.
    """
    devices, nodes = devices_of(section, config)
    strategy = config.trainer.get("strategy", "auto")
    if devices * nodes > 1 and strategy not in STRATEGIES:
        raise ConfigError(
            f"{section}.trainer.strategy={strategy!r}: several devices train with {' or '.join(STRATEGIES)}"
        )
    return devices * nodes


def devices_of(section: str, config: HasTrainer) -> tuple[int, int]:
    """Processes of each machine that train together, and machines.

    Raises:
        ConfigError: not positive integers.
    """
    for name, counted in (("devices", "processes"), ("num_nodes", "machines")):
        count = config.trainer.get(name, 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"{section}.trainer.{name}={count!r} must be a number of {counted}, at least 1")
    return config.trainer.get("devices", 1), config.trainer.get("num_nodes", 1)


def accumulation(section: str, config: HasTrainer) -> int:
    """Number of batches per process and step (`trainer.accumulate_grad_batches`).

    Raises:
        ConfigError: not a positive integer.
    """
    count = config.trainer.get("accumulate_grad_batches", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"{section}.trainer.accumulate_grad_batches={count!r} must be a number, at least 1")
    return count


def place_of(config: Spread) -> Place | None:
    """The place of this command in the job that it was started for; None if it works alone.

    Raises:
        ConfigError: the job does not fit the numbers of devices and machines.
    """
    wanted = {"": (config.devices, config.num_nodes), "train.trainer.": devices_of("train", config.train)}
    place = find_place() if any(numbers != (1, 1) for numbers in wanted.values()) else None
    if place is None:
        return None
    place = replace(place, commands=place.commands or max(nodes for _, nodes in wanted.values()))
    for setting, numbers in wanted.items():
        share_of(place, *numbers, setting)
    return place if place.commands > 1 else None
