"""One experiment of an MLflow store: connection, runs found by key, entries sent in batches."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shlex
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from alembic.util.exc import CommandError
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy import NullPool, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from rag_lightning.core.databases import problem_of, remedy_of
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import digest, sqlite_url
from rag_lightning.core.links import open_lock
from rag_lightning.core.redact import has_bare_at, redact
from rag_lightning.tracking.places import FILES, PORTS, bring_along, create, file_of, for_client, is_absent, place_of

KEY, MADE, DIGEST = "mlflow.ragLightning.key", "mlflow.ragLightning.made", "mlflow.ragLightning.dataset"
"""Tags, hidden in the UI: identity of a run, time in nanoseconds of its creation in MLflow, digest of its data."""
FAILURES = (MlflowException, SQLAlchemyError, CommandError, OSError, ImportError)
"""Errors of a store that cannot be used; ImportError is a missing driver of its database."""
SQLITE = "sqlite:///"
"""Beginning of the URI of an SQLite file."""
WAIT = 5.0
"""Seconds to wait for an SQLite file that another program writes."""
METRICS_A_BATCH, ENTRIES_A_BATCH = 1000, 100
DIGEST_LENGTH = 36
TABLES = "mlflow.loggedArtifacts"
"""Tag that names the tables among the files of a run."""
TEXT_LIMIT = 7900
"""Longest text of a tag; MLflow allows 8,000 characters."""
TIMEOUT = "10"
"""Seconds after which a request to a server fails; MLflow's default is two minutes, tried seven times."""


def default_uri(root: Path, uri: str = "") -> str:
    """The tracking URI: `uri`, or an SQLite file in the project folder.

    Raises:
        ConfigError: a server's address that cannot be read.
    """
    if has_bare_at(uri):
        raise ConfigError(f"tracking_uri={redact(uri)}: an @ in the user or password is written %40")
    if _protocol(uri) in PORTS:
        try:
            _ = urlsplit(uri).port
        except ValueError as error:  # its text may hold a part of a password
            raise ConfigError(f"tracking_uri={redact(uri)}: must be SCHEME://HOST:PORT, port 0 to 65535") from error
    return uri or sqlite_url(root / "mlflow.db")


def reason(error: Exception, uri: str) -> str:
    """The reason of a failure in one line, without passwords."""
    text = redact(" ".join(str(error).split())) or type(error).__name__
    if "out-of-date database schema" in text or "locate revision" in text:
        command = f"mlflow db upgrade {shlex.quote(redact(uri))}"
        return f"its tables are of another version of MLflow; back it up and run: {command}"
    return text[:200]


