"""A made-up sweep folder, and its page."""

import shutil
from pathlib import Path

import pytest

from rag_lightning.report.paper import Paper, read_paper
from rag_lightning.report.sweep_page import render
from tests.run_folders import svg_only
from tests.sweep_folders import Maker, fill

ROOT = Path(__file__).parents[3]
PAPER = ROOT / "reports" / "paper.yaml"


@pytest.fixture(autouse=True)
def one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    svg_only(monkeypatch)


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    """An empty sweep."""
    return Maker(tmp_path)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Trials on dev, a final and a baseline on test, one failed and one cut off; no test may change it."""
    made = Maker(tmp_path_factory.mktemp("filled"))
    fill(made)
    return made


@pytest.fixture
def full(filled: Maker, tmp_path: Path) -> Maker:
    """A copy of `filled`."""
    for folder in ("runs", "artifacts"):
        shutil.copytree(filled.root / folder, tmp_path / folder)
    return Maker(tmp_path)


@pytest.fixture(scope="session")
def full_page(filled: Maker, paper_path: Path) -> Path:
    """The page of `filled`; no test may change it."""
    with pytest.MonkeyPatch.context() as patch:
        svg_only(patch)
        return render(filled.folder, filled.artifacts, filled.root / "out", paper_path)


@pytest.fixture(scope="session")
def paper_path() -> Path:
    """The published numbers' file."""
    return PAPER


@pytest.fixture(scope="session")
def paper() -> Paper:
    """The published numbers."""
    return read_paper(PAPER)
