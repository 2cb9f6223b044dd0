"""Where a store of MLflow has its database and the files of its runs.

MLflow stores absolute places of files. Those of an SQLite store are in a folder beside it, and move with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from rag_lightning.core.console import say
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import replace_file, sqlite_url
from rag_lightning.core.redact import redact

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
"""Port of a server whose address names none."""
FILES = "mlartifacts"
"""Folder beside an SQLite store for the files of its runs."""
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
"""Tables and columns of an SQLite store that name places of files."""


def file_of(uri: str) -> Path:
    """The file of an SQLite URI, also of one such as sqlite:///file:PATH?mode=ro&uri=true."""
    return Path(str(make_url(uri).database or "").removeprefix("file:"))


def for_client(uri: str) -> str:
    """The URI for MLflow's client, which for sqlite:///PATH makes the folder of PATH as it is quoted there."""
    return uri.replace("sqlite:", "sqlite+pysqlite:", 1) if uri.startswith("sqlite:") else uri


def place_of(uri: str) -> str:
    """Where the files of an SQLite store are: beside it."""
    return (file_of(uri).resolve().parent / FILES).as_uri()


def is_absent(uri: str) -> bool:
    """Whether an SQLite store is still to be made: its file is missing or empty."""
    url = make_url(uri)
    return not url.query and bool(url.database) and not (file_of(uri).exists() and file_of(uri).stat().st_size)


def create(uri: str) -> None:
    """Make the tables of a new SQLite store beside its place, then move it there.

    MLflow makes them by dozens of migrations, and one that a kill ended half-way is never finished.

    Raises:
        OSError, SQLAlchemyError: it cannot be written.
    """
    from mlflow.store.db.utils import _initialize_tables

    place = file_of(uri)
    made = place.with_name(f"{place.name}.new")
    for path in (made, made.with_name(f"{made.name}-journal")):
        path.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(sqlite_url(made), poolclass=NullPool)
    _initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()
    replace_file(made, place)


def check_apart(uri: str, study: str) -> None:
    """Check, before either creates anything, that MLflow and Optuna have a database each.

    Args:
        uri: Tracking URI of MLflow.
        study: URL of Optuna's storage.

    Raises:
        ConfigError: they share one, in which each takes the other's tables for another version of its own.
    """
    if _database(uri) == _database(study):
        raise ConfigError(f"storage and tracking_uri are both {redact(study)}; give Optuna and MLflow a database each")


def _database(uri: str) -> tuple[object, ...]:
    """What two URLs of one database have in common; the URL itself if it is of no database."""
    try:
        found = make_url(uri)
    except (SQLAlchemyError, ValueError):
        return (uri,)
    kind = found.get_backend_name()
    if kind == "sqlite":
        return (kind, os.path.realpath(file_of(uri)))
    return (kind, found.host, found.port or PORTS.get(kind), found.database or uri)


def bring_along(uri: str) -> None:
    """Change the places of files in an SQLite store that was moved, or copied, with the folder beside it."""
    file, place = file_of(uri).resolve(), place_of(uri)
    with create_engine(uri, poolclass=NullPool).begin() as connection:
        for old in set(connection.execute(text("SELECT artifact_location FROM experiments")).scalars()) - {place, None}:
            before = Path(unquote(urlsplit(old).path))
            is_chosen = before.is_dir() and not before.with_name(file.name).is_file()  # by somebody, for this store
            if before.name != FILES or not old.startswith("file:") or is_chosen:
                continue
            for table, column in PLACES:
                change = f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) "
                change += f"WHERE {column} = :old OR substr({column}, 1, length(:old) + 1) = :old || '/'"
                connection.execute(text(change), {"old": old, "new": place})
            say(f"{'MLflow':<17} {file} has moved: the files of its runs were in {before}, and are now beside it")
