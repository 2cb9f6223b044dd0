"""Worker processes of a sweep: each claims trials from the study and evaluates them; the command watches over them.

Workers are spawned, never forked, because faiss does not survive a fork. What they evaluate is in the study, so that a
worker can be lost at any moment: its trial is failed, its point tried again, and a new worker takes its place.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core import console, errors
from rag_lightning.core.children import end_with_parent
from rag_lightning.core.errors import ConfigError, DataError, RagLightningError, TrainingError, disk_problem
from rag_lightning.core.hardware import cpu_count
from rag_lightning.sweep import study as studies
from rag_lightning.sweep.attributes import INTERRUPTED, WORKER
from rag_lightning.sweep.space import Space, open_space
from rag_lightning.sweep.storage import build_apart
from rag_lightning.sweep.study import close, open_study, running_trials, search
from rag_lightning.sweep.trial import evaluate_trial, record_loss

LINE, PROBLEM = "line", "problem"
POLL = 1.0
"""Seconds between two looks at the study."""
SOFT = 5.0
"""Seconds that a process may take to end after SIGTERM."""
MOST_BARREN, PROBLEM_CODE = 3, 3
"""Workers in a row that end before they claim a trial, after which the sweep ends; exit code of one with an error."""
MOST_A_CORE, WORKER_BYTES = 4, 0.7e9
"""Workers for each core of this machine, and memory of one with its libraries, before it opens a model."""
THREADS = "OMP_NUM_THREADS"


class Crew(ABC):
    """The workers of a sweep that run now, wherever they run.

    Attributes:
        config: The sweep.
        running: Worker -> the end of the name that its process has in the study.
    """

    def __init__(self, config: SweepConfig) -> None:
        self.config, self.running = config, dict[Any, str]()

    @abstractmethod
    def start(self) -> None:
        """Start a worker."""

    @abstractmethod
    def wait(self) -> dict[Any, str]:
        """Wait about a second; returns the ended workers -> why they are lost, empty if they ended by themselves.

        Raises:
            RagLightningError: the error that ended a worker.
        """

    @abstractmethod
    def stop(self, workers: Sequence[Any]) -> None:
        """End workers, and wait until they have ended."""


def search_with(crew: Crew, space: Space, study: optuna.Study, show: Callable[[], None]) -> None:
    """Evaluate points in `workers` workers until the budget is used; a lost or late worker is replaced.

    Args:
        crew: Workers, none of which runs.
        space: Search space.
        study: Its study.
        show: Called about once a second, to show finished trials.

    Raises:
        RagLightningError: an error that would fail every trial, or workers that end before they claim one.
    """
    config, barren = space.config, 0
    missing = space.budget - len(studies.read_progress(space, study).values)
    try:
        for _ in range(min(config.workers, max(1, missing))):
            crew.start()
        while crew.running:
            ended = crew.wait()
            late = [one for one, name in crew.running.items() if one not in ended and _is_late(config, study, name)]
            crew.stop(late)
            limit = f"took longer than trial_seconds={config.trial_seconds:g}"
            for worker, reason in (ended | dict.fromkeys(late, limit)).items():
                name = crew.running.pop(worker)
                if reason:
                    barren = 0 if _close_trials(space, study, name, reason) else barren + 1
                    if barren == MOST_BARREN:
                        raise TrainingError(f"{barren} workers ended before they claimed a trial: {reason}")
                    crew.start()
            show()
    finally:
        crew.stop(list(crew.running))
        for name in crew.running.values():
            _close_trials(space, study, name, INTERRUPTED)
    show()


def check_room(config: SweepConfig) -> None:
    """Raise ConfigError if the worker processes need more cores or memory than this machine has."""
    cores, free = cpu_count(), psutil.virtual_memory().available
    room = max(1, min(MOST_A_CORE * cores, int(free / WORKER_BYTES)))
    if config.engine == "process" and config.workers > room:
        raise ConfigError(
            f"workers={config.workers}: this machine has {cores} cores and {free / 1e9:.1f} GB of free memory, room "
            f"for {room} ({MOST_A_CORE} a core, {WORKER_BYTES / 1e9:g} GB each before any model); lower `workers`"
        )


def _close_trials(space: Space, study: optuna.Study, worker: str, reason: str) -> int:
    """Fail the open trials of a worker that is gone; returns their number."""
    found = _trials_of(study, worker)
    for trial in found:
        if reason != INTERRUPTED:
            record_loss(space.config, space.system_of(trial.params), reason)
        close(study, trial.number, reason)
    return len(found)


def _trials_of(study: optuna.Study, worker: str) -> list[FrozenTrial]:
    """The open trials of a worker, found by the end of its name."""
    return [trial for trial in running_trials(study) if trial.user_attrs.get(WORKER, "").endswith(worker)]


def _is_late(config: SweepConfig, study: optuna.Study, worker: str) -> bool:
    """Whether the trial of a worker has exceeded its time limit."""
    found = _trials_of(study, worker) if config.trial_seconds else []
    starts = [trial.datetime_start for trial in found if trial.datetime_start]
    return any((datetime.now() - start).total_seconds() > config.trial_seconds for start in starts)


class Processes(Crew):
    """Workers as processes of this machine."""

    def __init__(self, config: SweepConfig) -> None:
        super().__init__(config)
        self._links: dict[SpawnProcess, Connection] = {}

    def start(self) -> None:
        """Start a process."""
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        given = (self.config, sender, console.is_verbose())
        process = context.Process(target=_work, args=given, name="rag-lightning worker")
        with _ignoring_interrupts(), _threads(self.config.workers):
            process.start()
        sender.close()
        self.running[process], self._links[process] = studies.worker_name(process.pid), receiver

    def wait(self) -> dict[Any, str]:
        """As in the base class; shows what the processes print."""
        wait([*(one.sentinel for one in self.running), *self._links.values()], timeout=POLL)
        ended = [process for process in self.running if not process.is_alive()]
        for process in self.running:
            _forward(self._links[process])
        self.stop(ended)
        return {process: _lost(process) for process in ended}

    def stop(self, workers: Sequence[Any]) -> None:
        """End processes: softly, so that they leave no temporary files, then for certain."""
        for process in workers:
            process.terminate()
        deadline = time.monotonic() + SOFT
        for process in workers:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            if process in self._links:
                self._links.pop(process).close()


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """A Ctrl-C reaches all processes of a terminal; a process that is started inside the block ignores it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _threads(workers: int) -> Iterator[None]:
    """Share the cores among the workers that are started inside the block, unless the user has set the threads."""
    given = os.environ.get(THREADS)
    os.environ.setdefault(THREADS, str(max(1, (os.cpu_count() or 1) // workers)))
    try:
        yield
    finally:
        if given is None:
            del os.environ[THREADS]


def _forward(link: Connection) -> None:
    """Show the lines of a worker, each text once.

    Raises:
        RagLightningError: the error that ended the worker.
    """
    try:
        while link.poll():
            kind, *content = link.recv()
            if kind == PROBLEM:
                raise _rebuilt(*content)
            with console.within("trials"):
                console.say(content[0])
    except (EOFError, OSError):
        return  # the process is gone


def _rebuilt(name: str, message: str) -> RagLightningError:
    """The error of a worker; a DataError has other arguments, so that its message comes as that of the base class."""
    kind: type[RagLightningError] = RagLightningError if name == DataError.__name__ else getattr(errors, name)
    return kind(message)


def _lost(process: SpawnProcess) -> str:
    """Why an ended worker did not end by itself; empty if it did."""
    code = process.exitcode or 0
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"worker lost ({how})" if code else ""


def _work(config: SweepConfig, link: Connection, verbose: bool) -> None:
    """The life of a worker process."""
    threading.Thread(target=end_with_parent, daemon=True).start()  # another command may close and claim its trial
    sys.stderr = _Lines(link)
    with console.opened(verbose):
        try:
            work(config)
        except RagLightningError as error:
            link.send((PROBLEM, type(error).__name__, str(error)))
            sys.exit(PROBLEM_CODE)


def work(config: SweepConfig, tag: str = "") -> int:
    """Claim and evaluate trials until the budget is used; returns the number of evaluations.

    Args:
        config: The sweep.
        tag: Added to the name of this process in the study.

    Raises:
        RagLightningError: an error that would fail every trial, such as a full disk.
    """
    build_apart(config)
    space = open_space(config)
    try:
        return search(space, open_study(space), partial(evaluate_trial, config), tag=tag)
    except OSError as error:
        if error.errno not in errors.DISK_ERRORS:
            raise
        raise RagLightningError(disk_problem(error)) from error  # not a lost worker: it would fail every trial


class _Lines(io.TextIOBase):
    """The stderr of a worker: whole lines are sent to the command, which shows them between the rows of its table."""

    def __init__(self, link: Connection) -> None:
        self.link, self.rest = link, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.link.send((LINE, line))
        return len(text)

    def isatty(self) -> bool:
        return False
