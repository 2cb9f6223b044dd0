"""`run.json` and `summary.json` of a run folder: the system, its data, its environment and its result.

A run folder is `runs/<sweep>/<run_id>/`. `run.json` has status `running` from the start; a killed run keeps it and is
run again. All files are written atomically.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, write_json
from rag_lightning.core.hardware import describe
from rag_lightning.core.links import make_folder
from rag_lightning.core.redact import redact

SCHEMA, RUN, SUMMARY = 2, "run.json", "summary.json"
REDO, STATUSES = "remove its folder and run it again", ("running", "finished", "failed")
TYPES: dict[str, type] = {
    **dict.fromkeys(("run_id", "sweep", "role", "split", "label", "task", "dataset", "scale", "started"), str),
    **dict.fromkeys(("config", "digests", "timings", "work", "git", "packages", "hardware"), dict),
    "notes": list,
}
"""Type of each field of run.json that readers rely on."""
PACKAGES = (
    "bm25s",
    "datasets",
    "faiss-cpu",
    "mlflow",
    "numpy",
    "optuna",
    "pytorch-lightning",
    "rag-lightning",
    "sacrebleu",
    "scipy",
    "spacy",
    "tokenizers",
    "torch",
    "transformers",
)
"""Packages whose version can affect a result."""


@dataclass(frozen=True)
class RunInfo:
    """The fields of run.json that are known before the run.

    Args:
        run_id: Name of its folder.
        sweep: Name of the parent folder: the sweep, or experiments.
        role: trial, baseline or final in a sweep; cell in the matrix.
        split: dev, test or test2.
        label: Label of the system in tables.
        task: Name of the task.
        dataset: Name of the data.
        scale: mini, mini-long or paper.
        config: Complete configuration, plain JSON values.
        seed: Seed of every random choice.
        notes: Notes for the tables that show the run.
        planned: Kind -> digest of its artifacts, for a run that does not finish.
    """

    run_id: str
    sweep: str
    role: str
    split: str
    label: str
    task: str
    dataset: str
    scale: str
    config: Mapping[str, Any]
    seed: int = 0
    notes: Sequence[str] = ()
    planned: Mapping[str, str] = field(default_factory=dict)


@dataclass
class RunResult:
    """The result of a run: digests of its artifacts, timings in seconds (peak_memory in bytes), counted work, summary, notes."""

    digests: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def start_run(folder: Path, info: RunInfo) -> dict[str, Any]:
    """Write run.json with status `running` and return it; an earlier attempt is replaced, a link is a DataError."""
    make_folder(folder, folder.parent.parent)
    (folder / SUMMARY).unlink(missing_ok=True)
    record = {
        "schema": SCHEMA,
        "status": "running",
        **{name: getattr(info, name) for name in info.__dataclass_fields__},
        "notes": list(info.notes),
        "digests": {},
        "timings": {},
        "work": {},
        "git": git_state(),
        "packages": package_versions(),
        "hardware": describe(),
        "command": command(),
        "user": user(),
        "started": now(),
        "ended": None,
    }
    write_json(folder / RUN, record)
    return record


def finish_run(folder: Path, result: RunResult) -> dict[str, Any]:
    """Write summary.json, then run.json with status `finished`, unless it has it; returns the latter.

    Raises:
        DataError: the run was never started.
    """
    write_json(folder / SUMMARY, result.summary)
    return _close(folder, "finished", result)


def fail_run(folder: Path, problem: str, result: RunResult | None = None) -> dict[str, Any]:
    """Write run.json with status `failed` and the problem, unless the run has finished.

    Raises:
        DataError: the run was never started.
    """
    return _close(folder, "failed", result or RunResult(), problem=redact(problem))


@contextmanager
def recorded(folder: Path, info: RunInfo) -> Iterator[RunResult]:
    """Context of a run: yields its result to fill, and records the run as finished, or as failed on an error.

    An interrupted run keeps the status `running`, so that it is run again.
    """
    start_run(folder, info)
    result = RunResult()
    try:
        yield result
    except Exception as error:
        fail_run(folder, f"{type(error).__name__}: {error}", result)
        raise
    finish_run(folder, result)


def read_run(folder: Path) -> dict[str, Any]:
    """The content of run.json in a run folder.

    Raises:
        DataError: missing, not JSON, of another schema, with an unknown status, or a field of a wrong type.
    """
    record, path = _read_json(folder / RUN), folder / RUN
    if record.get("schema") != SCHEMA:
        raise DataError(path, f"is not of schema {SCHEMA}", field="schema", value=record.get("schema"))
    if record.get("status") not in STATUSES:
        raise DataError(path, f"must be one of {', '.join(STATUSES)}", field="status", value=record.get("status"))
    for name, kind in TYPES.items():
        _typed(path, record, name, kind)
    for part in ("timings", "work"):
        for name in record[part]:
            _typed(path, record[part], name, (int, float))
    for name in ("started", "ended"):
        _check_time(path, record, name)
    return record


def read_summary(folder: Path) -> dict[str, Any]:
    """The content of summary.json in a run folder; empty if the run has not finished.

    Raises:
        DataError: not JSON, or metrics that are no estimates.
    """
    path = folder / SUMMARY
    summary = _read_json(path) if path.exists() else {}
    for name in _typed(path, {"metrics": {}} | summary, "metrics", dict):
        _typed(path, summary["metrics"], name, dict)
    return summary


def is_finished(folder: Path) -> bool:
    """Whether a run folder holds a finished run, summary included.

    Raises:
        DataError: as `read_run`.
    """
    return all((folder / name).exists() for name in (RUN, SUMMARY)) and read_run(folder)["status"] == "finished"


def run_folders(runs: Path) -> list[Path]:
    """All run folders `<sweep>/<run_id>/` in a folder of runs, in order of name."""
    return sorted(file.parent for file in runs.glob(f"*/*/{RUN}"))


def command() -> str:
    """The command line of this process, without passwords of URLs."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return redact(shlex.join("rag-lightning" if word == "cli.py" else word for word in words))


