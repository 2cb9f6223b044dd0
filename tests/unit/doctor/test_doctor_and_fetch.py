"""`doctor` tells what is there and what is damaged; `fetch` says at once what cannot be reached."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_lightning.cli import main
from rag_lightning.config.registries import INDEX_KINDS, REGISTRIES
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.assets import ASSETS, Asset
from rag_lightning.doctor import machine
from rag_lightning.stages import fetch


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (machine, fetch):
        monkeypatch.setattr(module, "hub_reachable", lambda timeout=1.5: False)


def states(root: Path, deep: bool = False) -> dict[str, str]:
    return {finding.what: finding.state for finding in machine.findings(root, deep)}


def make_artifact(root: Path) -> Path:
    def make(folder: Path) -> dict[str, int]:
        (folder / "a.txt").write_text("a")
        return {}

    return ArtifactStore(root / "artifacts").build(Recipe("corpus", {}, {}, 1), make).path


def test_an_empty_folder_is_described(tmp_path: Path) -> None:
    found = states(tmp_path / "not" / "there")
    assert found["hub"] == "note" and found["artifacts"] == "note"
    assert [found[f"asset {name}"] for name in ASSETS] == ["missing"] * len(ASSETS)
    assert {"python", "versions", "cpu", "memory", "disk", "formulations", *REGISTRIES} <= set(found)


def test_names_are_those_of_the_registries(tmp_path: Path) -> None:
    details = {finding.what: finding.detail for finding in machine.findings(tmp_path)}
    assert details["index kinds"] == ", ".join(INDEX_KINDS)
    assert details["decodings"] == (
        "greedy, beam, thorough, fast, thorough_served, fast_served, first_entity, classify, "
        "most_common, most_common_by_type, nearest_question, knn_vote"
    )
    assert "nq" in details["tasks"].split(", ")


def test_an_unknown_task_ends_doctor_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--folder", str(tmp_path), "--task.name", "feverx"]) == 2
    assert "did you mean 'fever3' or 'fever2'" in capsys.readouterr().err


def test_a_damaged_artifact_ends_doctor_with_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_artifact(tmp_path)
    (tmp_path / "artifacts" / "corpus" / "0.partial").mkdir()
    assert main(["doctor", "--folder", str(tmp_path)]) == 0
    assert "1 corpus" in capsys.readouterr().out
    (folder / "a.txt").write_text("ab")
    assert main(["doctor", "--folder", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "1 damaged artifacts" in shown.err and "damaged" in shown.out


def test_an_altered_asset_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "assets" / ASSETS["wiki"].folder
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"version": "0", "files": {}}))
    assert states(tmp_path)["asset wiki"] == "damaged"


def test_paper_scale_ends_at_once_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fetch", "--scale", "paper", "--folder", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "cannot be reached" in shown
    for need in ("GB of download", "GB of disk", "GB of memory", "facebook/wiki_dpr"):
        assert need in shown
    assert list(tmp_path.iterdir()) == []


def test_fetch_shows_size_and_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(asset: Asset, root: Path, announce: Callable[[str], None]) -> Path:
        announce(f"{asset.name}: {asset.licence}")
        folder = root / asset.folder
        folder.mkdir(parents=True)
        (folder / "data.bin").write_bytes(b"x" * 1_500_000)
        return folder

    monkeypatch.setattr(fetch, "fetch_asset", fake)
    assert main(["fetch", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().err
    assert all(asset.licence in shown for asset in ASSETS.values())
    assert shown.count("1.5 MB") == len(ASSETS)
