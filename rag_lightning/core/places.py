"""The place of this command among those that one job starts on several machines, from the environment.

torchrun, srun and, by hand, Lightning's variables NODE_RANK, MASTER_ADDR and MASTER_PORT are known. A command alone, or
one of several that have nothing to do with each other, has no place. Does not import torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rag_lightning.core.errors import ConfigError

FIRST_PORT, PORTS = 15000, 10000
"""Ports of jobs whose environment names none: one of so many, by the number of the job."""
HIGHEST_PORT = 65535
HOST = re.compile(r"[\w.-]{1,255}|(?=.*:.*:)[0-9a-fA-F:.]{2,45}(%[\w.-]{1,15})?")
"""A name, an IPv4 or an IPv6 address, without port, brackets or scheme."""
OURS = re.compile(r"TORCHELASTIC_|(RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|GROUP_RANK|ROLE_\w+|NODE_RANK)$")
"""Variables that say a process's place; processes that a command starts have places of their own."""


@dataclass(frozen=True)
class Place:
    """The place of a command among those of its job.

    Args:
        rank: Number of the command, from 0; the first one leads.
        commands: Number of commands; 0 by hand, where it is num_nodes.
        node: Number of its machine, from 0.
        local: Its number among the commands of its machine.
        per_node: Commands of each machine: 1, or one for each device.
        address: Name or address of the first machine.
        port: Port there, where the commands meet.
        attempt: How often torchrun has started the job before.
        hosted: Whether torchrun's own process holds the meeting place.
    """

    rank: int
    commands: int
    node: int
    local: int
    per_node: int
    address: str
    port: int
    attempt: int = 0
    hosted: bool = False


@dataclass(frozen=True)
class Share:
    """The processes that one command starts, of all that work together.

    Args:
        first: Rank of its first process.
        count: Number of its processes; 0 for a command that only waits.
        world: Number of all processes.
        node: Number of the machine.
        local: Number of its first process on the machine.
        together: Number of processes of the machine.
    """

    first: int
    count: int
    world: int
    node: int = 0
    local: int = 0
    together: int = 1


