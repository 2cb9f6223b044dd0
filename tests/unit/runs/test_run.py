"""run.json is there from the start, says how the run ended, and is never half written."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import write_sealed
from rag_lightning.runs import monitor, origin
from rag_lightning.runs.record import (
    RunInfo,
    RunResult,
    fail_run,
    finish_run,
    is_finished,
    read_run,
    read_summary,
    recorded,
    run_folders,
    start_run,
)

FIELDS = {
    *("schema", "run_id", "sweep", "role", "split", "status", "label", "task", "dataset", "scale", "config"),
    *("digests", "planned", "git", "packages", "hardware", "command", "user", "seed", "timings", "work", "notes"),
    *("started", "ended"),
}


def test_a_started_run_holds_every_field_and_runs(tmp_path: Path, run_info: Callable[..., RunInfo]) -> None:
    start_run(tmp_path / "r1", run_info())
    record = read_run(tmp_path / "r1")
    assert set(record) == FIELDS
    assert record["status"] == "running" and record["ended"] is None
    assert record["packages"]["numpy"] and record["hardware"]["cores"] >= 1
    assert set(record["git"]) == {"sha", "dirty"}
    assert not is_finished(tmp_path / "r1")


def test_a_finished_run_holds_its_result(run_folder: Path) -> None:
    record = read_run(run_folder)
    assert record["status"] == "finished" and is_finished(run_folder)
    assert record["timings"] == {"seconds_per_query": 0.25, "retrieve": 0.05}
    assert {"predictions", "scores"} <= set(record["digests"])
    assert record["notes"] == ["a note"]
    assert read_summary(run_folder)["metrics"]["em"]["mean"] == 66.7


def test_a_run_whose_summary_is_gone_is_done_again(run_folder: Path) -> None:
    (run_folder / "summary.json").unlink()
    assert not is_finished(run_folder)


def test_an_error_is_recorded_and_goes_through(tmp_path: Path, run_info: Callable[..., RunInfo]) -> None:
    with pytest.raises(ValueError, match="no passages"), recorded(tmp_path / "r1", run_info()) as result:
        result.notes.append("seen")
        raise ValueError("no passages")
    record = read_run(tmp_path / "r1")
    assert record["status"] == "failed" and record["problem"] == "ValueError: no passages"
    assert record["notes"] == ["a note", "seen"]
    assert read_summary(tmp_path / "r1") == {}


def test_an_interrupted_run_is_not_closed(tmp_path: Path, run_info: Callable[..., RunInfo]) -> None:
    with pytest.raises(KeyboardInterrupt), recorded(tmp_path / "r1", run_info()):
        raise KeyboardInterrupt
    assert read_run(tmp_path / "r1")["status"] == "running"


def test_a_second_attempt_forgets_the_first(run_folder: Path, run_info: Callable[..., RunInfo]) -> None:
    start_run(run_folder, run_info())
    assert read_run(run_folder)["digests"] == {}
    assert read_summary(run_folder) == {}


def test_a_run_that_another_machine_has_finished_meanwhile_keeps_its_record(
    tmp_path: Path, run_info: Callable[..., RunInfo]
) -> None:
    with recorded(tmp_path, run_info()) as asleep:
        with recorded(tmp_path, run_info()) as other:
            other.timings["generate"] = 1.0
        asleep.timings["generate"] = 9.0
    with pytest.raises(OSError), recorded(tmp_path / "failing", run_info()):
        with recorded(tmp_path / "failing", run_info()) as other:
            other.timings["generate"] = 1.0
        raise OSError
    for folder in (tmp_path, tmp_path / "failing"):
        assert is_finished(folder) and read_run(folder)["timings"] == {"generate": 1.0}


def test_a_run_that_never_started_cannot_end(tmp_path: Path) -> None:
    for end in (lambda: finish_run(tmp_path, RunResult()), lambda: fail_run(tmp_path, "x")):
        with pytest.raises(DataError, match=r"run\.json: is missing"):
            end()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"schema": 1, "stat', r"run\.json: is cut short or damaged"),
        ("[]", r"run\.json: is not a JSON object"),
        ({"schema": 1}, r"run\.json, field 'schema': is not of schema 2 \(got 1\)"),
        ({"schema": 2, "status": "done"}, r"field 'status': must be one of running, finished, failed \(got 'done'\)"),
    ],
)
def test_a_damaged_run_is_named(run_folder: Path, text: str | dict[str, object], problem: str) -> None:
    path = run_folder / "run.json"
    path.write_text(text) if isinstance(text, str) else write_sealed(path, text)
    with pytest.raises(DataError, match=problem):
        read_run(run_folder)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"task": None}, r"run\.json, field 'task': has the wrong type; remove its folder and run it again"),
        ({"config": []}, r"field 'config': has the wrong type \(got \[\]\)"),
        ({"timings": {"generate": "slow"}}, r"field 'generate': has the wrong type \(got 'slow'\)"),
        ({"started": "yesterday"}, r"field 'started': is no ISO time \(got 'yesterday'\)"),
        ({"ended": 3}, r"field 'ended': is no ISO time"),
    ],
)
def test_a_field_of_another_type_is_named(run_folder: Path, changes: dict[str, object], problem: str) -> None:
    write_sealed(run_folder / "run.json", read_run(run_folder) | changes)
    with pytest.raises(DataError, match=problem):
        read_run(run_folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"metrics": []}', '{"metrics": {"em": 5}}'])
def test_a_damaged_summary_is_named(run_folder: Path, text: str) -> None:
    path = run_folder / "summary.json"
    path.write_text(text) if len(text) > 1000 else write_sealed(path, json.loads(text))
    told = r"summary\.json(: is cut short or damaged|, field '(metrics|em)': has the wrong type)"
    with pytest.raises(DataError, match=told):
        read_summary(run_folder)


def test_damaged_samples_of_the_load_are_none(tmp_path: Path) -> None:
    load = dict.fromkeys(monitor.NAMES, 0.5)
    whole = {"time": 17, "load": load}
    damaged = ['{"time": 17', "[" * 100_000, '{"time": 1, "load": 5}', '{"time": "x", "load": {}}', "\udcff"]
    lines = [json.dumps(whole), *damaged, '{"time": 1, "load": {}}']
    lines += [json.dumps({"time": 1, "load": load | {name: math.nan}}) for name in (monitor.NAMES[0], "system/cp\x01")]
    lines += [
        json.dumps({"time": 10**400, "load": load}),
        json.dumps({"time": 1, "load": load | {monitor.NAMES[0]: 10**400}}),
    ]
    (tmp_path / monitor.SAMPLES).write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    assert monitor.samples(tmp_path) == [whole]


def test_run_folders_are_found_in_order(tmp_path: Path, run_info: Callable[..., RunInfo]) -> None:
    for name in ("s2/a", "s1/b", "s1/a"):
        start_run(tmp_path / name, run_info())
    (tmp_path / "s1" / "study.sqlite").touch()
    assert [str(folder.relative_to(tmp_path)) for folder in run_folders(tmp_path)] == ["s1/a", "s1/b", "s2/a"]


def test_outside_a_checkout_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "_git", lambda *arguments: None)
    assert origin.git_state.__wrapped__() == {"sha": None, "dirty": None}


def test_an_untracked_source_is_no_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package inside another project's checkout must not report that project's commit."""
    answers: dict[str, Any] = {"ls-files": None, "rev-parse": "f" * 40, "status": ""}
    monkeypatch.setattr(origin, "_git", lambda folder, command, *rest: answers[command])
    assert origin.git_state.__wrapped__()["sha"] is None
    answers["ls-files"] = "run.py"
    assert origin.git_state.__wrapped__() == {"sha": "f" * 40, "dirty": False}
    answers["status"] = " M record.py"
    assert origin.git_state.__wrapped__()["dirty"] is True


def test_run_json_is_json_for_everyone(run_folder: Path) -> None:
    text = (run_folder / "run.json").read_text(encoding="utf-8")
    assert json.loads(text)["label"] == "RAG-Token · flat · k=5 · greedy"
    assert not list(run_folder.glob("*.tmp"))
