"""The storage of a sweep's study, and its locks.

An SQLite study belongs to one machine: its locks are files, which the system releases when a process dies. A PostgreSQL
study is shared by machines: its locks are the server's advisory locks, which end with the connection, and a trial whose
heartbeat stops is failed.
"""

from __future__ import annotations

import fcntl
import os
import socket
import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.artifacts import MACHINE
from rag_lightning.core.databases import problem_of, remedy_of
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import content_digest, sqlite_url
from rag_lightning.core.links import check_unlinked, open_lock
from rag_lightning.core.redact import has_bare_at, redact
from rag_lightning.core.registry import nearest
from rag_lightning.runs import folders

HEARTBEAT, GRACE = 15, 120
"""Seconds between two heartbeats of a trial, and without one until its machine counts as lost (PostgreSQL only)."""
PATIENCE = 60
"""Seconds that a process waits for the SQLite file while another one writes."""
CONNECT = {"connect_timeout": 10}
KEEPALIVE = {"idle": 60, "interval": 15, "count": 4}
"""Seconds of silence before a server asks a machine, seconds between two questions, questions without an answer."""
DAMAGED = "move it away and run again: finished runs are kept and found again"
REFUSED = (SQLAlchemyError, StorageInternalError)
"""Errors of a storage that does not answer."""


def is_server(config: SweepConfig) -> bool:
    """Whether the study is on a PostgreSQL server, which several machines can share."""
    return config.storage.startswith("postgresql")


def study_file(config: SweepConfig) -> Path:
    """The SQLite file of a study without `storage`."""
    return folders.run_group(config.experiment.folder, config.name) / "study.db"


def study_url(config: SweepConfig) -> str:
    """The URL of a study's storage, as Optuna reads it."""
    return config.storage or sqlite_url(study_file(config))


def study_name(config: SweepConfig, digest: str) -> str:
    """The name of a study; a storage that is shared may hold the sweep's name with other choices."""
    return f"{config.name}-{digest[:8]}"


