"""Every kind of page in headless Chromium, of tidy runs, of hostile ones, and of none."""

from pathlib import Path
from typing import Any

import pytest

from tests.browsing import AXE, MARKS, NO_AXE, SCREENS, crossed, injected, opened, serious, stacked
from tests.made_pages import (
    assess_page,
    claims_page,
    compare_page,
    hostile_assess_page,
    hostile_claims_page,
    hostile_compare_page,
    hostile_inspect_page,
    hostile_paper_page,
    hostile_sweep_page,
    inspect_page,
    paper_page,
    sweep_page,
)

pytestmark = MARKS
TIDY = (sweep_page, paper_page, claims_page, assess_page, compare_page, inspect_page)
BAD = (
    hostile_sweep_page,
    hostile_paper_page,
    hostile_claims_page,
    hostile_assess_page,
    hostile_compare_page,
    hostile_inspect_page,
)


@pytest.fixture(scope="module", params=(*TIDY, *BAD), ids=lambda make: make.__name__)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """A page, and whether its texts are hostile."""
    return request.param(tmp_path_factory.mktemp("page")), request.param in BAD


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_it_reads_well_and_nothing_in_it_runs(browser: Any, made: tuple[Path, bool], width: int, scheme: str) -> None:
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
