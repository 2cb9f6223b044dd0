"""Several processes that train together, on one machine.

Lightning's own launchers do not fit: `ddp` runs the command line anew in every process, where it would wait for the
artifact's lock that the first one holds; `ddp_spawn` sends the module by pickle, and with it a copy of all vectors. So
the process that holds the lock starts the ranks, each of which opens the artifacts itself (memory-mapped, shared), and
waits. The processes are spawned, never forked, because faiss does not survive a fork.

They exchange results by `gather_items`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from rag_lightning.core import errors
from rag_lightning.core.errors import DataError, RagLightningError, Terminated, TrainingError
from rag_lightning.core.files import write_json

PROBLEM = "problem-rank{rank}.json"
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""Messages of a process whose peer died."""


def launch(work: Callable[..., None], count: int, arguments: tuple[Any, ...], folder: Path) -> None:
    """Run `work(rank, *arguments)` in `count` new processes and wait; if one fails, or SIGTERM ends this one, all end.

    Args:
        work: A function of a module; a distributed Trainer inside it finds the others.
        count: Number of processes.
        arguments: Picklable.
        folder: Folder in which processes write why they failed.

    Raises:
        RagLightningError: what the first process to fail raised.
        TrainingError: a process died (killed, out of memory).
        Terminated: SIGTERM; the processes have ended when it is raised.
    """
    for rank in range(count):
        (folder / PROBLEM.format(rank=rank)).unlink(missing_ok=True)
    given = (count, free_port(), work, arguments, folder)
    context = start_processes(_run, given, count, join=False, start_method="spawn")  # type: ignore[no-untyped-call]
    try:
        with raise_on_sigterm():
            while not context.join():
                pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        raise _problem(error, count, folder) from error
    finally:
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


def _run(rank: int, count: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...], folder: Path) -> None:
    """The life of one process; Lightning reads its place among the others from the environment."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": 0, "LOCAL_RANK": rank, "WORLD_SIZE": count}
    os.environ.update({name: str(value) for name, value in place.items()})
    try:
        work(rank, *arguments)
    except RagLightningError as error:
        write_json(folder / PROBLEM.format(rank=rank), {"type": type(error).__name__, "message": str(error)})
        raise


def _problem(
    error: ProcessExitedException | ProcessRaisedException, count: int, folder: Path
) -> RagLightningError | ProcessRaisedException:
    """The error to raise: the one that a process wrote down, or that a process died."""
    written: RagLightningError | None = None
    for rank in reversed(range(count)):
        file = folder / PROBLEM.format(rank=rank)
        if file.exists():
            left = json.loads(file.read_text(encoding="utf-8"))
            kind = RagLightningError if left["type"] == DataError.__name__ else getattr(errors, left["type"])
            written = kind(left["message"])
            file.unlink()
    if written is not None:
        return written
    if isinstance(error, ProcessRaisedException) and not any(words in str(error) for words in LOST):
        return error
    return TrainingError(
        f"process {error.error_index + 1} of {count} that trained together is gone, or its connection is: "
        f"{str(error).strip().splitlines()[-1]}; run again to go on from the resume point"
    )


def free_port() -> int:
    """A free TCP port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


T = TypeVar("T")


def gather_items(own: Sequence[T]) -> list[T]:
    """The items of all processes, those of process 0 first; every process must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return list(own)
    parts: list[list[T]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, list(own))
    return [item for part in parts for item in part]
