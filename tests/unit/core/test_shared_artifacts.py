"""Artifacts in a folder that several machines share, where locks may not hold."""

from pathlib import Path

import pytest

from rag_lightning.core.artifacts import MACHINE, ArtifactStore, Recipe


def test_machines_that_share_a_folder_keep_the_first_complete_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MACHINE, "first")
    recipe = Recipe("x", {}, {}, 1)
    seen = []

    def other(folder: Path) -> dict[str, int]:
        seen.append(folder.name)
        (folder / "f").write_text("second")
        return {}

    def make(folder: Path) -> dict[str, int]:
        seen.append(folder.name)
        (folder / "f").write_text("first")
        monkeypatch.setenv(MACHINE, "second")  # its lock does not hold on the other machine
        ArtifactStore(tmp_path)._make(recipe, other, False)
        return {}

    made = ArtifactStore(tmp_path).build(recipe, make)
    assert (made.path / "f").read_text() == "second"
    assert seen == [f"{recipe.digest}.first.partial", f"{recipe.digest}.second.partial"]
    assert [path.name for path in (tmp_path / "x").iterdir() if path.is_dir()] == [recipe.digest]