def open_storage(config: SweepConfig) -> optuna.storages.RDBStorage:
    """The storage of a sweep's study.

    Raises:
        DataError: it is damaged, cannot be reached, or is no storage; or the file of a sweep's folder is a link.
    """
    with explained(config), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if is_server(config):
            options = {"connect_args": CONNECT, "pool_pre_ping": True}
            url = _url(config).render_as_string(hide_password=False)
            return optuna.storages.RDBStorage(url, options, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
        if not config.storage:
            check_unlinked(study_file(config), folders.runs(config.experiment.folder))
        _check_file(config)
        storage = optuna.storages.RDBStorage(study_url(config), {"connect_args": {"timeout": PATIENCE}})
        event.listen(storage.engine, "connect", _prepare)
        storage.engine.dispose()  # the connections that it has were made before
        weakref.finalize(storage, storage.engine.dispose)
        return storage


def find_storage(config: SweepConfig) -> optuna.storages.RDBStorage | None:
    """The storage of a sweep's study if it holds any study; nothing is created where there is none.

    Raises:
        DataError: as `open_storage`.
    """
    with explained(config):
        if not is_server(config):
            if not _database(config).is_file():
                return None
            _check_file(config)
        url = _url(config) if is_server(config) else study_url(config)
        engine = create_engine(url, poolclass=NullPool, connect_args=CONNECT if is_server(config) else {})
        if not inspect(engine).has_table("studies"):
            return None
    return open_storage(config)


def missing_study(config: SweepConfig, name: str, known: Sequence[str]) -> DataError:
    """The error for a `storage` without the study of a sweep, with the nearest names.

    Args:
        config: The sweep.
        name: Name of its study.
        known: Names of the studies in the storage.
    """
    if is_server(config) or _database(config).is_file():
        hint = f"it has {', '.join(sorted(known)[:5]) or 'no study'}; check `storage`"
        return DataError("storage", f"has no study {name!r}{nearest(name, known)}", hint=hint)
    file = _database(config)
    beside = [path.name for path in file.parent.glob(f"*{file.suffix}")] if file.parent.is_dir() else []
    return DataError("storage", f"{file} does not exist{nearest(file.name, beside)}", hint="check `storage`")


def _prepare(connection: Any, _: Any) -> None:
    """Let a connection to SQLite wait for the disk at checkpoints only.

    A trial has some fifteen commits. A killed process loses none of them; where the power fails the last ones may be
    lost, and their trials find their finished runs again.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@contextmanager
def explained(config: SweepConfig) -> Iterator[None]:
    """Turn errors of opening a storage, and of reading a damaged one, into a DataError of one line."""
    try:
        yield
    except (*REFUSED, ImportError, KeyError, TypeError, ValueError) as error:
        other = "give another URL, or none for a file beside the runs"
        reason = f"no value for {error}" if isinstance(error, KeyError) else _first_line(error)
        elsewhere = config.storage and "unable to open" in reason
        hint = other if elsewhere else remedy_of(reason, other if config.storage else DAMAGED)
        if isinstance(error, ImportError) and is_server(config):
            reason, hint = "psycopg is not installed", "pip install -c constraints.txt -e '.[postgres]', or " + hint
        raise DataError(_place(config), f"cannot be opened by Optuna: {reason}", hint=hint) from error


@contextmanager
def answering(config: SweepConfig) -> Iterator[None]:
    """Turn the failure of a storage in the middle of a search into a DataError of one line."""
    try:
        yield
    except REFUSED as error:
        reason = _first_line(error.__cause__ or error)
        hint = f"finished trials are kept; {remedy_of(reason, 'run again to continue')}"
        raise DataError(_place(config), f"does not answer any more: {reason}", hint=hint) from error


def _place(config: SweepConfig) -> Path | str:
    return "storage" if config.storage else study_file(config)


def _first_line(error: BaseException) -> str:
    return redact((str(error).splitlines() or [type(error).__name__])[0])


def _url(config: SweepConfig) -> URL:
    """The URL of a server, with the driver that the extra `postgres` installs; ValueError for a bare @."""
    if has_bare_at(config.storage):
        raise ValueError("an @ in the user or password is written %40")
    url = make_url(config.storage)
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _database(config: SweepConfig) -> Path:
    """The SQLite file of a study."""
    if not config.storage:
        return study_file(config)
    url = make_url(config.storage)
    if url.get_backend_name() != "sqlite":
        raise ValueError(f"{url.drivername!r} is neither sqlite:/// nor postgresql://")
    if url.database in (None, "", ":memory:"):
        raise ValueError("an SQLite study in memory is lost at the end; name a file")
    return Path(str(url.database))


def _check_file(config: SweepConfig) -> None:
    """Raise ValueError if the SQLite file of a study cannot be used, or is MLflow's."""
    if problem := problem_of(_database(config), PATIENCE):
        raise ValueError(problem)
    there = _database(config).is_file()
    if there and inspect(create_engine(study_url(config), poolclass=NullPool)).has_table("experiments"):
        raise ValueError("it is the database of MLflow")


@contextmanager
def joined(config: SweepConfig) -> Iterator[bool]:
    """Take part in a sweep; yields whether no other process of this machine does.

    Raises:
        DataError: another process runs the sweep, and its study cannot be shared.
    """
    runs = folders.runs(config.experiment.folder)
    runs.mkdir(parents=True, exist_ok=True)
    build_apart(config)
    with ExitStack() as held:
        alone = _locked(held, runs / f"{config.name}.lock", is_server(config))
        if config.storage and not is_server(config):
            with explained(config):
                file = _database(config).resolve()  # one lock, whatever way leads to the file
            if file.parent.is_dir():
                _locked(held, file.with_name(f"{file.name}.{config.name}.lock"), False)
        yield alone


def build_apart(config: SweepConfig) -> None:
    """Let this process build artifacts in partial folders of its machine's own, if machines can share the study."""
    if is_server(config):
        os.environ.setdefault(MACHINE, socket.gethostname())


def _locked(held: ExitStack, path: Path, shared: bool) -> bool:
    """Hold a lock file, exclusively or shared; returns whether no other process held it."""
    handle = held.enter_context(open_lock(path))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError as error:
        if not shared:
            raise DataError(path, "is held: this sweep is running", hint="wait for it, or give another name") from error
        alone = False
    if shared:
        fcntl.flock(handle, fcntl.LOCK_SH)
    return alone


def is_held(config: SweepConfig) -> bool:
    """Whether a process of this machine takes part in the sweep now."""
    path = folders.runs(config.experiment.folder) / f"{config.name}.lock"
    if not path.exists():
        return False
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def claiming(config: SweepConfig, name: str) -> Iterator[None]:
    """The turn of this process to claim a trial of a study: one process at a time, over all machines of a server.

    The server ends the turn of a machine that is asleep for `GRACE` seconds; the commit of that machine then fails.
    """
    if is_server(config):
        with _engine(_url(config)).begin() as connection:
            connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{GRACE}s'"))
            connection.execute(select(func.pg_advisory_xact_lock(_key("claim", name))))
            yield
        return
    file = _database(config)
    with open_lock(file.with_name(f"{file.name}.claim.lock")) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def leading(config: SweepConfig, name: str) -> Iterator[bool]:
    """Yields whether this process finishes the sweep: selection, baselines and the chosen systems on test.

    With an SQLite study it is the only process; on a server it is the first one, until its connection ends. The server
    ends the connection of a machine that does not answer for two minutes.
    """
    if not is_server(config):
        yield True
        return
    with answering(config), _engine(_url(config)).connect() as connection:
        for part, value in KEEPALIVE.items():
            connection.execute(text(f"SET tcp_keepalives_{part} = {value}"))
        yield _try_lock(connection, _key("lead", name))


def _try_lock(connection: Connection, key: int) -> bool:
    """Try to take an advisory lock of a session; no transaction stays open."""
    taken = bool(connection.execute(select(func.pg_try_advisory_lock(key))).scalar())
    connection.commit()
    return taken


def _key(kind: str, name: str) -> int:
    """The number of an advisory lock, of 63 bits."""
    return int(content_digest(f"rag-lightning {kind} {name}"), 16) >> 1


@lru_cache(maxsize=4)
def _engine(url: URL) -> Engine:
    return create_engine(url, poolclass=NullPool, connect_args=CONNECT)
