"""SQLite files: checked before they are used, and opened with limits, since their content may be anybody's.

A file can hold triggers, views with queries that never end, and rows of any size; who reads it checks what is read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

HEAD = b"SQLite format 3\0"
"""Beginning of every SQLite file."""
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 64 << 20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 20,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}
"""Bytes of a value and of a statement, depth of an expression, attached files, and triggers that fire triggers."""
SETTINGS = ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0")
"""No function of a view or trigger runs that could do harm, damaged pages are found, and no file is mapped: one that is
cut while it is mapped would end the process."""
STEPS, LONGEST = 100_000, 60.0
"""Steps of SQLite's machine between two looks at the clock, and seconds that a statement may take."""
DEAF = 1.0
"""Seconds that SQLite waits at a time: it hears no signal while it does."""
REMEDIES = {
    "locked": "another program holds it: run again when that has ended",
    "readonly": "make it and its folder writable, then run again",
    "is full": "make room on the disk, then run again",
    "disk I/O": "check the disk, then run again",
    "unable to open": "make it and its folder writable, then run again",
}
"""Part of SQLite's message -> what to do; any other message is damage."""


class Connection(sqlite3.Connection):
    """A connection that is closed when nothing holds it any more, in whatever thread that is."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # one that was never opened
            self.close()


def connect(path: Path | None, wait: float, create: bool = True) -> sqlite3.Connection:
    """A connection with limits; transactions are begun by the caller.

    Args:
        path: The file; None for a database in memory.
        wait: Seconds to wait while another process writes.
        create: Create the file if it does not exist.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    address = f"file:{quote(str(path.resolve()))}?mode={'rwc' if create else 'rw'}" if path else ":memory:"
    db = sqlite3.connect(
        address, timeout=wait, isolation_level=None, check_same_thread=False, factory=Connection, uri=True
    )
    try:
        for limit, value in LIMITS.items():
            db.setlimit(limit, value)
        for setting in SETTINGS:
            db.execute(f"PRAGMA {setting}")
    except BaseException:  # Ctrl-C too
        db.close()
        raise
    return db


@contextmanager
def bounded(db: sqlite3.Connection, seconds: float = LONGEST) -> Iterator[None]:
    """Let what a connection does in the context take so many seconds; then it fails with `interrupted`."""
    until = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        yield
    finally:
        with suppress(sqlite3.ProgrammingError):  # Ctrl-C has closed it
            db.set_progress_handler(None, 0)


def problem_of(path: Path, wait: float) -> str:
    """Why a file cannot be written as a database, empty if it can: locked, read-only, damaged, or none.

    A file that is missing or empty becomes a database when it is used. Nothing is written.

    Args:
        path: The file.
        wait: Seconds to wait while another process writes; Ctrl-C ends the waiting.
    """
    until = time.monotonic() + wait
    while "locked" in (problem := _problem_now(path, min(wait, DEAF))) and time.monotonic() < until:
        pass
    return problem


def _problem_now(path: Path, wait: float) -> str:
    try:
        with path.open("rb") as handle:
            head = handle.read(len(HEAD))
    except FileNotFoundError:
        return ""
    except OSError as error:
        return str(error.strerror)
    if not head:
        return ""
    if head != HEAD:
        return "file is not a database"
    try:
        with closing(connect(path, wait, create=False)) as db, bounded(db):
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
            found = [str(text) for (text,) in db.execute("PRAGMA quick_check(1)")]
    except sqlite3.Error as error:
        return str(error)
    return "" if found == ["ok"] else "database disk image is malformed"


def is_refusal(error: sqlite3.Error) -> bool:
    """Whether a file is refused (locked, full, read-only), not damaged, and a statement did not take too long."""
    return isinstance(error, sqlite3.OperationalError) and any(part in str(error) for part in REMEDIES)


def remedy_of(problem: str, damaged: str) -> str:
    """What to do about a problem that SQLite names.

    Args:
        problem: SQLite's message.
        damaged: What to do about a damaged file.
    """
    return next((remedy for part, remedy in REMEDIES.items() if part in problem), damaged)
