"""One job of several commands, each on a machine (or device) of its own: the first leads, the others work for it.

All are the same command line, started by srun, torchrun or hand (core/places.py). The first one runs it as if alone;
whenever its stages come to work that is shared (work.py), it names this work to the others, which otherwise wait. They
meet in a store of torch.distributed on the first machine; files are exchanged by the folder of the experiment, which
the machines share. What is sent is JSON: names of works, configurations and numbers, no code and no pickle.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from rag_lightning import __version__
from rag_lightning.config.fields import to_dict
from rag_lightning.config.loading import experiment_of
from rag_lightning.core.background import within
from rag_lightning.core.console import detail
from rag_lightning.core.devices import device_class
from rag_lightning.core.errors import JobError, RagLightningError
from rag_lightning.core.places import Place, Share, share_of
from rag_lightning.training.processes import Group, error_of, free_port, nothing
from rag_lightning.training.work import Work, check_alike, check_devices, device_names

JOINED = 300
"""Seconds that the commands wait for each other at the beginning; torch, with more lines, would wait longer."""
SILENT = 60
"""Seconds without a sign after which the command of another machine counts as gone."""
SEEN = 30
"""Seconds until a folder made on one machine must be seen on another."""
FAREWELL, IDLE = 10, 0.2
LED = "the command on the first machine has failed; see its message"


def work_together(work: Work) -> list[str]:
    """Run shared work on this machine, or on those of the job; returns why processes were lost.

    Raises:
        ConfigError: more machines than the job has.
        JobError: machines that do not fit together, or one that is gone.
        RagLightningError: what a process raised.
    """
    if Job.current is not None:
        return Job.current.lead(work)
    share = share_of(None, work.devices, work.nodes, work.setting)
    check_devices(work.kind)
    return work.start(Group(share, work.kind), nothing)


def check_started(devices: int, nodes: int, setting: str) -> None:
    """Raise ConfigError, before anything is built, unless this command or its job has so many machines."""
    share_of(Job.current.place if Job.current else None, devices, nodes, setting)


class Job:
    """The commands of one job, as seen by one of them.

    Attributes:
        current: The job of this process, if it leads one.

    Raises:
        JobError: the first command cannot be reached; by every method.
    """

    current: ClassVar[Job | None] = None

    def __init__(self, place: Place, device: str = "auto") -> None:
        self.place = place
        self._beats, self._works = 0, 0
        self._seen: dict[int, tuple[str, float]] = {}
        self._lost: set[int] = set()
        self._others: list[dict[str, Any]] = []
        with self._asking():
            wait, leads = timedelta(seconds=JOINED), place.rank == 0 and not place.hosted
            given = place.address, place.port, None, leads, 2 * wait
            store = within(JOINED, lambda: TCPStore(*given, wait_for_workers=False))
            store.set_timeout(wait)
            self._store = PrefixStore(f"rag-lightning/{place.attempt}", store)
            names = sorted(set(device_names(device_class(device))))
            own = {"host": socket.gethostname(), "version": __version__, "torch": torch.__version__, "node": place.node}
            self._store.set(f"hello/{place.rank}", json.dumps(own | {"device": " and ".join(names)}))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, TimeoutError) as error:
            said = str(error).strip().splitlines() or [f"no answer in {JOINED} s; check MASTER_ADDR, MASTER_PORT"]
            job = f"job of {self.place.commands} commands at {self.place.address}:{self.place.port}"
            who = "the first command is gone, or does not answer" if self.place.rank else "the others do not answer"
            who = "the port is in use; set another MASTER_PORT" if "EADDRINUSE" in str(error) else who
            raise JobError(f"{job}: {who} ({said[0][:120]})") from error

    def lead(self, work: Work) -> list[str]:
        """Run shared work on the machines of the job; see `work_together`."""
        self._meet()
        number = self._works = self._works + 1
        others = [r for r, one in enumerate(self._others) if r and one["node"] < work.nodes and r not in self._lost]
        if (work.devices, work.nodes) == (1, 1):
            others = []
        task: dict[str, Any] = {
            "work": work.name,
            "config": to_dict(replace(work.config, tracking_uri="")),
            "folder": str(work.folder),
            "values": dict(work.values),
            "wanted": [work.devices, work.nodes],
            "alone": work.alone,
            "commands": [0, *others],
            "port": free_port(),
        }
        with self._asking():
            self._store.set(f"work/{number}", json.dumps(task))
        group = Group(self._share(work, task["commands"]), work.kind, self.place.address, task["port"])
        self._seen = dict.fromkeys(others, ("", time.monotonic()))
        results: dict[int, list[str]] = {}
        try:
            found = work.start(group, lambda: self._watch(number, work, results))
            while len(results) < len(others):
                self._watch(number, work, results)
                time.sleep(IDLE)
        except (RagLightningError, SystemExit, KeyboardInterrupt) as error:
            self._stop(number, error, others, results)
            raise
        return found + [line for lines in results.values() for line in lines]

    def _share(self, work: Work, commands: Sequence[int]) -> Share:
        """The processes of this command; where some are lost, those left are numbered anew."""
        share = share_of(self.place, work.devices, work.nodes, work.setting)
        if not work.alone:
            return share
        first = list(commands).index(self.place.rank) * share.count
        return replace(share, first=first, world=len(commands) * share.count)

    def _meet(self) -> None:
        """Wait for all commands at the first shared work."""
        if not self._others:
            with self._asking():
                said = [self._store.get(f"hello/{rank}") for rank in range(self.place.commands)]
            self._others = [json.loads(one) for one in said]
            check_alike(self._others)

    def _watch(self, number: int, work: Work, results: dict[int, list[str]]) -> None:
        """Look at the others: what they have done, and whether they live.

        Raises:
            JobError: one is gone that the work needs.
            RagLightningError: what a process of another raised.
        """
        for rank, (beat, since) in list(self._seen.items()):
            if rank in results:
                continue
            with self._asking():
                ended = self._store.check([f"done/{number}/{rank}"])
                said = json.loads(self._store.get(f"done/{number}/{rank}")) if ended else {}
                now = self._store.get(f"beat/{rank}").decode() if self._store.check([f"beat/{rank}"]) else ""
            if "type" in said:
                raise error_of(said)
            if ended:
                results[rank] = said["lost"]
            elif now != beat:
                self._seen[rank] = now, time.monotonic()
            elif time.monotonic() - since > SILENT:
                problem = f"the command on {self._others[rank]['host']} is gone: no sign of it for {SILENT} s"
                if not work.alone:
                    raise JobError(f"{problem}; run again to go on from the resume point")
                self._lost.add(rank)
                results[rank] = [problem]

    def _stop(self, number: int, error: BaseException, others: Sequence[int], results: Mapping[int, list[str]]) -> None:
        """End the processes of the others; raise what one of them raised first, if it says more."""
        with self._asking():
            self._store.set(f"stop/{number}", "")
            until = time.monotonic() + FAREWELL * isinstance(error, RagLightningError)
            left = [rank for rank in others if rank not in results]
            while left and time.monotonic() < until:
                left = [rank for rank in left if not self._store.check([f"done/{number}/{rank}"])]
                time.sleep(IDLE)
            for rank in others:
                if self._store.check([f"done/{number}/{rank}"]):
                    said = json.loads(self._store.get(f"done/{number}/{rank}"))
                    if said.get("type") not in (None, "TrainingError", "JobError"):
                        raise error_of(said) from error

    def end(self, code: int) -> None:
        """Tell the others that the first command has ended, and wait until they know."""
        with self._asking():
            self._store.set("end", str(code))
            until = time.monotonic() + FAREWELL
            left = {rank for rank in range(1, self.place.commands) if rank not in self._lost}
            while left and time.monotonic() < until:
                left = {rank for rank in left if not self._store.check([f"bye/{rank}"])}
                time.sleep(IDLE / 4)

    def follow(self) -> None:
        """Work for the first command until it ends.

        Raises:
            JobError: it failed, or is gone.
        """
        detail(f"command {self.place.rank + 1} of {self.place.commands}: works for the first")
        number = 1
        while True:
            self._beat(0)
            with self._asking():
                called = self._store.check([f"work/{number}"])
                ended = not called and self._store.check(["end"])
            if called:
                self._take(number)
                number += 1
            elif ended:
                with self._asking():
                    code = int(self._store.get("end"))
                    self._store.set(f"bye/{self.place.rank}", "")
                if code:
                    raise JobError(LED)
                return
            else:
                time.sleep(IDLE)

    def _take(self, number: int) -> None:
        """Do the part of this command in shared work; what a process raised is told to the first command."""
        with self._asking():
            task = json.loads(self._store.get(f"work/{number}"))
        if self.place.rank not in task["commands"]:
            return
        try:
            config = experiment_of(task["config"], "the configuration of the first command")
            self._find(folder := Path(task["folder"]))
            devices, nodes = task["wanted"]
            work = Work(task["work"], config, folder, task["values"], devices, nodes, alone=task["alone"])
            group = Group(self._share(work, task["commands"]), work.kind, self.place.address, task["port"])
            said: dict[str, Any] = {"lost": work.start(group, lambda: self._beat(number))}
        except _Stopped:
            said = {"lost": []}
        except RagLightningError as error:
            if isinstance(error.__cause__, RuntimeError):  # the first command is gone: there is nobody to tell
                raise
            said = {"type": type(error).__name__, "message": str(error)}
        with self._asking():
            self._store.set(f"done/{number}/{self.place.rank}", json.dumps(said))

    def _beat(self, number: int) -> None:
        """Give a sign of life; raise _Stopped if this work has ended."""
        self._beats += 1
        with self._asking():
            self._store.set(f"beat/{self.place.rank}", str(self._beats))
            if number and self._store.check([f"stop/{number}"]):
                raise _Stopped

    def _find(self, folder: Path) -> None:
        until = time.monotonic() + SEEN
        while not folder.is_dir():
            self._beat(0)
            if time.monotonic() > until:
                raise JobError(
                    f"{socket.gethostname()} does not see {folder}: the machines of a job share the experiment's folder"
                )
            time.sleep(IDLE)


class _Stopped(Exception):
    """Other processes of this work have failed."""


def run_as_part(place: Place, device: str, command: Callable[[], None]) -> None:
    """Run a command as part of a job: the first of its commands as it is, any other as its helper.

    Args:
        place: Place of the command.
        device: Device of the configuration.
        command: What the first command does.

    Raises:
        JobError: the others cannot be reached, or, in another command, the first has failed.
    """
    job = Job(place, device)
    if place.rank:
        job.follow()
        return
    Job.current = job
    try:
        command()
    except BaseException:
        with suppress(JobError):
            job.end(1)
        raise
    finally:
        Job.current = None
    job.end(0)
