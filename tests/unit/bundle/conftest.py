"""A bundle of the tiny sweep."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from rag_lightning.bundle.material import Project
from rag_lightning.bundle.writing import select, write_bundle
from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig


@pytest.fixture(scope="session")
def whole(tiny_sweep: SweepConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the whole sweep."""
    target = tmp_path_factory.mktemp("bundles") / "tiny.zip"
    folder = tiny_sweep.experiment.folder
    assert main(["export", "tiny", "--to", str(target), "--folder", folder]) == 0
    return target


@pytest.fixture
def small(tiny_sweep: SweepConfig, whole: Path, tmp_path: Path) -> Path:
    """The unpacked bundle of one run on test that read passages."""
    with zipfile.ZipFile(whole) as archive:
        names = [Path(name).parent.name for name in archive.namelist() if name.endswith("run.json")]
    (name,) = (name for name in names if name.startswith("test-rag-token-bm25"))
    root = Path(tiny_sweep.experiment.folder)
    write_bundle(Project(root), select(root, f"tiny/{name}"), tmp_path / "one.zip")
    shutil.unpack_archive(tmp_path / "one.zip", tmp_path / "one")
    return tmp_path / "one"
