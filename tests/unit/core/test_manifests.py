"""Manifests that were altered, or that somebody who shares a folder has written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.artifacts import MANIFEST, Artifact, ArtifactStore, Recipe, open_artifact
from rag_lightning.core.errors import ArtifactError
from rag_lightning.core.files import write_sealed

RECIPE = Recipe("things", {"a": 1}, {}, 1)


def make(folder: Path) -> Mapping[str, Any]:
    (folder / "data.txt").write_text("content\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "more.bin").write_bytes(bytes(range(256)))
    return {"rows": 1}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def built(store: ArtifactStore) -> Artifact:
    return store.build(RECIPE, make)


def changed(built: Artifact, **changes: Any) -> None:
    """Alter the manifest and seal it again, as one who shares a folder can."""
    write_sealed(built.path / MANIFEST, json.loads((built.path / MANIFEST).read_text()) | changes)


def test_an_altered_manifest_is_found(built: Artifact) -> None:
    manifest = built.path / MANIFEST
    manifest.write_text(manifest.read_text().replace('"rows": 1', '"rows": 2'))
    with pytest.raises(ArtifactError, match=r"manifest\.json: was altered: .*; remove the folder .* and run again"):
        open_artifact(built.path)


@pytest.mark.parametrize("named", [{}, {"data.txt": None}])
def test_a_file_that_the_manifest_does_not_name_is_refused(built: Artifact, named: dict[str, None]) -> None:
    stated = built.manifest["files"]
    changed(built, files={name: stated[name] for name in named})
    with pytest.raises(ArtifactError, match=r"(data\.txt|more\.bin): is not named in manifest\.json; move it away"):
        open_artifact(built.path)


def test_hidden_files_of_the_system_are_no_files_of_an_artifact(built: Artifact) -> None:
    (built.path / ".DS_Store").write_text("x")
    (built.path / "sub" / ".nfs0001").write_text("x")
    assert open_artifact(built.path).digest == RECIPE.digest


@pytest.mark.parametrize(
    "entry",
    [
        {"../../other": {"size": 1, "mtime_ns": 1, "sha256": "0"}},
        {"/etc/passwd": {"size": 1, "mtime_ns": 1, "sha256": "0"}},
        {"data.txt": {"size": "8"}},
        {"data.txt": 8},
        ["data.txt"],
    ],
)
def test_an_entry_of_a_manifest_that_is_no_file_of_the_folder_is_refused(built: Artifact, entry: Any) -> None:
    changed(built, files=entry)
    with pytest.raises(
        ArtifactError, match=r"manifest\.json: field 'files.*' is missing or damaged; remove the folder"
    ):
        open_artifact(built.path)


def test_the_manifest_of_another_artifact_is_refused(built: Artifact, store: ArtifactStore) -> None:
    changed(built, digest="f" * 16)
    with pytest.raises(ArtifactError, match=r"manifest\.json: is of things/f{16}; remove the folder"):
        ArtifactStore(store.root).build(RECIPE, make)
