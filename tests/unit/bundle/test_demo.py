"""`demo`: a bundle is unpacked into a folder of its own, and its report shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rag_lightning.bundle import command
from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig
from tests.run_folders import svg_only


@pytest.fixture(autouse=True)
def one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    svg_only(monkeypatch)


def test_the_demo_unpacks_and_shows_the_report(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    assert main(["demo", "--bundle", str(whole), "--to", str(tmp_path / "demo")]) == 0
    page = tmp_path / "demo" / "reports" / "out" / "tiny" / "index.html"
    assert capsys.readouterr().out == f"{page.as_uri()}\n" and not shown
    assert "All configurations on tiny dev" in page.read_text()
    (tmp_path / "own").mkdir()
    assert main(["demo", "--bundle", str(whole), "--to", str(tmp_path / "own")]) == 2
    assert "holds something else" in capsys.readouterr().err


def test_the_demo_of_a_matrix_shows_the_tables_of_the_paper(
    tiny_sweep: SweepConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "artifacts").symlink_to(Path(tiny_sweep.experiment.folder) / "artifacts")
    for stored in sorted(Path(tiny_sweep.experiment.folder).glob("runs/tiny/test-*")):
        shutil.copytree(stored, root / "runs" / "experiments" / stored.name)
    assert main(["export", "experiments", "--to", str(tmp_path / "m.zip"), "--folder", str(root)]) == 0
    assert main(["verify", str(tmp_path / "m.zip")]) == 0
    assert "of 4 runs, n = 11 to 12: no difference" in capsys.readouterr().err
    assert main(["demo", "--bundle", str(tmp_path / "m.zip"), "--to", str(tmp_path / "demo")]) == 0
    page = tmp_path / "demo" / "reports" / "out" / "paper-mini" / "index.html"
    assert capsys.readouterr().out == f"{page.as_uri()}\n" and page.is_file()


def test_a_browser_is_opened_from_a_terminal(monkeypatch: pytest.MonkeyPatch, whole: Path, tmp_path: Path) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(command, "_page", lambda contents, folder: folder / "index.html")
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["demo", "--bundle", str(whole), "--to", str(tmp_path / "demo")]) == 0
    assert main(["demo", "--bundle", str(whole), "--to", str(tmp_path / "demo")]) == 0, "it is there already"
    assert shown == 2 * [(tmp_path / "demo" / "index.html").as_uri()]
