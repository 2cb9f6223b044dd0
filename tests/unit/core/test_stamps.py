"""Large files of artifacts are hashed once in a place, and then compared by their stamp."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core import artifacts, files
from rag_lightning.core.artifacts import Artifact, ArtifactStore, Recipe, open_artifact
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.stamps import STAMPS

RECIPE = Recipe("things", {"a": 1, "b": [2, 3]}, {"corpus": "0" * 16}, 1)


def write_content(folder: Path) -> Mapping[str, Any]:
    (folder / "data.txt").write_text("content\n")
    return {"rows": 1}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Artifact:
    """An artifact whose file counts as large."""
    monkeypatch.setattr(artifacts, "HASH_LIMIT", 4)
    return ArtifactStore(tmp_path / "large").build(RECIPE, write_content)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are hashed from now on."""
    found: list[str] = []
    monkeypatch.setattr(artifacts, "file_sha256", lambda path: found.append(path.name) or files.file_sha256(path))
    return found


def test_a_large_file_is_hashed_where_it_is_published_and_then_compared_by_its_stamp(
    large: Artifact, hashed: list[str]
) -> None:
    assert open_artifact(large.path).digest == RECIPE.digest
    assert not hashed
    open_artifact(large.path, deep=True)
    assert hashed == ["data.txt"]


def test_a_copied_large_file_is_hashed_once_in_its_new_place(
    large: Artifact, hashed: list[str], tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / large.path.name
    shutil.copytree(large.path, copy)
    for _ in range(3):
        open_artifact(copy)
    assert hashed == ["data.txt"]
    (copy / STAMPS).write_text("{}")
    open_artifact(copy)
    assert len(hashed) == 2, "stamps that are damaged count as none"


def test_a_change_of_a_large_file_is_found_by_its_stamp_or_deep(large: Artifact) -> None:
    path = large.path / "data.txt"
    before = path.stat()
    path.write_text("CONTENT\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(ArtifactError, match="was altered"):
        open_artifact(large.path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert open_artifact(large.path).digest == RECIPE.digest, "the stamp was kept"
    files._sha256.cache_clear()
    with pytest.raises(ArtifactError, match="was altered"):
        open_artifact(large.path, deep=True)
    path.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        open_artifact(large.path)
