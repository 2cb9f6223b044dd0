"""Stores in folders of any name, moved, copied, and given to Optuna too."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from mlflow.artifacts import download_artifacts
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache
from sqlalchemy import Engine, event

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import sqlite_url
from rag_lightning.sweep.run import run
from rag_lightning.sweep.storage import open_storage, study_file
from rag_lightning.tracking import track
from rag_lightning.tracking.mirror import Mirror
from rag_lightning.tracking.places import check_apart, file_of, for_client
from rag_lightning.tracking.store import default_uri
from tests.making import script
from tests.odd_folders import ODD
from tests.run_folders import make_run

Project = Callable[[str], Path]


@pytest.fixture
def project(uri: str, tmp_path: Path) -> Project:
    """Makes projects with one run and a store, a copy, because making one takes seconds."""

    def make(name: str) -> Path:
        root = tmp_path / name
        make_run(root)
        shutil.copyfile(file_of(uri), root / "mlflow.db")
        return root

    return make


def client(uri: str) -> MlflowClient:
    """A client as of another process, which has no memory of a run's place."""
    _artifact_repos_cache.clear()
    return MlflowClient(for_client(uri))


def sent(root: Path, run_id: str = "r1") -> str:
    _artifact_repos_cache.clear()
    found = Mirror("", "nq", root, pytest.fail).child(root / "runs" / "s1" / run_id)
    assert found
    return found


def files_of(root: Path, run_id: str) -> list[str]:
    """The files of a run in MLflow; each can be fetched."""
    uri = default_uri(root)
    found = [file.path for file in client(uri).list_artifacts(run_id)]
    with TemporaryDirectory() as place:
        download_artifacts(run_id=run_id, tracking_uri=for_client(uri), dst_path=place)
        for path in found:
            stored = root / "mlartifacts" / run_id / "artifacts" / path
            assert stored.stat().st_size and (Path(place) / path).read_bytes() == stored.read_bytes()
    return found


@pytest.mark.parametrize("name", ODD)
def test_a_project_in_a_folder_of_any_name(name: str, project: Project, tmp_path: Path) -> None:
    root = project(name)
    run_id = sent(root)
    assert {"run.json", "predictions.json"} <= set(files_of(root, run_id))
    assert list(tmp_path.iterdir()) == [root] and file_of(default_uri(root)) == root / "mlflow.db"
    assert {path.name for path in root.iterdir()} >= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}


def test_a_moved_project_keeps_its_files_and_writes_nothing_where_it_was(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = project("old %20 place"), tmp_path / "new?place"
    first = sent(before)
    made = client(default_uri(before))
    model = made.create_logged_model(made.get_run(first).info.experiment_id, "m")
    capsys.readouterr()
    before.rename(after)
    make_run(after, "r2")
    second = sent(after, "r2")
    shown = capsys.readouterr().err
    assert f"{after}/mlflow.db has moved: the files of its runs were in {before}/mlartifacts" in shown
    assert shown.count("\n") == 1 and not before.exists()
    assert files_of(after, first) == files_of(after, second)
    moved = client(default_uri(after)).get_logged_model(model.model_id)
    assert moved.artifact_location == model.artifact_location.replace(before.as_uri(), after.as_uri())
    links = [path.read_bytes() for path in after.glob("runs/*/*/mlflow.json")]
    track.run(ExperimentConfig(folder=str(after)))
    assert [path.read_bytes() for path in after.glob("runs/*/*/mlflow.json")] == links, "nothing is sent again"
    assert "has moved" not in capsys.readouterr().err and not before.exists()


class Started(Exception):
    """The server runs."""


@pytest.mark.parametrize("damaged", [False, True])
def test_make_shows_the_files_of_a_moved_project_before_any_other_command(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damaged: bool,
) -> None:
    before, after = project("before"), tmp_path / "after"
    run_id = sent(before)
    before.rename(after)
    if damaged:
        (after / "mlflow.db").write_bytes(b"no database" * 100)

    def start(program: Path, words: list[str]) -> None:
        raise Started

    monkeypatch.chdir(after)
    monkeypatch.setattr(script.os, "execv", start)
    capsys.readouterr()
    with pytest.raises(Started):
        script.main("mlflow-ui", ["PORT"])
    shown = capsys.readouterr().err
    if damaged:
        assert "mlflow.db: the places of its files were not checked (" in shown and "not a database" in shown
    else:
        assert "has moved" in shown and "run.json" in files_of(after, run_id) and not before.exists()


def test_a_copied_project_leaves_the_first_alone(project: Project, tmp_path: Path) -> None:
    first, copy = project("first"), tmp_path / "copy"
    run_id = sent(first)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    shutil.copytree(first, copy)
    make_run(copy, "r2")
    assert files_of(copy, sent(copy, "r2")) == files_of(copy, run_id)
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before


def test_a_place_that_somebody_chose_is_kept(project: Project, tmp_path: Path) -> None:
    root, chosen = project("project"), tmp_path / "disk" / "mlartifacts"
    chosen.mkdir(parents=True)
    client(default_uri(root)).create_experiment("chosen", artifact_location=chosen.as_uri())
    assert Mirror("", "chosen", root, pytest.fail).child(root / "runs" / "s1" / "r1")
    assert list(chosen.rglob("run.json"))


# --- Optuna and MLflow ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sqlite:////x/a.db", "sqlite:////x/a.db", True),
        ("sqlite:////x/y/../a.db", "sqlite:////x/%61.db?timeout=9", True),
        ("sqlite:////x/a.db", "sqlite:////x/b.db", False),
        ("postgresql://h/x", "postgresql+psycopg://me:pw@h:5432/x", True),
        ("postgresql://h/x", "postgresql://h:5433/x", False),
        ("postgresql://h/x", "postgresql://h/y", False),
        ("http://h:5000", "postgresql://h/x", False),
        ("nothing", "sqlite:////x/a.db", False),
    ],
)
def test_whether_two_urls_are_one_database(one: str, other: str, same: bool) -> None:
    for pair in ((one, other), (other, one)):
        if not same:
            check_apart(*pair)
            continue
        with pytest.raises(ConfigError, match=r"storage and tracking_uri are both .*; give Optuna and MLflow") as error:
            check_apart(*pair)
        assert "pw" not in str(error.value)