def user() -> str | None:
    """The name of the user, None where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def now() -> str:
    """The current time, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can affect a result."""
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


@lru_cache(maxsize=1)
def git_state() -> dict[str, Any]:
    """Commit of this project's source, and whether it has changes; both None outside of a checkout."""
    source = Path(__file__).resolve()
    tracked = _git(source.parent, "ls-files", "--error-unmatch", source.name)
    sha = _git(source.parent, "rev-parse", "HEAD") if tracked else None
    if not sha:
        return {"sha": None, "dirty": None}
    return {"sha": sha, "dirty": bool(_git(source.parent, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git; None if it fails or is not installed."""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _close(folder: Path, status: str, result: RunResult, **more: Any) -> dict[str, Any]:
    record = read_run(folder)
    if record["status"] == "finished":
        return record  # by another machine, which took the point while this one was asleep
    record |= {
        "status": status,
        "digests": dict(result.digests),
        "timings": dict(result.timings),
        "work": dict(result.work),
        "notes": [*record["notes"], *result.notes],
        "ended": now(),
        **more,
    }
    write_json(folder / RUN, record)
    return record


def _check_time(path: Path, record: dict[str, Any], name: str) -> None:
    try:
        datetime.fromisoformat(record.get(name) or now())
    except (TypeError, ValueError) as error:
        raise DataError(path, "is no ISO time", field=name, value=record[name], hint=REDO) from error


def _typed(path: Path, values: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(values.get(name), kind):
        problem = "has the wrong type" if name in values else "is missing"
        raise DataError(path, problem, field=name, value=values.get(name), hint=REDO)
    return values[name]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "does not exist", hint="run it again") from error
    except (IsADirectoryError, *UNREADABLE) as error:
        raise DataError(path, "is not JSON", hint=REDO) from error
    if not isinstance(value, dict):
        raise DataError(path, "is not a JSON object", hint=REDO)
    return value
