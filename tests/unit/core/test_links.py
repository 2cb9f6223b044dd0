"""Nothing is written through a link: locks, files written at once, partial folders, runs; what is read may be one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.claims.record import Entry
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import folder_digest, write_text
from rag_lightning.core.links import check_unlinked, files_below, make_folder, no_link, open_lock, remove_leftovers
from rag_lightning.corpus.passages import read_passages
from rag_lightning.corpus.rows import list_files
from rag_lightning.decoding.pair_database import PairDatabase
from rag_lightning.matrix.command import write_cells
from rag_lightning.runs import ledger
from rag_lightning.runs.ledger import Evaluation
from rag_lightning.runs.monitor import sampled
from rag_lightning.runs.record import start_run
from rag_lightning.sweep.storage import claiming, joined, open_storage
from rag_lightning.tracking.store import Store
from tests.corpus_files import ROWS
from tests.format_files import lines
from tests.run_folders import info

RECIPE = Recipe("things", {"a": 1}, {}, 1)
Act = Callable[[Path], object]


def build(root: Path, *, resumable: bool = True) -> None:
    def make(folder: Path) -> Mapping[str, Any]:
        (folder / "part").mkdir(exist_ok=True)
        (folder / "part" / "data.txt").write_text("written")
        return {}

    ArtifactStore(root / "artifacts").build(RECIPE, make, resumable=resumable)


def join(root: Path) -> None:
    with joined(swept(root)):
        pass


def claim(root: Path) -> None:
    with claiming(swept(root), "study"):
        pass


def hold(root: Path) -> None:
    with Store(f"sqlite:///{root}/mlflow.db", "nq", root, {}).locked():
        pass


def sample(root: Path) -> None:
    with sampled(root / "runs" / "s"):
        pass


def swept(root: Path) -> SweepConfig:
    return SweepConfig(name="s", experiment=ExperimentConfig(folder=str(root)))


def evaluated(root: Path) -> None:
    ledger.append(root, Evaluation("s", "r", "l", "final", "test", "nq", "d"))


def keep_pairs(root: Path) -> None:
    PairDatabase(root / "artifacts" / "pairs" / "p.sqlite", {}, print).close()


PARTIAL, SHARDS = f"artifacts/things/{RECIPE.digest}.partial", f"artifacts/things/{RECIPE.digest}.partial/part"
FILES: dict[str, Act] = {
    f"artifacts/things/{RECIPE.digest}.lock": build,
    f"{SHARDS}/data.txt": build,
    "artifacts/pairs/p.sqlite": keep_pairs,
    "artifacts/pairs/p.sqlite.lock": keep_pairs,
    "runs/s.lock": join,
    "runs/s/study.db": lambda root: open_storage(swept(root)),
    "runs/s/study.db.claim.lock": claim,
    "runs/ledger.jsonl": evaluated,
    "mlflow.db.lock": hold,
}
FOLDERS: dict[str, Act] = {
    "artifacts/things": build,
    PARTIAL: build,
    SHARDS: build,
    f"artifacts/things/{RECIPE.digest}": lambda root: build(root, resumable=False),
    "artifacts/pairs": keep_pairs,
    "runs/s": lambda root: start_run(root / "runs" / "s" / "r1", info()),
    "runs/s/r1": lambda root: start_run(root / "runs" / "s" / "r1", info()),
    "runs/claims/mini-test": lambda root: Entry(root / "runs/claims/mini-test/c.json", {}).write(None),
    "cells": lambda root: write_cells(root / "cells", []),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_place_of_a_file_is_told_and_its_target_kept(name: str, there: bool, tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "project" / name
    if there:
        target.write_text("precious")
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    with pytest.raises(DataError, match=rf"{link.name}: is a link, and nothing is written through one; remove it"):
        FILES[name](tmp_path / "project")
    assert target.exists() == there and (not there or target.read_text() == "precious") and link.is_symlink()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_link_in_the_place_of_a_folder_is_told_and_its_target_stays_empty(name: str, tmp_path: Path) -> None:
    target, link = tmp_path / "elsewhere", tmp_path / "project" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    if name != f"artifacts/things/{RECIPE.digest}":  # a link to a published artifact is read
        target.mkdir()
    with pytest.raises(DataError, match=rf"{link.name}: is a link, and nothing is written through one"):
        FOLDERS[name](tmp_path / "project")
    assert not target.exists() or not list(target.iterdir())


def test_the_folders_themselves_may_be_on_another_disk(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("artifacts", "runs"):
        (tmp_path / "disk" / name).mkdir(parents=True)
        (project / name).symlink_to(tmp_path / "disk" / name)
    for act in dict.fromkeys((*FOLDERS.values(), *FILES.values())):  # folders first: files are opened in them
        if act is not hold:
            act(project)
    assert (tmp_path / "disk" / "artifacts" / "things" / RECIPE.digest / "part" / "data.txt").exists()
    assert (tmp_path / "disk" / "runs" / "s" / "r1" / "run.json").exists()


def test_an_artifact_is_read_through_a_link(tmp_path: Path) -> None:
    build(tmp_path / "theirs")
    mine = tmp_path / "mine" / "artifacts" / "things"
    mine.mkdir(parents=True)
    (mine / RECIPE.digest).symlink_to(tmp_path / "theirs" / "artifacts" / "things" / RECIPE.digest)
    found = ArtifactStore(mine.parent).find("things", RECIPE.digest)
    assert found and (found.path / "part" / "data.txt").read_text() == "written"


def test_a_sample_through_a_link_is_lost(tmp_path: Path) -> None:
    target, folder = tmp_path / "precious", tmp_path / "runs" / "s"
    target.write_text("precious")
    folder.mkdir(parents=True)
    with sampled(folder):
        pass
    for file in list(folder.iterdir()):
        file.unlink()
        file.symlink_to(target)
    with sampled(folder):
        pass
    assert target.read_text() == "precious"


def test_a_file_written_at_once_follows_no_link(tmp_path: Path) -> None:
    target, file = tmp_path / "precious", tmp_path / "made.json"
    target.write_text("precious")
    file.symlink_to(target)
    file.with_name(f"made.json.{os.getpid()}.tmp").symlink_to(target)
    write_text(file, "new")
    assert target.read_text() == "precious" and file.read_text() == "new" and not file.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.json", "precious"]


def test_the_content_of_a_lock_stays_and_other_errors_are_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text("mine")
    open_lock(tmp_path / "x.lock").close()
    assert (tmp_path / "x.lock").read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        open_lock(tmp_path / "none" / "x.lock")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"), open(tmp_path / "loop" / "x", opener=no_link):
        pass
    assert make_folder(tmp_path / "a" / "b", tmp_path).is_dir()
    check_unlinked(Path("a"), Path())


# --- what a user gives ---------------------------------------------------------------


def test_a_corpus_of_links_is_read_and_has_the_digest_of_its_files(tmp_path: Path) -> None:
    rows, expected = next(iter(ROWS.values()))
    real = tmp_path / "real" / "part"
    real.mkdir(parents=True)
    lines(real / "a.jsonl", rows)
    farm = tmp_path / "farm"
    farm.mkdir()
    (farm / "part").symlink_to(real)
    (farm / "loop").symlink_to(farm)
    (farm / ".#a.jsonl").symlink_to("somebody@host:1")  # an editor's lock
    assert list(read_passages(farm)) == expected
    assert folder_digest(farm) == folder_digest(tmp_path / "real")
    (farm / "b.jsonl").symlink_to(tmp_path / "moved.jsonl")
    with pytest.raises(DataError, match=r"b\.jsonl: is a link that leads nowhere; remove it"):
        list_files(farm)


def test_each_folder_is_visited_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        for other in ("a", "b"):
            with suppress(FileExistsError):
                (tmp_path / name / other).symlink_to(tmp_path / other)
    assert len(files_below(tmp_path)) == 2


def test_only_what_dead_processes_were_writing_goes(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    kept = [f"a.json.{os.getpid()}.tmp", "mine.tmp", f"{dead.pid}.txt"]
    for name in (*kept, f"a.json.{dead.pid}.tmp"):
        (tmp_path / name).write_text("half")
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
