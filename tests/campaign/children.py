"""Commands in processes forked from one that has imported everything: hundreds of starts cost little.

The parent computes nothing, because a process that is forked after a search of FAISS hangs in its own.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import select
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import NoReturn

import rag_lightning
from rag_lightning.core.console import QUIET

LIBRARIES = (
    "torch",
    "transformers",
    "pytorch_lightning",
    "faiss",
    "bm25s",
    "mlflow",
    "optuna.storages",
    "optuna_dashboard",
)
PATIENCE = 300.0
"""Seconds after which a child counts as hanging."""
MEMORY = 8 << 30
"""Bytes of address space beyond what the parent has, for a command that reads damaged files."""
CRASH = 70
"""Exit code of a child that an exception of no typed kind ended."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (None if a signal ended it), the signal, and what it printed."""

    code: int | None
    signal: int
    out: str
    err: str
    cpu: float = 0.0
    hung: bool = False

    @property
    def traceback(self) -> bool:
        """Whether something else than a line of an error was printed at its end."""
        return self.code == CRASH or "Traceback (most recent call last)" in self.err

    @property
    def crashed(self) -> bool:
        """Whether the process died of itself."""
        return bool(self.signal) and self.signal not in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

    @property
    def last(self) -> str:
        """The last line of what went wrong."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1][:400] if lines else ""


def preload() -> None:
    """Import everything a command may import; libraries read how quiet they are to be when they are imported."""
    os.environ.update(QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            with suppress(ImportError):
                importlib.import_module(name)
        for module in pkgutil.walk_packages(rag_lightning.__path__, "rag_lightning."):
            with suppress(ImportError):  # an extra that is not installed
                importlib.import_module(module.name)
    import torch

    torch.set_num_threads(1)


class Child:
    """A command in a process group of its own; what it prints is in two files of a folder."""

    def __init__(self, work: Callable[[], int], place: Path, memory: int = 0) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place, self.begun = place, monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _live(work, place, memory)
        self.file = os.pidfd_open(self.pid)

    def cpu(self) -> float:
        """Seconds of CPU so far; 0 where it has ended."""
        with suppress(OSError, IndexError, ValueError):
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end; returns whether it has ended."""
        return bool(select.select([self.file], [], [], max(0.0, seconds))[0])

    def ends_before(self, seconds: float) -> bool:
        """Let it work for some seconds of CPU; returns whether it has ended before."""
        while self.cpu() < seconds:
            if self.ends_within(0.02):
                return True
        return False

    def send(self, number: int) -> None:
        """Send a signal, SIGKILL to the whole group."""
        with suppress(ProcessLookupError):
            (os.killpg if number == signal.SIGKILL else os.kill)(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Wait for its end, which is forced after some seconds."""
        hung = not self.ends_within(seconds)
        if hung:
            self.send(signal.SIGKILL)
        _, status, used = os.wait4(self.pid, 0)
        os.close(self.file)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # workers that it left
        code = os.waitstatus_to_exitcode(status)
        out, err = (_text(self.place / name) for name in ("out", "err"))
        return Ended(code if code >= 0 else None, max(0, -code), out, err, used.ru_utime + used.ru_stime, hung)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="backslashreplace") if path.exists() else ""


def command(words: Sequence[str]) -> Callable[[], int]:
    """The work of a command line."""

    def work() -> int:
        from rag_lightning.cli import main

        sys.argv = ["rag-lightning", *words]  # and no arguments, so that it ends as the program does
        return main()

    return work


def run(words: Sequence[str], place: Path, seconds: float = PATIENCE) -> Ended:
    """Run a command to its end."""
    return Child(command(words), place).wait(seconds)


def run_to_end(words: Sequence[str], place: Path, seconds: float = PATIENCE) -> None:
    """Run a command that must end well."""
    ended = run(words, place, seconds)
    if ended.code:
        raise AssertionError(f"{' '.join(words)}: {ended.err}")


def program(words: Sequence[str]) -> Callable[[], int]:
    """The work of a command line by a new interpreter, with all its imports."""

    def work() -> NoReturn:
        os.environ["PYTHONPATH"] = str(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "rag_lightning", *words])

    return work


def _live(work: Callable[[], int], place: Path, memory: int) -> NoReturn:
    """The life of a child."""
    code = CRASH
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            made = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(made, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if memory:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + memory, size + memory))
        code = work()
        threading._shutdown()  # type: ignore[attr-defined]  # as at the end of a program
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else CRASH
    except BaseException:  # noqa: BLE001  # that is what is looked for
        traceback.print_exc()
        code = CRASH
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