def find_place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place of this command; None where it was started alone.

    Raises:
        ConfigError: a variable that is no number, or variables that name no place or contradict each other.
    """
    place = _found(environment)
    if place is not None:
        _check(place)
    return place


def _found(environment: Mapping[str, str]) -> Place | None:
    if "TORCHELASTIC_RUN_ID" in environment:
        return _of_torchrun(environment)
    if int_of(environment, "SLURM_STEP_NUM_TASKS", 1) > 1:
        return _of_srun(environment)
    if {"NODE_RANK", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        node, port = int_of(environment, "NODE_RANK"), int_of(environment, "MASTER_PORT")
        return Place(node, 0, node, 0, 1, environment["MASTER_ADDR"], port)
    return None


def _check(place: Place) -> None:
    """Raise ConfigError for a place that a job does not have."""
    if not place.address.strip():
        problem = "MASTER_ADDR is empty"
    elif not HOST.fullmatch(place.address):
        problem = f"MASTER_ADDR={place.address[:80]!r} is no name or address alone"
    elif not 1 <= place.port <= HIGHEST_PORT:
        problem = f"MASTER_PORT={place.port} is no port from 1 to {HIGHEST_PORT}"
    elif place.commands and not place.rank < place.commands:
        problem = f"command {place.rank} (from 0) is not one of {place.commands}"
    elif not place.local < place.per_node:
        problem = f"command {place.local} (from 0) of a machine is not one of {place.per_node}"
    elif place.commands and place.node * place.per_node >= place.commands:
        problem = f"machine {place.node} (from 0) is none of {place.commands} commands, {place.per_node} on each"
    else:
        return
    raise ConfigError(f"the environment contradicts itself: {problem}; start the job by srun or torchrun")


def int_of(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    """A variable as a number from 0 to 10^18.

    Raises:
        ConfigError: it is missing without a default, or no such number.
    """
    text = environment.get(name, "" if default is None else str(default))
    if not (text.isdecimal() and len(text) <= 18):
        raise ConfigError(f"environment variable {name}={text!r}: must be a number; start the job by srun or torchrun")
    return int(text)


def _of_torchrun(environment: Mapping[str, str]) -> Place | None:
    commands = int_of(environment, "WORLD_SIZE")
    if commands < 2:
        return None
    return Place(
        int_of(environment, "RANK"),
        commands,
        int_of(environment, "GROUP_RANK"),
        int_of(environment, "LOCAL_RANK"),
        int_of(environment, "LOCAL_WORLD_SIZE"),
        environment.get("MASTER_ADDR", ""),
        int_of(environment, "MASTER_PORT"),
        int_of(environment, "TORCHELASTIC_RESTART_COUNT", 0),
        environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )


def _of_srun(environment: Mapping[str, str]) -> Place:
    commands, nodes = int_of(environment, "SLURM_STEP_NUM_TASKS"), int_of(environment, "SLURM_STEP_NUM_NODES", 1)
    if not nodes or commands % nodes:
        raise ConfigError(f"srun starts {commands} commands on {nodes} nodes; give --ntasks-per-node, as many on each")
    job = int_of(environment, "SLURM_JOB_ID", 0)
    return Place(
        int_of(environment, "SLURM_PROCID"),
        commands,
        int_of(environment, "SLURM_NODEID", 0),
        int_of(environment, "SLURM_LOCALID", 0),
        commands // nodes,
        environment.get("MASTER_ADDR") or first_host(environment.get("SLURM_STEP_NODELIST", "")),
        int_of(environment, "MASTER_PORT", FIRST_PORT + job % PORTS),
    )


def first_host(listed: str) -> str:
    """The first host of SLURM's list of nodes.

    >>> first_host("gpu[007-009,12],login"), first_host("one,two"), first_host("a[1-2]-ib")
    ('gpu007', 'one', 'a1-ib')

    Raises:
        ConfigError: an empty list.
    """
    found = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\])?([^,\[]*)", listed)
    if not found:
        raise ConfigError("the environment names no first machine; set MASTER_ADDR to its name")
    return "".join(part or "" for part in found.groups())


def share_of(place: Place | None, devices: int, nodes: int, setting: str) -> Share:
    """The processes that this command starts for work of `nodes` machines with `devices` processes each.

    With one command on each machine it starts those of its machine; with one command for each device its own one.

    Args:
        place: Place of the command.
        devices: Processes of a machine.
        nodes: Machines.
        setting: Prefix of the fields, for messages.

    Raises:
        ConfigError: the job has not so many machines, or another number of commands.
    """
    place = place or Place(0, 1, 0, 0, 1, "127.0.0.1", 0)
    machines = (place.commands or nodes) // place.per_node
    wanted = f"{setting}devices={devices}, {setting}num_nodes={nodes}"
    if nodes > machines:
        remedy = "start the command on each machine, by srun or torchrun (docs/scale.md)"
        raise ConfigError(f"{wanted}: this command runs on {machines} of them; {remedy}")
    if (devices, nodes) == (1, 1):
        return Share(0, 1 if place.rank == 0 else 0, 1)
    world = devices * nodes
    if place.per_node == 1:
        return Share(place.node * devices, devices if place.node < nodes else 0, world, place.node, 0, devices)
    if place.per_node != devices:
        remedy = f"start 1 on each machine, or {devices}"
        raise ConfigError(f"{wanted}: the job starts {place.per_node} commands on each machine; {remedy}")
    first, count = place.node * devices + place.local, 1 if place.node < nodes else 0
    return Share(first, count, world, place.node, place.local, devices)


def forget_place() -> None:
    """Remove the variables of this command's place: a process that it starts has another."""
    for name in [name for name in os.environ if OURS.match(name)]:
        del os.environ[name]
