"""A mirror of run folders in MLflow. The run folder is the source; MLflow may be unavailable.

Each sweep has a parent run, each run folder a child run, identified by a tag, so that no run is sent more than once.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import yaml
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from rag_lightning.core.files import digest, sqlite_url, write_json
from rag_lightning.core.errors import DataError
from rag_lightning.runs.contents import child_metrics, cut, flatten, history, lineage, prediction_table
from rag_lightning.runs.record import RUN, SUMMARY, read_run, read_summary, run_folders

T = TypeVar("T")
LINK, SWEEP = "mlflow.json", "sweep.json"
KEY = "rag_lightning.key"
FAILURES = (MlflowException, SQLAlchemyError, OSError)
STATUS = {"finished": RunStatus.FINISHED, "failed": RunStatus.FAILED, "running": RunStatus.RUNNING}
PARAMS_A_BATCH, METRICS_A_BATCH = 100, 1000
TAGGED = ("role", "split", "label", "task", "dataset", "scale", "status")


def default_uri(root: Path, uri: str = "") -> str:
    """The tracking URI: `uri`, or an SQLite file in the project folder."""
    return uri or sqlite_url(root / "mlflow.db")


class Mirror:
    """Sends run folders to one MLflow experiment; an unavailable store gives one warning and no error.

    Args:
        tracking_uri: URI of the store.
        experiment: Name of the MLflow experiment; all sweeps of a task share one.
        root: Project folder, with artifacts/, and mlartifacts/ for the files of a local store.
        warn: Called once, with the reason why nothing is sent.
    """

    def __init__(self, tracking_uri: str, experiment: str, root: Path, warn: Callable[[str], None]) -> None:
        self.uri, self.experiment, self.root, self.warn = tracking_uri, experiment, root, warn
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self.down = False

    def parent(self, name: str, params: Mapping[str, Any]) -> str | None:
        """Id of the MLflow run of a sweep, created if it does not exist; None if the store is unavailable."""

        def send() -> str:
            run = self._parent(name)
            self._send_params(run, params)
            return str(run.info.run_id)

        return self._attempt(send)

    def finish_parent(self, name: str, metrics: Mapping[str, float] | None = None) -> None:
        """End the run of a sweep, with its final metrics."""

        def send() -> None:
            run_id = self._parent(name).info.run_id
            self._send_metrics(run_id, [Metric(k, v, _millis(None), 0) for k, v in (metrics or {}).items()])
            self._store.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))

        self._attempt(send)

    def child(self, folder: Path) -> str | None:
        """Mirror a run folder unless it is unchanged; returns its MLflow id, None if the store is unavailable.

        Raises:
            DataError: a file of the run folder cannot be read.
            ArtifactError: its predictions are altered.
        """
        record = read_run(folder)
        content = digest([(folder / name).read_text("utf-8") for name in (RUN, SUMMARY) if (folder / name).exists()])
        state = {"store": digest(self.uri), "content": content}

        def send() -> str:
            known = _link(folder)
            if state.items() <= known.items() and self._exists(known):
                return str(known["mlflow_run_id"])
            run_id = self._send(folder, record)
            write_json(folder / LINK, {"mlflow_run_id": run_id, **state})
            return run_id

        return self._attempt(send)

    def _send(self, folder: Path, record: Mapping[str, Any]) -> str:
        tags = _tags(record, self._parent(record["sweep"]).info.run_id)
        run = self._run_of(record["sweep"], record["run_id"], record["label"], tags)
        run_id: str = run.info.run_id
        ended = _millis(record["ended"])
        folders = lineage(record, self.root / "artifacts")
        self._send_params(run, record["config"])
        metrics = [Metric(k, v, ended, 0) for k, v in child_metrics(record, read_summary(folder)).items()]
        metrics += [Metric(k, v, ended, step) for k, v, step in history(folders)]
        self._send_metrics(run_id, metrics)
        self._send_dataset(run, record, folders)
        self._send_files(run_id, record, folders)
        self._store.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self._store.set_terminated(run_id, RunStatus.to_string(STATUS[record["status"]]), ended)
        return run_id

    def _send_params(self, run: Run, params: Mapping[str, Any]) -> None:
        # MLflow refuses changes of params, so only new ones are sent.
        flat = {k: v for k, v in flatten(params).items() if k not in run.data.params}
        kept, shortened = cut(flat)
        items = [Param(name, value) for name, value in kept.items()]
        for start in range(0, len(items), PARAMS_A_BATCH):
            self._store.log_batch(run.info.run_id, params=items[start : start + PARAMS_A_BATCH])
        if shortened:
            self._store.set_tag(run.info.run_id, "rag_lightning.cut_params", ", ".join(shortened)[:5000])

    def _send_metrics(self, run_id: str, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), METRICS_A_BATCH):
            self._store.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH])

    def _send_dataset(self, run: Run, record: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
        if run.inputs and run.inputs.dataset_inputs:
            return
        source = {"task": record["task"], "split": record["split"], "scale": record["scale"]}
        key = folders["examples"].name if "examples" in folders else digest([record["dataset"], source])
        dataset = Dataset(f"{record['dataset']}/{record['split']}", key, "local", json.dumps(source))
        self._store.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")])])

    def _send_files(self, run_id: str, record: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
        there = {file.path for file in self._store.list_artifacts(run_id)}
        if "config.yaml" not in there:
            self._store.log_text(run_id, yaml.safe_dump(dict(record["config"]), sort_keys=False), "config.yaml")
        self._store.log_dict(run_id, dict(record), RUN)
        table = prediction_table(folders, record["split"])
        # log_table appends to an existing table.
        if table is not None and "predictions.json" not in there:
            self._store.log_table(run_id, table, "predictions.json")

    def _parent(self, sweep: str) -> Run:
        return self._run_of(sweep, "", sweep, {"role": "sweep"})

    def _run_of(self, sweep: str, run_id: str, name: str, tags: Mapping[str, str]) -> Run:
        """The MLflow run of a sweep (run_id "") or of a run folder, created if it does not exist."""
        key = digest([sweep, run_id])
        store = self._store
        found = store.search_runs([self._experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
        if found:
            return found[0]
        made = store.create_run(self._experiment_id, tags={KEY: key, **tags}, run_name=name)
        return store.get_run(made.info.run_id)

    def _exists(self, link: Mapping[str, Any]) -> bool:
        try:
            run = self._store.get_run(link["mlflow_run_id"])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return str(run.info.lifecycle_stage) == "active"

    @property
    def _store(self) -> MlflowClient:
        if self._client is None:
            logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
            logging.getLogger("alembic").setLevel(logging.WARNING)
            _check_reachable(self.uri)
            with _creation_lock(self.uri):
                client = MlflowClient(self.uri)
                self._experiment_id = self._find_experiment(client)
            self._client = client
        return self._client

    def _find_experiment(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        local = urlsplit(self.uri).scheme.startswith("sqlite")
        place = (self.root / "mlartifacts").resolve().as_uri() if local else None
        return str(client.create_experiment(self.experiment, artifact_location=place))

    def _attempt(self, send: Callable[[], T]) -> T | None:
        """Call `send`; a failure of the store gives one warning, after which nothing more is sent."""
        if self.down:
            return None
        try:
            return send()
        except FAILURES as error:
            self.down = True
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            self.warn(f"MLflow cannot be used ({reason}); runs are kept, `rag-lightning track` sends them later")
            return None


def mirror_all(runs: Path, mirror: Mirror) -> int:
    """Send all run folders in `runs`; returns how many are in MLflow afterwards.

    Raises:
        DataError, ArtifactError: as `Mirror.child`.
    """
    sent = 0
    for sweep in sorted(folder for folder in runs.glob("*") if folder.is_dir()):
        folders = [folder for folder in run_folders(runs) if folder.parent == sweep]
        if not folders:
            continue
        described = _read_object(sweep / SWEEP)
        mirror.parent(sweep.name, described.get("spec", {}))
        sent += sum(mirror.child(folder) is not None for folder in folders)
        if described.get("finished"):
            mirror.finish_parent(sweep.name)
    return sent


def _tags(record: Mapping[str, Any], parent: str) -> dict[str, str]:
    tags = {name: str(record[name]) for name in TAGGED} | {"mlflow.parentRunId": parent, "mlflow.source.type": "LOCAL"}
    tags |= {"git_dirty": str(record["git"]["dirty"])}
    if record["git"]["sha"]:
        tags["mlflow.source.git.commit"] = record["git"]["sha"]
    if record.get("problem"):
        tags["problem"] = str(record["problem"])[:5000]
    if record.get("notes"):
        tags["notes"] = "\n".join(map(str, record["notes"]))[:5000]
    return tags


def _link(folder: Path) -> dict[str, Any]:
    return _read_object(folder / LINK)


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if the file does not exist.

    Raises:
        DataError: not a JSON object.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(path, "is not JSON", hint="remove it and run again") from error
    if not isinstance(value, dict):
        raise DataError(path, "is not a JSON object", hint="remove it and run again")
    return value


def _millis(moment: str | None) -> int:
    """Milliseconds since 1970 of an ISO time; None for now."""
    return int((datetime.fromisoformat(moment) if moment else datetime.now(UTC)).timestamp() * 1000)


def _check_reachable(uri: str) -> None:
    """Raise OSError if a server does not answer within seconds; MLflow itself would retry for minutes."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.hostname:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        socket.create_connection((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), 2).close()


@contextmanager
def _creation_lock(uri: str) -> Iterator[None]:
    """Lock the creation of an SQLite store: two processes at once fail with `duplicate column name`."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    path = Path(unquote(uri.removeprefix("sqlite:///")) + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
