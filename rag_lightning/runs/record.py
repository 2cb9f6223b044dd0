"""`run.json` and `summary.json` of a run folder: the system, its data, its environment and its result.

A run folder is `runs/<sweep>/<run_id>/`. `run.json` has status `running` from the start; a killed run keeps it and is
run again. All files are sealed and written atomically.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import MANIFEST, folder_of, open_artifact
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_object, read_sealed, write_sealed
from rag_lightning.core.hardware import describe
from rag_lightning.core.links import make_folder
from rag_lightning.core.redact import redact
from rag_lightning.runs.origin import command, git_state, package_versions, user

SCHEMA, RUN, SUMMARY = 2, "run.json", "summary.json"
EXACT = "exact"
"""Field of a summary that its scores do not have: the digest of the scores of exact search."""
REDO, STATUSES = "remove its folder and run it again", ("running", "finished", "failed")
TYPES: dict[str, type] = {
    **dict.fromkeys(("run_id", "sweep", "role", "split", "label", "task", "dataset", "scale", "started"), str),
    **dict.fromkeys(("config", "digests", "timings", "work", "git", "packages", "hardware"), dict),
    "notes": list,
}
"""Type of each field of run.json that readers rely on."""


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
    """Digests of artifacts, timings in seconds (peak_memory in bytes), counted work, summary and notes of a run."""

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
    write_sealed(folder / RUN, record)
    return record


def finish_run(folder: Path, result: RunResult) -> dict[str, Any]:
    """Write summary.json, then run.json with status `finished`, unless it has it; returns the latter.

    Raises:
        DataError: the run was never started.
    """
    write_sealed(folder / SUMMARY, result.summary)
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
    path = folder / RUN
    record = read_sealed(path, REDO)
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


def read_summary(folder: Path, against_scores: bool = True) -> dict[str, Any]:
    """The content of summary.json in a run folder; empty if the run has not finished.

    Args:
        folder: The run folder.
        against_scores: Compare it with the scores that it came from, if they are stored.

    Raises:
        DataError: damaged or altered, not that of the scores it came from, or metrics that are no estimates.
        ArtifactError: these scores are damaged.
    """
    path = folder / SUMMARY
    if not path.exists():
        return {}
    summary = read_sealed(path, REDO)
    for name in _typed(path, {"metrics": {}} | summary, "metrics", dict):
        _typed(path, summary["metrics"], name, dict)
    if against_scores:
        _compare(path, summary)
    return summary


def _compare(path: Path, summary: Mapping[str, Any]) -> None:
    """Raise DataError if a run's summary is not that of its scores, as far as they are stored."""
    digests = _typed(path, {"digests": {}} | read_sealed(path.with_name(RUN), REDO), "digests", dict)
    digest = digests.get("scores")
    scores = folder_of(path.resolve().parents[3] / "artifacts", "scores", digest) if digest else path
    if not (scores / MANIFEST).exists() or SUMMARY not in open_artifact(scores, "scores").manifest["files"]:
        return
    if read_object(scores / SUMMARY) != {name: value for name, value in summary.items() if name != EXACT}:
        raise DataError(path, f"is not the summary of the run's scores, {scores}", hint=REDO)


def is_finished(folder: Path) -> bool:
    """Whether a run folder holds a finished run, summary included.

    Raises:
        DataError: as `read_run`.
    """
    return all((folder / name).exists() for name in (RUN, SUMMARY)) and read_run(folder)["status"] == "finished"


def run_folders(runs: Path, group: str = "*") -> list[Path]:
    """All run folders `<sweep>/<run_id>/` in a folder of runs, or those of one sweep, in order of name."""
    return sorted(file.parent for file in runs.glob(f"{group}/*/{RUN}"))


def now() -> str:
    """The current time, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
    write_sealed(folder / RUN, record)
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
