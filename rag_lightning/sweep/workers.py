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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import optuna
from optuna.trial import FrozenTrial

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core import console, errors
from rag_lightning.core.errors import DataError, RagLightningError, TrainingError
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
MOST_BARREN = 3
"""Workers in a row that end before they claim a trial, after which the sweep ends."""
PROBLEM_CODE = 3
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Worker:
    """A worker process with the connection that it sends messages on."""

    process: SpawnProcess
    link: Connection

    @property
    def name(self) -> str:
        """Its name in the study."""
        return studies.worker_name(self.process.pid)


def search_in_processes(space: Space, study: optuna.Study, show: Callable[[], None]) -> None:
    """Evaluate points in `workers` processes until the budget is used.

    Args:
        space: Search space.
        study: Its study.
        show: Called about once a second, to show finished trials.

    Raises:
        RagLightningError: an error that would fail every trial, or workers that end before they claim one.
    """
    config, barren = space.config, 0
    missing = space.budget - len(studies.read_progress(space, study).values)
    workers: list[Worker] = []
    try:
        for _ in range(min(config.workers, max(1, missing))):
            workers.append(_start(config))
        while workers:
            wait([*(one.process.sentinel for one in workers), *(one.link for one in workers)], timeout=POLL)
            for worker in list(workers):
                ended = not worker.process.is_alive()
                _forward(worker)
                reason = _lost(worker) if ended else ""
                if not ended and is_late(config, study, worker.name):
                    reason = late_reason(config)
                if not ended and not reason:
                    continue
                workers.remove(worker)
                if reason:
                    _stop([worker])
                    barren = 0 if close_trials(space, study, worker.name, reason) else barren + 1
                    if barren == MOST_BARREN:
                        raise TrainingError(f"{barren} workers ended before they claimed a trial: {reason}")
                    workers.append(_start(config))
            show()
    finally:
        _stop(workers)
        for worker in workers:
            close_trials(space, study, worker.name, INTERRUPTED)
    show()


def close_trials(space: Space, study: optuna.Study, worker: str, reason: str) -> int:
    """Fail the open trials of a worker that is gone, found by the end of its name; returns their number."""
    found = trials_of(study, worker)
    for trial in found:
        if reason != INTERRUPTED:
            record_loss(space.config, space.system_of(trial.params), reason)
        close(study, trial.number, reason)
    return len(found)


def trials_of(study: optuna.Study, worker: str) -> list[FrozenTrial]:
    """The open trials of a worker, found by the end of its name."""
    return [trial for trial in running_trials(study) if trial.user_attrs.get(WORKER, "").endswith(worker)]


def is_late(config: SweepConfig, study: optuna.Study, worker: str) -> bool:
    """Whether the trial of a worker has exceeded its time limit."""
    if not config.trial_seconds:
        return False
    starts = [trial.datetime_start for trial in trials_of(study, worker) if trial.datetime_start]
    return any((datetime.now() - start).total_seconds() > config.trial_seconds for start in starts)


def _start(config: SweepConfig) -> Worker:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(config, sender, console.is_verbose()), name="rag-lightning worker")
    with _ignoring_interrupts(), _threads(config.workers):
        process.start()
    sender.close()
    return Worker(process, receiver)


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


def _forward(worker: Worker) -> None:
    """Show the lines of a worker, each text once.

    Raises:
        RagLightningError: the error that ended the worker.
    """
    try:
        while worker.link.poll():
            kind, *content = worker.link.recv()
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


def _lost(worker: Worker) -> str:
    """Why an ended worker did not end by itself; empty if it did."""
    code = worker.process.exitcode or 0
    if code < 0:
        return f"worker lost ({signal.Signals(-code).name})"
    return f"worker lost (exit code {code})" if code else ""


def late_reason(config: SweepConfig) -> str:
    """The reason of a trial that exceeded its time limit."""
    return f"took longer than trial_seconds={config.trial_seconds:g}"


def _stop(workers: list[Worker]) -> None:
    """End processes: softly, so that they leave no temporary files, then for certain."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + SOFT
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.link.close()


def _work(config: SweepConfig, link: Connection, verbose: bool) -> None:
    """The life of a worker process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
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
    """
    build_apart(config)
    space = open_space(config)
    return search(space, open_study(space), partial(evaluate_trial, config), tag=tag)


def _end_with_parent() -> None:
    """Wait for the end of the command, and end at once: another command may close and claim the trial of this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


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
