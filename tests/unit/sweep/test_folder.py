"""The folder of a sweep: one process at a time, damage is told, an interrupted change of spaces is taken up."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import MACHINE
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.sweep.run import _open_folder, run
from rag_lightning.sweep.space import open_space
from rag_lightning.sweep.status import show_status
from rag_lightning.sweep.storage import is_held, joined, study_file
from tests.odd_folders import ODD
from tests.sweeping import study_of


def config(folder: Path) -> SweepConfig:
    experiment = ExperimentConfig(folder=str(folder), formulation="rag_token")
    return SweepConfig(name="s", experiment=experiment, space={"k": (1, 2)}, always=(), trivial=False)


def test_a_second_process_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    assert not is_held(config(tmp_path))
    with joined(config(tmp_path)) as alone:
        assert alone and is_held(config(tmp_path))
        with pytest.raises(DataError, match=r"s\.lock: is held: this sweep is running"), joined(config(tmp_path)):
            pass
        with joined(replace(config(tmp_path), name="other")):
            pass
    with joined(config(tmp_path)):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"digest": 3}'])
def test_a_damaged_space_file_is_told_by_its_path(tmp_path: Path, text: str) -> None:
    space = open_space(config(tmp_path))
    folder = _open_folder(space, True)
    (folder / "space.json").write_text(text)
    with pytest.raises(DataError, match=r"runs/s/space\.json"):
        _open_folder(space, True)


def test_a_finished_sweep_that_is_run_again_stays_finished_until_it_changes(tmp_path: Path) -> None:
    swept = config(tmp_path)
    file = _open_folder(open_space(swept), True) / "sweep.json"
    write_sealed(file, read_sealed(file) | {"finished": True})
    text = file.read_text()
    for same in (swept, replace(swept, workers=2, retries=3, trial_seconds=9.0)):
        file.write_text(text)
        _open_folder(open_space(same), True)
        assert file.read_text() == text
    for other in (replace(swept, trials=30), replace(swept, seed=1), replace(swept, always=({"k": 1},))):
        file.write_text(text)
        _open_folder(open_space(other), True)
        assert '"finished": false' in file.read_text()
    file.write_text(text[:40])
    _open_folder(open_space(swept), True)
    assert '"finished": false' in file.read_text()


def test_a_change_of_spaces_that_was_killed_half_way_loses_nothing(tmp_path: Path) -> None:
    space, other = open_space(config(tmp_path)), open_space(replace(config(tmp_path), space={"k": (1,)}))
    folder = _open_folder(space, True)
    (folder / "kept").touch()
    folder.rename(folder.with_name(f"s.{space.digest[:8]}"))  # killed before the other's folder was made
    assert (_open_folder(space, True) / "kept").exists()
    for again in (other, space, other, space):
        _open_folder(again, True)
    assert (folder / "kept").exists()


def test_a_folder_in_the_place_of_the_one_put_aside_is_told_and_nothing_moves(tmp_path: Path) -> None:
    space, other = open_space(config(tmp_path)), open_space(replace(config(tmp_path), space={"k": (1,)}))
    folder = _open_folder(space, True)
    aside = folder.with_name(f"s.{space.digest[:8]}")
    aside.mkdir()
    with pytest.raises(DataError, match=r"is where .*runs/s would be put aside; rename one"):
        _open_folder(other, True)
    assert (folder / "space.json").exists() and aside.is_dir()


def test_a_storage_that_does_not_answer_is_told_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="storage: cannot be opened by Optuna") as caught:
        run(replace(config(tmp_path), storage="postgresql://ann:hunter2@127.0.0.1:9/x"))
    assert "hunter2" not in str(caught.value) and [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["s.lock"]


@pytest.mark.parametrize("name", ODD)
def test_a_study_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    given = config(tmp_path / name)
    for _ in range(2):
        with study_of(given) as study:
            study.ask()
    assert len(study.trials) == 2 and study_file(given).is_file() and list(tmp_path.iterdir()) == [tmp_path / name]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


def test_the_status_of_a_mistyped_sweep_names_the_nearest_and_creates_nothing(tmp_path: Path) -> None:
    _open_folder(open_space(replace(config(tmp_path), name="quiz")), True)
    before = files(tmp_path)
    with pytest.raises(DataError, match=r"never started; did you mean 'quiz'\?; sweeps here: quiz"):
        show_status(replace(config(tmp_path), name="quizz"))
    with pytest.raises(DataError, match="never started; check `name` and `folder`"):
        show_status(config(tmp_path / "elsewhere"))
    assert files(tmp_path) == before


def test_the_status_of_a_mistyped_storage_names_the_nearest_and_creates_nothing(tmp_path: Path) -> None:
    swept = replace(config(tmp_path / "project"), storage=f"sqlite:///{tmp_path}/shared.db")
    with study_of(replace(swept, space={"k": (1,)})):
        pass
    _open_folder(open_space(swept), True)
    with sqlite3.connect(tmp_path / "unlike.db") as connection:
        connection.execute("create table runs (id int)")
    connection.close()
    before = files(tmp_path)
    for name, problem in {
        "shard.db": r"storage: .*/shard\.db does not exist; did you mean 'shared\.db'\?; check `storage`",
        "none/x.db": r"storage: .*/x\.db does not exist; check `storage`",
        "unlike.db": r"storage: has no study 's-\w{8}'; it has no study; check `storage`",
        "shared.db": r"storage: has no study 's-\w{8}'(; did you mean 's-\w{8}'\?)?; it has s-\w{8}; check `storage`",
    }.items():
        with pytest.raises(DataError, match=problem):
            show_status(replace(swept, storage=f"sqlite:///{tmp_path}/{name}"))
    assert {name: text for name, text in files(tmp_path).items() if not name.endswith(("-wal", "-shm"))} == before


def test_more_workers_than_the_machine_has_room_for_are_refused_before_anything_starts(tmp_path: Path) -> None:
    problem = r"workers=100000: this machine has \d+ cores and \S+ GB of free memory, room for \d+ \(4 a core"
    with pytest.raises(ConfigError, match=problem):
        run(replace(config(tmp_path), workers=100_000))
    assert not list(tmp_path.iterdir())


def test_a_shared_study_takes_several_processes_but_only_one_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MACHINE, "here")
    shared = replace(config(tmp_path), storage="postgresql://nowhere/x")
    with joined(shared) as first, joined(shared) as second:
        assert first and not second
        with pytest.raises(DataError, match="is held"), joined(config(tmp_path)):
            pass
        _open_folder(open_space(shared), first)
        _open_folder(open_space(shared), second)
        with pytest.raises(DataError, match=r"space\.json: is of another experiment or search space"):
            _open_folder(open_space(replace(shared, space={"k": (1,)})), second)
    with joined(replace(shared, storage="")) as alone:
        assert alone


def test_two_folders_with_one_sqlite_study_take_turns(tmp_path: Path) -> None:
    one, two = (replace(config(tmp_path / name), storage=f"sqlite:///{tmp_path}/study.db") for name in "ab")
    with joined(one), pytest.raises(DataError, match=r"study\.db\.s\.lock: is held"), joined(two):
        pass
