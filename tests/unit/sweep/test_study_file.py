"""study.db that is locked, damaged or on a full disk: one line, known before anything is built where it can be."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.errors import DataError
from rag_lightning.runs import folders
from rag_lightning.runs.system import System
from rag_lightning.sweep import storage
from rag_lightning.sweep.run import run as sweep
from rag_lightning.sweep.status import show_status
from rag_lightning.sweep.storage import study_file
from tests.searching import Found, completed, config, run, value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sweep whose search has ended."""
    run(config(tmp_path / "stored", "random"), value)
    return tmp_path / "stored"


def random_bytes(file: Path) -> None:
    file.write_bytes(os.urandom(5000))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:9000])


def change_a_value(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("UPDATE trial_params SET distribution_json = '{\"name\"'").rowcount
        db.commit()


@pytest.mark.parametrize("damage", [random_bytes, cut, change_a_value])
def test_a_damaged_study_is_told_before_anything_is_built(folder: Path, damage: Callable[[Path], None]) -> None:
    swept = config(folder, "random")
    damage(study_file(swept))
    before = study_file(swept).read_bytes()
    problem = r"^\S*study\.db: cannot be opened by Optuna: [^\n]*; move it away and run again: finished runs are kept"
    with pytest.raises(DataError, match=problem):
        sweep(swept)
    assert study_file(swept).read_bytes() == before and not (folder / "artifacts").exists()


def test_a_locked_study_is_told_before_anything_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.1)
    swept = config(folder, "random")
    with closing(sqlite3.connect(study_file(swept))) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match=r"database is locked; another program holds it: run again when that has"):
            sweep(swept)
    assert not (folder / "artifacts").exists() and len(completed(swept)) >= 6


@pytest.mark.parametrize("setting", ["max_page_count=1", "query_only=ON"])
def test_a_full_or_read_only_disk_in_the_middle_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    swept, seen, prepare = config(tmp_path / "stored", "random"), list[str](), storage._prepare
    connections: list[Any] = []

    def prepared(connection: Any, record: Any) -> None:
        prepare(connection, record)
        connections.append(connection)

    def evaluate(system: System) -> Found:
        seen.append(system.label)
        if len(seen) == 3:
            for connection in connections:
                connection.execute(f"PRAGMA {setting}")
            label = "x" * 300_000 if setting.startswith("max") else ""
            return value(system)[0], {f"k <= 2{label}": 1.0}
        return value(system)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "_prepare", prepared)
        problem = r"study\.db: does not answer any more: .*(is full|readonly).*; finished trials are kept; ma[^\n]*$"
        with pytest.raises(DataError, match=problem):
            run(swept, evaluate)
    assert len(completed(swept)) == 2
    run(swept, value)
    assert len(completed(swept)) >= 6, "the next run goes on"


def test_the_status_of_a_damaged_study_is_one_line(folder: Path) -> None:
    swept = config(folder, "random")
    (folder / "runs" / "s" / "space.json").unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"space\.json: does not exist"):
        show_status(swept)


def test_the_status_of_an_emptied_study_names_it(tiny_sweep: SweepConfig, tmp_path: Path, capsys: Any) -> None:
    runs = folders.run_group(tiny_sweep.experiment.folder, tiny_sweep.name)
    shutil.copytree(runs, tmp_path / "runs" / tiny_sweep.name)
    swept = replace(tiny_sweep, experiment=replace(tiny_sweep.experiment, folder=str(tmp_path)))
    show_status(swept)
    assert "study.db" not in capsys.readouterr().err
    study_file(swept).write_bytes(b"")
    show_status(swept)
    shown = " ".join(capsys.readouterr().err.split())
    assert f"{study_file(swept)}: has no trial, though" in shown and "run the sweep again" in shown
