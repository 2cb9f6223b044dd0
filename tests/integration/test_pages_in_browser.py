"""Every kind of page in headless Chromium, of tidy runs, of hostile ones, and of none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.assess.pairs import PAGE
from rag_lightning.config.commands import PaperConfig
from rag_lightning.paper import command as paper
from rag_lightning.report.sweep_page import render
from tests.assessing import assess, make_runs, save
from tests.browsing import AXE, HOSTILE, MARKS, NO_AXE, SCREENS, crossed, injected, opened, serious, stacked
from tests.sweep_folders import Maker, fill

pytestmark = MARKS
ROOT = Path(__file__).parents[2]


def sweep_page(root: Path) -> Path:
    maker = Maker(root)
    fill(maker)
    return render(maker.folder, maker.artifacts, root / "out", ROOT / "reports/paper.yaml", ROOT / "reports/later.yaml")


def hostile_sweep_page(root: Path) -> Path:
    maker = Maker(root, dataset=HOSTILE[2])
    maker.sweep(name=HOSTILE[0], warnings=list(HOSTILE))
    for place, bad in enumerate(HOSTILE):
        changes = {"label": bad, "notes": [bad], "packages": {bad: bad}, "git": {"sha": bad}, "command": bad}
        system = {"retriever": bad, "formulation": bad}
        maker.run(f"t{place}", "trial", "dev", 0.5, system=system, label=bad)
        maker.run(f"f{place}", "final", "test", 0.5, system=system, answer=bad, **changes)
    return render(maker.folder, maker.artifacts, root / "out", ROOT / "reports/paper.yaml")


def paper_page(root: Path) -> Path:
    paper.run(PaperConfig(folder=str(root)))
    return root / "reports" / "out" / "paper-mini" / "index.html"


def assessed(root: Path, make: Callable[[int], str]) -> Path:
    make_runs(root, texts={"bart": make, "subject": make})
    folder = assess(root, pairs=20)
    save(folder, "Ann")
    return folder


def hostile(place: int) -> str:
    return f"{HOSTILE[place % len(HOSTILE)]} {place}"


def hostile_paper_page(root: Path) -> Path:
    assessed(root, hostile)
    return paper_page(root)


def assess_page(root: Path) -> Path:
    return assessed(root, lambda place: f"A sentence of some words on the author number {place}") / PAGE


def hostile_assess_page(root: Path) -> Path:
    return assessed(root, hostile) / PAGE


TIDY = (sweep_page, paper_page, assess_page)
BAD = (hostile_sweep_page, hostile_paper_page, hostile_assess_page)


@pytest.fixture(scope="module", params=(*TIDY, *BAD), ids=lambda make: make.__name__)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """A page, and whether its texts are hostile."""
    return request.param(tmp_path_factory.mktemp("page")), request.param in BAD


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_it_reads_well_and_nothing_in_it_runs(
    browser: Any, made: tuple[Path, bool], width: int, scheme: str
) -> None:
    path, bad = made
    with opened(browser, path, width, scheme) as page:
        assert crossed(page) == []
        if page.locator("#annotator").count():
            page.get_by_label("Your name or initials").fill("Dee")
            page.keyboard.press("Enter")
            for _ in range(4):
                page.keyboard.press("1")
                page.keyboard.press("n")
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert crossed(page) == []
        assert injected(page) == []
        if not bad:
            assert stacked(page) == []
        if not AXE.exists():
            pytest.skip(NO_AXE)
        assert serious(page) == []
