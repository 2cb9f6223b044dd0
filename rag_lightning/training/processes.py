"""Several processes that work together: those that this command starts, of one machine or of each of several.

Lightning's own launchers do not fit: `ddp` runs the command line anew in every process, where it would wait for the
artifact's lock that the first one holds; `ddp_spawn` sends the module by pickle, and with it a copy of all vectors. So
the command that holds the lock starts the ranks, each of which opens the artifacts itself (memory-mapped, shared by the
processes of a machine), and waits. They are spawned, never forked, because faiss does not survive a fork. Commands of
other machines start their own (`job.py`).

Processes of a training exchange results by `gather_items`; others share nothing and may die (`launch_each`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, ProcessRaisedException, start_processes

from rag_lightning.core import errors
from rag_lightning.core.devices import named_memory
from rag_lightning.core.errors import ConfigError, DataError, RagLightningError, Terminated, TrainingError
from rag_lightning.core.files import write_json
from rag_lightning.core.hardware import cpu_count
from rag_lightning.core.places import Share, forget_place

PROBLEM = "problem-rank{rank}.json"
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""Messages of a process whose peer died."""
LOCAL = "127.0.0.1"
LESS_MEMORY = "lower decoding.pairs_per_batch or encoder.tokens_per_batch, or use device=cpu"
PAUSE = 0.5
"""Seconds between two looks at what else could end the work."""
Failure = ProcessExitedException | ProcessRaisedException


def free_port() -> int:
    """A free TCP port of this machine."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Group:
    """Processes that work together.

    Args:
        share: Those that this command starts.
        device: Class of the devices: cpu, cuda or mps.
        address: Address of the machine of rank 0.
        port: Port there, where the processes of a training meet.
    """

    share: Share
    device: str = "cpu"
    address: str = LOCAL
    port: int = field(default_factory=free_port)


def group_of(count: int) -> Group:
    """So many processes of this machine."""
    return Group(Share(0, count, count, together=count))


def nothing() -> None:
    """Nothing else can end the work."""


def launch(
    work: Callable[..., None],
    group: Group,
    arguments: tuple[Any, ...],
    folder: Path,
    watch: Callable[[], None] = nothing,
) -> None:
    """Run `work(rank, *arguments)` in new processes and wait; if one fails, or SIGTERM ends this one, all end.

    Args:
        work: A function of a module; a distributed Trainer inside it finds the others.
        group: The processes.
        arguments: Picklable.
        folder: Folder in which processes write why they failed.
        watch: Called again and again while they work; what it raises ends them.

    Raises:
        RagLightningError: what the first process to fail raised.
        TrainingError: a process died (killed, out of memory).
        Terminated: SIGTERM; the processes have ended when it is raised.
    """
    _forget_problems(group.share, folder)
    given = (0, group, work, arguments, folder)
    context = start_processes(_run, given, group.share.count, join=False, start_method="spawn")  # type: ignore[no-untyped-call]
    try:
        with raise_on_sigterm():
            while not context.join(timeout=PAUSE):
                watch()
    except (ProcessExitedException, ProcessRaisedException) as error:
        raise _problem(error, error.error_index, group.share, folder) from error
    finally:
        _end(context)


def launch_each(
    work: Callable[..., None],
    group: Group,
    arguments: tuple[Any, ...],
    folder: Path,
    watch: Callable[[], None] = nothing,
) -> list[str]:
    """As `launch`, for processes that share nothing: those left go on when one dies.

    Returns:
        Why processes died, a line each.

    Raises:
        RagLightningError: what a process raised, as of a configuration that none of them can work with.
        Terminated: SIGTERM; the processes have ended when it is raised.
    """
    _forget_problems(group.share, folder)
    running: dict[int, Any] = {}
    lost = []
    try:
        with raise_on_sigterm():
            for index in range(group.share.count):
                given = (index, group, work, arguments, folder)
                running[index] = start_processes(_run, given, 1, join=False, start_method="spawn")  # type: ignore[no-untyped-call]
            while running:
                watch()
                for index, context in list(running.items()):
                    try:
                        ended = context.join(timeout=PAUSE / len(running))
                    except (ProcessExitedException, ProcessRaisedException) as error:
                        problem = _problem(error, index, group.share, folder)
                        if isinstance(problem, RagLightningError) and not isinstance(problem, TrainingError):
                            raise problem from error
                        lost.append(f"process {group.share.first + index + 1} is gone: {_last_line(error)}")
                        ended = True
                    if ended:
                        del running[index]
    finally:
        for context in running.values():
            _end(context)
    return lost


def _end(context: ProcessContext) -> None:
    for process in context.processes:
        if process.is_alive():
            process.kill()  # on a softer signal Lightning asks the others, which may be gone
            process.join()


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise Terminated inside the block, so that child processes can be ended first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(
    index: int, offset: int, group: Group, work: Callable[..., None], arguments: tuple[Any, ...], folder: Path
) -> None:
    """The life of one process; Lightning reads its place among the others from the environment."""
    forget_place()
    share = group.share
    local, rank = share.local + offset + index, share.first + offset + index
    place = {"MASTER_ADDR": group.address, "MASTER_PORT": group.port, "NODE_RANK": share.node, "LOCAL_RANK": local}
    os.environ.update({name: str(value) for name, value in {**place, "WORLD_SIZE": share.world}.items()})
    try:
        _take_device(group.device, local, share.together)
        with named_memory(LESS_MEMORY):
            work(rank, *arguments)
    except RagLightningError as error:
        write_json(folder / PROBLEM.format(rank=rank), {"type": type(error).__name__, "message": str(error)})
        raise


def _take_device(kind: str, local: int, together: int) -> None:
    """The GPU of this process, or its part of the cores, unless the user has set the threads.

    Raises:
        ConfigError: the machine has fewer GPUs than processes.
    """
    if kind != "cuda":
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, cpu_count() // together))
        return
    if torch.cuda.device_count() < together:
        raise ConfigError(f"devices={together}: this machine has {torch.cuda.device_count()} GPUs; lower it")
    torch.cuda.set_device(local)


def _forget_problems(share: Share, folder: Path) -> None:
    for rank in range(share.first, share.first + share.count):
        (folder / PROBLEM.format(rank=rank)).unlink(missing_ok=True)


def _problem(error: Failure, index: int, share: Share, folder: Path) -> RagLightningError | ProcessRaisedException:
    """The error to raise: the one that a process wrote down, or that a process died."""
    written: RagLightningError | None = None
    for rank in reversed(range(share.first, share.first + share.count)):
        file = folder / PROBLEM.format(rank=rank)
        if file.exists():
            written = error_of(json.loads(file.read_text(encoding="utf-8")))
            file.unlink()
    if written is not None:
        return written
    if isinstance(error, ProcessRaisedException) and not any(words in str(error) for words in LOST):
        return error
    return TrainingError(
        f"process {share.first + index + 1} of {share.world} that trained together is gone, or its connection is: "
        f"{_last_line(error)}; run again to go on from the resume point"
    )


def error_of(left: dict[str, str]) -> RagLightningError:
    """The error that a process wrote down as its `type` and `message`."""
    kind = RagLightningError if left["type"] == DataError.__name__ else getattr(errors, left["type"])
    made: RagLightningError = kind(left["message"])
    return made


def _last_line(error: Failure) -> str:
    return str(error).strip().splitlines()[-1]


T = TypeVar("T")


def gather_items(own: Sequence[T]) -> list[T]:
    """The items of all processes, those of process 0 first; every process must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return list(own)
    parts: list[list[T]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, list(own))
    return [item for part in parts for item in part]
