"""SQLite files are checked before they are used."""

from __future__ import annotations

import gc
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.databases import connect, problem_of


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A database that another program holds."""
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a)")
        db.execute("BEGIN EXCLUSIVE")
        yield path


def test_a_locked_file_is_told_after_the_wait(locked: Path) -> None:
    started = time.monotonic()
    assert problem_of(locked, 0.2) == "database is locked"
    assert time.monotonic() - started >= 0.2


def test_ctrl_c_ends_the_wait_for_a_locked_file(locked: Path) -> None:
    def press(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            problem_of(locked, 60.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 30


def test_a_connection_that_nothing_holds_is_closed(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    db = connect(tmp_path / "a.db", 1)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE a (b)")
    assert (tmp_path / "a.db-wal").exists()
    del db
    gc.collect()
    assert not (tmp_path / "a.db-wal").exists() and not recwarn.list
