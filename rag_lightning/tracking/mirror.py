"""A mirror of run folders in MLflow. The run folder is the source; MLflow may be unavailable.

Each sweep has a parent run with a child run per run folder; each training is a run of its own. Runs are found by a key
in a tag, and `mlflow.json` in a run folder names what was sent, so that nothing is sent twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from mlflow.entities import Metric, Run, RunStatus
from mlflow.tracking import MlflowClient

from rag_lightning.config.registries import TASKS
from rag_lightning.core.artifacts import MANIFEST, read_manifest
from rag_lightning.core.files import digest, read_sealed, write_sealed
from rag_lightning.core.links import check_unlinked
from rag_lightning.core.redact import redact, redacted
from rag_lightning.core.shipped import find_shipped
from rag_lightning.report.collect import check_config
from rag_lightning.report.command import PAPER
from rag_lightning.report.page import INDEX
from rag_lightning.report.paper import Paper, read_paper
from rag_lightning.runs import folders
from rag_lightning.runs.record import RUN, read_run, read_summary, run_folders
from rag_lightning.tracking import contents, pages, sweeps
from rag_lightning.tracking.contents import data_source, examples_digest
from rag_lightning.tracking.store import DIGEST, FAILURES, Store, default_uri, millis, reason, table_text, tables_tag

T = TypeVar("T")
Extras = Callable[[MlflowClient, str, Path, Mapping[str, Any]], None]
"""Sends more of a chosen system: called with the client, the run's MLflow id, its folder and its record."""
LINK, SWEEP, SELECTION = "mlflow.json", "sweep.json", "selection.json"
TAGGED = ("role", "split", "task", "sweep")
"""Fields of a run's record that are tags."""
LAYOUT = 2
"""Version of what is sent; a run that was sent in another is sent again."""
STATUS = {"finished": RunStatus.FINISHED, "failed": RunStatus.FAILED, "running": RunStatus.RUNNING}
RETRY_AFTER, RETRY_LOCKED = 60.0, 1.0
"""Seconds after a failure in which the store is not asked again, and after one because another program writes."""
PARENT_EVERY = 30.0
"""Seconds between two updates of the page of a running sweep."""
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The dumper of libyaml, where PyYAML has it: ten times faster, same text."""


class Mirror:
    """Sends run folders to one MLflow experiment; an unavailable store gives one warning and no error.

    Args:
        tracking_uri: URI of the store; empty for an SQLite file in the project folder.
        experiment: Name of the MLflow experiment; all sweeps of a task share one.
        root: Project folder, with artifacts/.
        warn: Called once, with the reason why nothing is sent.
        extras: Called once for each chosen system on test, after its files are sent.
    """

    def __init__(
        self,
        tracking_uri: str,
        experiment: str,
        root: Path,
        warn: Callable[[str], None],
        extras: Extras | None = None,
    ) -> None:
        self.uri, self.experiment, self.root = default_uri(root, tracking_uri), experiment, root
        self._store_id = digest(tracking_uri)  # the project's own store is the same one where both have moved
        self.warn, self.extras = warn, extras
        self._store = self._connect()
        self._retry_at, self._warned = 0.0, False
        self._trainings: dict[tuple[str, str], str] = {}
        self._parents: dict[str, tuple[str, float]] = {}

    def child(self, folder: Path, every: bool = False) -> str | None:
        """Mirror a run folder unless it is unchanged; returns its MLflow id, None if the store is unavailable.

        Args:
            folder: Run folder.
            every: Send it again even if it is unchanged.

        Raises:
            DataError: a file of the run folder cannot be read, or the folder is a link.
            ArtifactError: its predictions are altered.
        """
        check_unlinked(folder, folders.runs(self.root))
        record, summary, link = read_run(folder), read_summary(folder), self._link(folder)
        check_config(folder / RUN, record["config"])
        state = {"store": self._store_id, "content": digest([LAYOUT, record, summary])}

        def send() -> str:
            run_id = str(link.get("mlflow_run_id", ""))
            new = link
            if every or not state.items() <= link.items() or not self._store.is_active(run_id):
                with self._store.locked():
                    made = self._send(folder, record, summary)
                new = {"mlflow_run_id": made, **state}
                new |= {"extras": True} if made == run_id and "extras" in link else {}
                run_id = made
                write_sealed(folder / LINK, new)
            if self.extras is not None and record["role"] == "final" and summary and "extras" not in new:
                self.extras(self._store.client, run_id, folder, record)
                write_sealed(folder / LINK, new | {"extras": True})
            return run_id

        sent = self._attempt(send)
        sweep = str(record["sweep"])  # not the folder's name: runs that were put aside keep their page
        if sent and time.monotonic() - self._parents.get(sweep, ("", 0.0))[1] > PARENT_EVERY:
            self.parent(sweep)
        return sent

    def parent(self, name: str) -> str | None:
        """Send the page of a sweep as it is now; returns its MLflow id, None without a folder or a store.

        Raises:
            DataError: a file of the sweep cannot be read.
        """
        folder = folders.run_group(self.root, name)
        if not folder.is_dir():
            return None
        described = sweeps.read_sweep(folder / SWEEP)
        shown = [
            pages.Shown(record, read_summary(path), str(self._link(path).get("mlflow_run_id", "")))
            for path in run_folders(folder.parent, folder.name)
            if ((record := read_run(path))["task"] == self.experiment or described)
        ]
        return self._attempt(lambda: self._send_parent(name, folder, described, shown))

    def single(self, name: str, params: Mapping[str, Any], metrics: Mapping[str, float]) -> str | None:
        """Send a finished run without a folder, such as the verdict on a claim."""

        def send() -> str:
            now = int(time.time() * 1000)
            run = self._store.run([name, ""], name, now)
            flat = {key: contents.cut(redact(value)) for key, value in contents.flatten(params).items()}
            self._store.send(run, [Metric(key, value, now, 0) for key, value in metrics.items()], flat, {})
            self._store.client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.FINISHED))
            return str(run.info.run_id)

        return self._attempt(send)

    def _connect(self) -> Store:
        task = TASKS.get(self.experiment) if self.experiment in TASKS else None
        return Store(self.uri, self.experiment, self.root, pages.about(task.metrics[0] if task else "em"))

    @cached_property
    def paper(self) -> Paper:
        """The published numbers."""
        return read_paper(find_shipped(PAPER))

    def _send(self, folder: Path, record: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        store, ended = self._store, millis(record["ended"] or record["started"])
        parent = self._parent_id(record["sweep"])
        run = store.run([record["sweep"], record["run_id"]], record["label"], millis(record["started"]))
        run_id, place = str(run.info.run_id), pages.Place(store.experiment_id)
        found = contents.lineage(record, self.root / "artifacts")
        trainings = {kind: self._training(kind, found[kind]) for kind in contents.TRAININGS if kind in found}
        titles = {contents.training_title(found[kind]): one for kind, one in trainings.items()}
        tables = contents.estimate_tables(summary)
        if predictions := contents.prediction_table(found, record["split"]):
            tables["predictions.json"] = predictions
        shown = pages.Shown(record, summary, run_id)
        tags = _tags(record, parent) | {f"{kind}_run": one for kind, one in trainings.items()}
        tags |= tables_tag(list(tables))
        choice = pages.choice(sweeps.read_selection(folder.parent / SELECTION), record)
        tags[pages.NOTE] = pages.run_page(shown, self.paper, place, parent, titles, choice)
        metrics = [Metric(name, value, ended, 0) for name, value in contents.run_metrics(record, summary).items()]
        metrics += [Metric(name, value, ended, k) for name, value, k in contents.recall_curve(summary)]
        config = redacted(record["config"])
        store.send(run, metrics, contents.run_params(config, self._varied(record["sweep"])), tags)
        store.send_dataset(run, record["dataset"], examples_digest(record), record["split"], data_source(record))
        texts = {"config.yaml": yaml.dump(config, Dumper=DUMPER, sort_keys=False, allow_unicode=True)}
        texts[RUN] = json.dumps(redacted(record), indent=2)
        store.send_texts(run, texts | {name: table_text(table) for name, table in tables.items()})
        store.client.set_terminated(run_id, RunStatus.to_string(STATUS[record["status"]]), ended)
        return run_id

    def _varied(self, sweep: str) -> list[str]:
        """The fields that a sweep varies."""
        return list(sweeps.read_sweep(folders.run_group(self.root, sweep) / SWEEP).get("spec", {}).get("space", {}))

    def _parent_id(self, name: str) -> str:
        """MLflow id of a sweep, created if it does not exist."""
        if name not in self._parents:
            group = folders.run_group(self.root, name)
            starts = [millis(read_run(path)["started"]) for path in run_folders(group.parent, group.name)]
            run = self._store.run([name, ""], name, min(starts, default=int(time.time() * 1000)))
            self._store.send(run, [], {}, {"role": "sweep"})
            self._parents[name] = (str(run.info.run_id), 0.0)
        return self._parents[name][0]

    def _send_parent(self, name: str, folder: Path, described: Mapping[str, Any], shown: list[pages.Shown]) -> str:
        store, starts = self._store, [millis(run.record["started"]) for run in shown]
        run = store.run([name, ""], name, min(starts, default=int(time.time() * 1000)))
        run_id, place = str(run.info.run_id), pages.Place(store.experiment_id)
        state = str(described.get("status") or ("finished" if described.get("finished") else "running"))
        described = redacted(described)
        tags = {"role": "sweep"}
        if shown:
            tags |= contents.origin(shown[0].record) | {DIGEST: examples_digest(shown[0].record)}
        tags[pages.NOTE] = sweeps.sweep_page(described, shown, self.paper, place, run_id)
        store.send(run, sweeps.sweep_metrics(folder, described, shown), sweeps.sweep_params(described), tags)
        if shown:
            first = shown[0].record
            store.send_dataset(run, first["dataset"], examples_digest(first), "dev and test", data_source(first))
        report = folders.report(self.root, name)
        files = [report / INDEX, *sorted(report.glob("*.png")), folder / SELECTION, folder / "importances.json"]
        for path in files:
            if path.exists():
                store.client.log_artifact(run_id, str(path))
        if state in ("finished", "failed"):
            ends = [millis(one.record["ended"]) for one in shown if one.record["ended"]]
            store.client.set_terminated(run_id, RunStatus.to_string(STATUS[state]), max(ends, default=None))
        self._parents[name] = (run_id, time.monotonic())
        return run_id

    def _training(self, kind: str, folder: Path) -> str:
        """MLflow id of the training of an artifact, sent if it is not there."""
        key = (kind, folder.name)
        if key not in self._trainings:
            manifest = read_manifest(folder)
            ended = int((folder / MANIFEST).stat().st_mtime * 1000)
            started = ended - int(float(manifest.get("seconds", 0)) * 1000)
            run = self._store.run(["training", *key], contents.training_title(folder), started)
            if run.info.status != RunStatus.to_string(RunStatus.FINISHED):
                self._send_training(run, kind, folder, started, ended)
            self._trainings[key] = str(run.info.run_id)
        return self._trainings[key]

    def _send_training(self, run: Run, kind: str, folder: Path, started: int, ended: int) -> None:
        manifest, made_from = read_manifest(folder), dict[str, str]()
        for made in manifest.get("inputs", {}).values():
            for other in contents.TRAININGS:
                source = folder.parent.parent / other / str(made)
                if (source / MANIFEST).exists():
                    made_from[contents.training_title(source)] = self._training(other, source)
        curves, config = contents.training_curves(folder), manifest.get("config", {})
        last = max((step for _, _, step in curves), default=1) or 1
        metrics = [Metric(n, v, started + (ended - started) * step // last, step) for n, v, step in curves]
        flat = contents.flatten(redacted(config))
        params = {name: contents.cut(flat[name]) for name in contents.training_params(flat, kind)}
        tags = {"role": "model", "kind": kind, "artifact": folder.name}
        tags |= {name: flat[name] for name in ("formulation",) if name in flat}
        tags[pages.NOTE] = pages.training_page(kind, manifest, pages.Place(self._store.experiment_id), made_from)
        self._store.send(run, metrics, params, tags)
        self._store.client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.FINISHED), ended)

    def _link(self, folder: Path) -> dict[str, Any]:
        """What was sent of a run folder; empty if nothing was sent to this store."""
        file = folder / LINK
        link = read_sealed(file, hint="remove it and run `rag-lightning track`") if file.exists() else {}
        return link if link.get("store") == self._store_id else {}

    def _attempt(self, send: Callable[[], T]) -> T | None:
        """Call `send`; a failure of the store gives one warning, and it is asked again after some time."""
        if time.monotonic() < self._retry_at:
            return None
        try:
            return send()
        except FAILURES as error:
            self._retry_at = time.monotonic() + (RETRY_LOCKED if "is locked" in str(error) else RETRY_AFTER)
            self._store = self._connect()
            if not self._warned:
                self._warned = True
                why = reason(error, self.uri)
                self.warn(f"MLflow cannot be used ({why}); runs are kept, `rag-lightning track` sends them later")
            return None


def _tags(record: Mapping[str, Any], parent: str) -> dict[str, str]:
    """The tags of a run, below the sweep with the MLflow id `parent`."""
    tags = {name: str(record[name]) for name in TAGGED} | {"mlflow.parentRunId": parent} | contents.origin(record)
    tags |= {"formulation": str(record["config"]["formulation"])}
    tags |= {"retriever": contents.retriever_of(record["config"]), DIGEST: examples_digest(record)}
    if record.get("problem"):
        tags["problem"] = redact(str(record["problem"]))
    return tags
