"""Output to the user, on stderr: one line per stage, transient progress bars; tables are in core/tables.py.

--verbose shows details, which the manifests of artifacts also keep. If stderr is not a terminal there are no bars and
no colours, and a stage that takes long prints a line that it is running.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text
from tqdm import tqdm

from rag_lightning.core.errors import Terminated
from rag_lightning.core.plain import visible
from rag_lightning.core.redact import redact

WIDTH = 100
"""Largest width of a line, unless it has a path."""
LONG = 20.0
"""Seconds after which a running stage gets a line, and a finished stage gets one beside a table."""
PARTS = ("rankings", "predictions", "scores", "cost")
"""Kinds of artifacts whose result is a row of a table."""
VERBOSE = "RAG_LIGHTNING_VERBOSE"
"""Environment variable that --verbose sets, so that child processes show details too."""
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Environment variables that keep libraries silent; they are read when a library is imported."""
SIGNALS = {KeyboardInterrupt: signal.SIGINT, Terminated: signal.SIGTERM}
AGAIN = 0.01
"""Seconds after which a signal is sent again that Python has swallowed."""
CLEARED = "\r\x1b[K"
"""Empties the line, also of the ^C that a terminal echoes behind a bar."""
CONSOLE = Console(stderr=True, highlight=False)
Say = Callable[[str], None]
_within: list[str] = []
_working: list[str] = []
_said: set[str] = set()


def say(message: str) -> None:
    """Show a line to the user; beside a table, the same text only once."""
    if _within and message in _said:
        return
    _said.add(message)
    write(redact(message))


def detail(message: str) -> None:
    """Show a line with --verbose only."""
    if is_verbose():
        write(redact(message), "dim")


def ignore(message: str) -> None:
    """Show nothing; for all processes but the first."""


def write(text: str, style: str = "", then: str = "") -> None:
    """Print a line above the bars, without wrapping, as it is: no markup, no control characters, no direction marks.

    Args:
        text: The line.
        style: Its style, as rich names it.
        then: What follows on the line in the ordinary style.
    """
    with tqdm.external_write_mode(file=sys.stderr):
        CONSOLE.print(Text.assemble((visible(text), style), visible(then)), soft_wrap=True)


def is_verbose() -> bool:
    """Whether details are shown."""
    return bool(os.environ.get(VERBOSE))


def is_terminal() -> bool:
    """Whether stderr is a terminal, which can show bars."""
    return sys.stderr.isatty()


@contextmanager
def opened(verbose: bool) -> Iterator[None]:
    """The console of one command: turns SIGTERM into an exception, and removes all bars at the end."""
    changed = {VERBOSE: "1"} if verbose else {} if is_verbose() else QUIET
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update({name: value for name, value in changed.items() if before[name] is None})
    _said.clear()
    handler, hook = _take_sigterm(), sys.unraisablehook
    sys.unraisablehook = partial(_send_again, hook)
    try:
        yield
    finally:
        for bar in list(getattr(tqdm, "_instances", ())):
            bar.leave = False
            bar.close()
        if is_terminal():
            sys.stderr.write(CLEARED)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
        sys.unraisablehook = hook
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _take_sigterm() -> Any:
    """Turn SIGTERM into an exception if it has no handler; returns the previous handler, None if unchanged."""
    if threading.current_thread() is not threading.main_thread():
        return None
    before = signal.getsignal(signal.SIGTERM)
    if before != signal.SIG_DFL:
        return None
    signal.signal(signal.SIGTERM, _terminate)
    return before


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _send_again(hook: Callable[[Any], Any], swallowed: Any) -> None:
    """Send a signal again whose exception Python has swallowed: raised in the callback of a weak reference, say."""
    number = SIGNALS.get(swallowed.exc_type)
    if number is None:
        hook(swallowed)
        return
    again = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
    again.daemon = True
    with suppress(RuntimeError):  # Python is ending
        again.start()


@contextmanager
def within(title: str) -> Iterator[None]:
    """Work on one row of a table: short stages are shown with --verbose only, and bars begin with the title."""
    _within.append(title)
    try:
        yield
    finally:
        _within.pop()


