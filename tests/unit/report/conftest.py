"""A made-up sweep folder."""

from pathlib import Path

import pytest

from rag_lightning.report import charts
from rag_lightning.report.paper import Paper, read_paper
from tests.sweep_folders import Maker, fill

ROOT = Path(__file__).parents[3]
PAPER = ROOT / "reports" / "paper.yaml"


@pytest.fixture(autouse=True)
def one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are written as SVG only, which is three times as fast; test_charts.py writes the others."""
    monkeypatch.setattr(charts, "FORMATS", {"svg": charts.FORMATS["svg"]})


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    """An empty sweep."""
    return Maker(tmp_path)


@pytest.fixture
def full(maker: Maker) -> Maker:
    """Trials on dev, a final and a baseline on test, one failed and one cut off."""
    fill(maker)
    return maker


@pytest.fixture(scope="session")
def paper_path() -> Path:
    """The published numbers' file."""
    return PAPER


@pytest.fixture(scope="session")
def paper() -> Paper:
    """The published numbers."""
    return read_paper(PAPER)