class Store:
    """One MLflow experiment; the connection is made at the first use.

    Args:
        uri: Tracking URI.
        experiment: Name of the experiment.
        root: Project folder, with the lock of a store that is no SQLite file.
        about: Tags of the experiment; {id} in them is its id.
    """

    def __init__(self, uri: str, experiment: str, root: Path, about: Mapping[str, str]) -> None:
        self.uri, self.experiment, self.root, self.about = uri, experiment, root, about
        self._held = False

    @cached_property
    def client(self) -> MlflowClient:
        """The connected client.

        Raises:
            FAILURES: the store is unavailable, or its tables are of another version.
        """
        for name in ("mlflow.store.db.utils", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        _check_reachable(self.uri)
        with self.locked():  # two processes that create one SQLite store at once fail with `duplicate column name`
            if self.uri.startswith(SQLITE) and is_absent(self.uri):
                create(self.uri)
            client = MlflowClient(for_client(self.uri))
            client.search_experiments(max_results=1)
            if self.uri.startswith(SQLITE):
                bring_along(self.uri)
        return client

    @cached_property
    def experiment_id(self) -> str:
        """Id of the experiment, which is created if it does not exist."""
        client, place = self.client, place_of(self.uri) if self.uri.startswith(SQLITE) else None
        with self.locked():
            found = client.get_experiment_by_name(self.experiment)
            if found is None:
                found = client.get_experiment(client.create_experiment(self.experiment, artifact_location=place))
        for name, value in self.about.items():
            text = value.replace("{id}", str(found.experiment_id))
            if found.tags.get(name) != text:
                client.set_experiment_tag(found.experiment_id, name, text)
        return str(found.experiment_id)

    def run(self, key: Sequence[str], name: str, started: int) -> Run:
        """The run with a key, created if it does not exist; several processes get the same one.

        Args:
            key: Identity.
            name: Name of a new run.
            started: Start of a new run, milliseconds since 1970.
        """
        experiment_id, identity = self.experiment_id, digest(list(key))
        with self.locked():
            found = self._find(identity)
            if found is None:
                tags = {KEY: identity, MADE: str(time.time_ns())}
                found = self.client.create_run(experiment_id, start_time=started, tags=tags, run_name=name)
                if not self.uri.startswith(SQLITE):  # another machine may have created one meanwhile
                    found = self._find(identity)
        if found is None:
            raise MlflowException(f"run {name} was deleted while it was created")
        return found

    def _find(self, identity: str) -> Run | None:
        """The oldest run with an identity; younger ones are deleted."""
        found = self.client.search_runs([self.experiment_id], f"tags.`{KEY}` = '{identity}'")
        found.sort(key=lambda run: (int(run.data.tags.get(MADE, 0)), run.info.run_id))
        for younger in found[1:]:
            self.client.delete_run(younger.info.run_id)
        return found[0] if found else None

    def send(self, run: Run, metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add metrics, params and tags to a run; MLflow refuses changes of params, so only new ones are sent."""
        run_id, sent = run.info.run_id, run.data.tags
        new = [Param(name, value) for name, value in params.items() if name not in run.data.params]
        named = [RunTag(name, value[:TEXT_LIMIT]) for name, value in tags.items() if sent.get(name) != value]
        room = METRICS_A_BATCH - 2 * ENTRIES_A_BATCH
        self.client.log_batch(run_id, metrics[:room], new[:ENTRIES_A_BATCH], named[:ENTRIES_A_BATCH])
        for start in range(room, len(metrics), METRICS_A_BATCH):
            self.client.log_batch(run_id, metrics[start : start + METRICS_A_BATCH])

    def send_dataset(self, run: Run, name: str, key: str, split: str, about: Mapping[str, str]) -> None:
        """Name the data of a run, unless it has some; MLflow cuts no digest, so the tag `DIGEST` has the whole one."""
        if run.inputs and run.inputs.dataset_inputs:
            return
        dataset = Dataset(name, key[:DIGEST_LENGTH], "local", json.dumps(dict(about)))
        tags = [InputTag("mlflow.data.context", split)]
        self.client.log_inputs(run.info.run_id, [DatasetInput(dataset, tags)])

    def send_texts(self, run: Run, texts: Mapping[str, str]) -> None:
        """Write files of a run at once, replacing those of the same name."""
        with TemporaryDirectory() as folder:
            for name, text in texts.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            self.client.log_artifacts(run.info.run_id, folder)

    def is_active(self, run_id: str) -> bool:
        """Whether a run exists and is not deleted."""
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return str(run.info.lifecycle_stage) == "active"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the store, a file beside an SQLite store or in the project folder; may be nested."""
        if self._held:
            yield
            return
        local = self.uri.startswith(SQLITE)
        path = Path(f"{file_of(self.uri)}.lock") if local else self.root / "mlflow.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_lock(path) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._held = True
            try:
                yield
            finally:
                self._held = False


def millis(moment: str) -> int:
    """Milliseconds since 1970 of an ISO time."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def table_text(table: Mapping[str, Sequence[Any]]) -> str:
    """Columns of equal length as MLflow stores a table; `MlflowClient.log_table` would append to an earlier one."""
    rows = [list(row) for row in zip(*table.values(), strict=True)]
    return json.dumps({"columns": list(table), "data": rows}, ensure_ascii=False)


def tables_tag(names: Sequence[str]) -> dict[str, str]:
    """The tag that names the tables of a run."""
    return {TABLES: json.dumps([{"path": name, "type": "table"} for name in names])}


def _check_reachable(uri: str) -> None:
    """Raise OSError if a server does not answer within seconds or a file cannot be used; MLflow retries for minutes."""
    if uri.startswith(SQLITE):
        _check_database(uri)
    parts, kind = urlsplit(uri), _protocol(uri)
    if kind in PORTS and parts.hostname:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", TIMEOUT)
        socket.create_connection((parts.hostname, parts.port or PORTS[kind]), 2).close()


def _protocol(uri: str) -> str:
    """The scheme of a URI without a driver."""
    return uri.partition(":")[0].partition("+")[0]


def _check_database(uri: str) -> None:
    """Raise OSError for a file that cannot be used as a database, or is Optuna's, and for links to other places."""
    path = file_of(uri)
    files = path.parent / FILES  # may be a link itself, to another disk
    if linked := next((one for one in (path, *files.glob("*")) if one.is_symlink()), None):
        raise OSError(f"{linked} is a link, and nothing is written through one; remove it, or put a copy there")
    if problem := problem_of(path, WAIT):
        raise OSError(f"{path}: {problem}; {remedy_of(problem, 'remove or replace it')}")
    if path.is_file() and inspect(create_engine(uri, poolclass=NullPool)).has_table("studies"):
        raise OSError(f"{path} is the database of Optuna; give MLflow another tracking_uri")