def duration(seconds: float) -> str:
    """A duration in words.

    >>> [duration(seconds) for seconds in (0.21, 41.6, 482, 7500)]
    ['0.2 s', '42 s', '8 min 02 s', '2 h 05 min']
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def time_left(seconds: Sequence[float], count: int, workers: int = 1) -> str:
    """Estimated time of `count` more items by `workers` at once, from the mean of the finished ones; empty for 0."""
    return duration(count * sum(seconds) / len(seconds) / min(workers, count)) if count else ""


@dataclass(frozen=True)
class StageLines:
    """The lines of an artifact store: one per stage, when it is finished or reused.

    Args:
        say: Shows a line.
        detail: Shows a line to a user who asked for details.
    """

    say: Say = ignore
    detail: Say = ignore

    @contextmanager
    def working(self, kind: str, digest: str) -> Iterator[None]:
        """Context of the work on an artifact; without a terminal, long work prints a line that it is running."""
        self.detail(f"{kind:<17} started  {digest}")
        _working.append(kind)
        slow = threading.Timer(LONG, self.say, [f"{kind:<17} running …"])
        slow.daemon = True
        if not is_terminal() and not (_within and kind in PARTS):
            slow.start()
        try:
            yield
        finally:
            slow.cancel()
            _working.remove(kind)

    def finished(self, kind: str, info: Mapping[str, Any], seconds: float) -> None:
        """Show that an artifact was built; beside a table only if it took long and is shared by several rows."""
        tell = self.detail if _within and (kind in PARTS or seconds < LONG) else self.say
        tell(f"{kind:<17} {summary(kind, info):<48} {duration(seconds):>12}")

    def reused(self, kind: str, digest: str, info: Mapping[str, Any]) -> None:
        """Show that an artifact is reused."""
        known = summary(kind, info)
        tell = self.detail if _within else self.say
        tell(f"{kind:<17} reused{f' ({known})' if known else ''}" + (f"  {digest}" if is_verbose() else ""))


COUNTED = {
    "passages": "passages",
    "steps": "steps",
    "ntotal": "passages",
    "questions": "questions",
    "examples": "questions",
}
"""Counts in the info of an artifact -> unit; the first one that exists is shown."""


def summary(kind: str, info: Mapping[str, Any]) -> str:
    """The content of an artifact in a few words: its variant, its counts, and how many examples were dropped.

    Args:
        kind: The artifact's kind.
        info: Facts that its stage recorded.
    """
    parts = [str(info[name]) for name in ("formulation", "kind") if info.get(name, kind) != kind]
    counted = [(name, unit) for name, unit in COUNTED.items() if name in info]
    counts = {unit: info[name] for name, unit in counted[:1]} | dict(info.get("counts", {}))
    left_out = info.get("dropped", 0) + info.get("left_out", 0)
    counts |= {"dropped": left_out} if left_out else {}
    return ", ".join([*parts, *(f"{count:,} {what}" for what, count in counts.items())])


T = TypeVar("T")


def bar_title(what: str) -> str:
    """The title of a bar: the current row of the table, or the stage, and the work."""
    return ": ".join([*(_within[-1:] or _working), what])


def bar_width() -> int:
    """Columns of a bar: a Ctrl-C that the terminal echoes behind it must not begin a new line."""
    return min(WIDTH, shutil.get_terminal_size().columns - 4)


def _bar(what: str, unit: str, items: Iterable[T] | None = None, total: int | None = None) -> Any:
    settings = {"unit": f" {unit}", "mininterval": 0.5, "ncols": bar_width(), "leave": False}
    return tqdm(items, desc=bar_title(what), total=total, file=sys.stderr, disable=not is_terminal(), **settings)


@contextmanager
def progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A transient bar with rate and time left; yields a function to call with (done, total)."""
    bar = _bar(what, unit)

    def update(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield update
    finally:
        bar.close()


def counted(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items, with a transient bar; without a total it shows no time left."""
    yield from _bar(what, unit, items, total)