def swept(root: Path) -> SweepConfig:
    return SweepConfig(name="s", experiment=ExperimentConfig(folder=str(root)), space={"k": (1, 2)}, always=())


def test_one_database_for_both_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    config = swept(tmp_path / "project")
    tracked = replace(config.experiment, tracking_uri=sqlite_url(study_file(config)))
    for given in (replace(config, storage=default_uri(tmp_path / "project")), replace(config, experiment=tracked)):
        with pytest.raises(ConfigError, match="storage and tracking_uri are both sqlite:"):
            run(given)
    assert not list(tmp_path.iterdir())


def test_neither_opens_the_database_of_the_other(project: Project, warnings: list[str]) -> None:
    root = project("project")
    content = (root / "mlflow.db").read_bytes()
    with pytest.raises(DataError, match="storage: cannot be opened by Optuna: it is the database of MLflow"):
        open_storage(replace(swept(root), storage=default_uri(root)))
    assert (root / "mlflow.db").read_bytes() == content
    study_file(swept(root)).parent.mkdir(parents=True)
    open_storage(swept(root)).engine.dispose()
    mirror = Mirror(sqlite_url(study_file(swept(root))), "nq", root, warnings.append)
    assert mirror.child(root / "runs" / "s1" / "r1") is None
    assert len(warnings) == 1 and "study.db is the database of Optuna; give MLflow another tracking_uri" in warnings[0]


def test_a_store_whose_creation_was_killed_is_made_anew(tmp_path: Path, run_maker: Callable[..., Path]) -> None:
    def killed(*given: Any) -> None:
        if "CREATE TABLE model_version_tags" in given[2]:
            raise KeyboardInterrupt

    uri, folder = default_uri(tmp_path), run_maker(tmp_path, "r1")
    event.listen(Engine, "after_cursor_execute", killed)
    try:
        with pytest.raises(KeyboardInterrupt):
            Mirror(uri, "nq", tmp_path, pytest.fail).child(folder)
    finally:
        event.remove(Engine, "after_cursor_execute", killed)
    assert not (tmp_path / "mlflow.db").exists()
    assert Mirror(uri, "nq", tmp_path, pytest.fail).child(folder)
    assert not list(tmp_path.glob("mlflow.db.new*"))


@pytest.mark.parametrize("linked", ["mlflow.db", "mlartifacts/outside"])
def test_nothing_is_written_through_a_link(linked: str, project: Project, tmp_path: Path) -> None:
    root, outside = project("linked"), tmp_path / "outside"
    outside.mkdir()
    shutil.copyfile(root / "mlflow.db", outside / "mlflow.db")
    before = (outside / "mlflow.db").read_bytes()
    (root / "mlartifacts").mkdir()
    (root / linked).unlink(missing_ok=True)
    (root / linked).symlink_to(outside / "mlflow.db" if linked == "mlflow.db" else outside)
    said: list[str] = []
    assert Mirror("", "nq", root, said.append).child(root / "runs" / "s1" / "r1") is None
    assert f"{linked} is a link, and nothing is written through one; remove it, or put a copy there" in said[0]
    assert [path.name for path in outside.iterdir()] == ["mlflow.db"] and (outside / "mlflow.db").read_bytes() == before


def test_the_folder_of_all_files_may_be_a_link_to_another_disk(project: Project, tmp_path: Path) -> None:
    root = project("large")
    (tmp_path / "disk").mkdir()
    (root / "mlartifacts").symlink_to(tmp_path / "disk")
    assert "run.json" in files_of(root, sent(root))
