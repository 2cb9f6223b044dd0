"""The file of a pair store (SQLite): opened, kept within its bound, and begun again where it cannot be trusted.

What it holds can be generated again, so a file that is damaged, of another layout, or of another generator is put
aside with a message and never read. So is one with other tables than are made here: a view or a trigger in it would run
queries of whoever wrote it. Processes that open or replace a file take turns by a lock beside it; one that
still writes to a file put aside loses that work and nothing else. Transactions are short and wait for each other.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rag_lightning.core.databases import bounded, connect, is_refusal
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.links import check_unlinked, make_folder, open_lock

T = TypeVar("T")
LAYOUT = 2
SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE pairs (pair TEXT PRIMARY KEY, hypotheses TEXT, crc INTEGER, bytes INTEGER NOT NULL,"
    " used INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE scores (pair TEXT, candidate TEXT, log_prob REAL NOT NULL, crc INTEGER NOT NULL,"
    " PRIMARY KEY (pair, candidate)) WITHOUT ROWID",
    "CREATE INDEX pairs_by_use ON pairs (used, bytes)",
    f"PRAGMA user_version={LAYOUT}",
)
WAIT = 60.0
"""Seconds to wait for a transaction of another process."""
KEEP = 0.9
"""Share of the bound that stays when it is exceeded, so that not every commit has to make room."""


class PairDatabase:
    """A connection that survives damage.

    Args:
        path: None keeps it in memory.
        owner: Generator and decode parameters the file must belong to.
        announce: Called with a line when a file is put aside.

    Attributes:
        rebuilt: How often this connection has put a file aside.

    Raises:
        ArtifactError: the file cannot be read or written (locked, full, no permission); by every method.
        DataError: the file, its folder or its lock is a link.
    """

    def __init__(self, path: Path | None, owner: Mapping[str, str], announce: Callable[[str], None]) -> None:
        self.path, self.rebuilt = path, 0
        self._owner, self._announce = dict(owner), announce
        self._inode = -1
        with self._named():
            if path is not None:
                check_unlinked(path, make_folder(path.parent, path.parent.parent))
            with self._locked():
                self._open("")

    def close(self) -> None:
        """Close; what was written stays."""
        self._db.close()

    def read(self, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        """Rows, text as bytes; none where the file turns out to be damaged."""
        return self._mended(lambda db: db.execute(query, values).fetchall(), [])

    def write(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run an action in one transaction; once more on a new file where the old one turns out to be damaged."""
        return self._mended(lambda db: _transaction(db, action), None)

    def _mended(self, action: Callable[[sqlite3.Connection], T], instead: T | None) -> T:
        with self._named():
            try:
                return action(self._db)
            except sqlite3.DatabaseError as error:
                if is_refusal(error):
                    raise
                self._db.close()
                with self._locked():
                    self._open(str(error) if self._inode == self._current() else "")
            return action(self._db) if instead is None else instead

    def _open(self, damage: str) -> None:
        """Open the file, a new one where the one that is there is damaged or another's."""
        problem = f"is damaged ({damage})" if damage else self._try()
        if problem:
            self._put_aside(problem)
            problem = self._try()
        if problem:
            raise sqlite3.OperationalError(f"a new file {problem}")
        self._inode = self._current()

    def _try(self) -> str:
        """The reason why the file cannot be used, "" if it can."""
        self._db = connect(self.path, WAIT)
        self._db.text_factory = bytes
        try:
            with bounded(self._db):
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                problem = _transaction(self._db, self._claim)
        except sqlite3.DatabaseError as error:
            self._db.close()
            if is_refusal(error):
                raise
            return f"is damaged ({error})"
        if problem:
            self._db.close()
        return problem

    def _claim(self, db: sqlite3.Connection) -> str:
        ((layout,),) = db.execute("PRAGMA user_version")
        there = {
            text.decode(errors="replace") for (text,) in db.execute("SELECT coalesce(sql, name) FROM sqlite_master")
        }
        if not layout and not there:
            for statement in SCHEMA:
                db.execute(statement)
            db.executemany("INSERT INTO meta VALUES (?, ?)", self._owner.items())
            return ""
        if layout != LAYOUT:
            return f"has layout {layout or 1}, and {LAYOUT} is read"
        if there != set(SCHEMA[:-1]):
            return "has other tables than a pair store"
        rows = db.execute("SELECT CAST(coalesce(name, '') AS TEXT), CAST(coalesce(value, '') AS TEXT) FROM meta")
        found = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in rows}
        return "" if found == self._owner else f"belongs to {_shown(found)}, not to {_shown(self._owner)}"

    def _put_aside(self, problem: str) -> None:
        if self.path is None:
            return
        aside = self.path.with_name(f"{self.path.name}.aside")
        self.path.replace(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.rebuilt += 1
        self._announce(f"pair store {self.path} {problem}: begun again, the old file is {aside.name}")

    def _current(self) -> int:
        return self.path.stat().st_ino if self.path is not None and self.path.exists() else -1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self.path is None:
            yield
            return
        with open_lock(self.path.with_name(f"{self.path.name}.lock")) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # closing lets go
            yield

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What is not damage becomes an error that names the file."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise ArtifactError(f"{self.path}: the pair store cannot be used ({error})") from error


def _shown(owner: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(owner.items())) or "nobody"


def evict(db: sqlite3.Connection, max_bytes: int) -> int:
    """Delete the least recently used pairs until the rest fits; returns how many left."""
    (total,) = db.execute("SELECT coalesce(sum(bytes), 0) FROM pairs").fetchone()
    if total <= max_bytes:
        return 0
    leaving: list[tuple[str]] = []
    for pair, size in db.execute("SELECT pair, bytes FROM pairs ORDER BY used, pair"):
        if total <= KEEP * max_bytes:
            break
        leaving.append((pair.decode(errors="replace"),))
        total -= size
    drop(db, leaving)
    return len(leaving)


def drop(db: sqlite3.Connection, pairs: Sequence[tuple[str]]) -> None:
    """Delete all results of pairs."""
    db.executemany("DELETE FROM pairs WHERE pair = ?", pairs)
    db.executemany("DELETE FROM scores WHERE pair = ?", pairs)


def _transaction(db: sqlite3.Connection, action: Callable[[sqlite3.Connection], T]) -> T:
    db.execute("BEGIN IMMEDIATE")
    try:
        found = action(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return found
