"""A browser for the tests of pages."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browsing import BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, started once for a file."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()
