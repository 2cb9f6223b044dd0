"""What is asked of every page in a real browser: nothing runs, nothing is cut, nothing lies over something else."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
AXE = Path(os.environ.get("NODE_PATH", "node_modules")) / "axe-core" / "axe.min.js"
NO_AXE = "needs axe-core in the folder NODE_PATH, or in node_modules; all else was checked"
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs the Debian package chromium"),
    pytest.mark.timeout(300),
]
HOSTILE = (
    "<script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'> \u202e\x00",
    "</script><b>x</b> | `a` | \\input{x} _ % & # $ { } ~ ^",
    "y" * 50_000,
)
SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
_CROSSED = """() => {
  const found = [], seen = (at) => at.getClientRects().length && getComputedStyle(at).visibility !== 'hidden';
  const apart = (name, all) => all.filter(seen).reduce((before, at) => {
    if (before && at.getBoundingClientRect().top < before.getBoundingClientRect().bottom - 1.5)
      found.push(`${name} over another: ${at.textContent.trim().slice(0, 60)}`);
    return at;
  }, null);
  apart('section', [...document.querySelectorAll('main > section')]);
  for (const body of document.querySelectorAll('tbody')) apart('row', [...body.rows]);
  for (const cell of document.querySelectorAll('td, th')) {
    if (!seen(cell)) continue;
    const box = cell.getBoundingClientRect(), inside = document.createRange();
    inside.selectNodeContents(cell);
    for (const text of inside.getClientRects())
      if (text.right > box.right + 2 || text.left < box.left - 2 || text.bottom > box.bottom + 2)
        found.push(`text outside of its cell: ${cell.textContent.trim().slice(0, 60)}`);
  }
  return [...new Set(found)];
}"""
_STACKED = """() => [...document.querySelectorAll('tbody td, tbody th')].filter((cell) => {
  const inside = document.createRange();
  inside.selectNodeContents(cell);
  const lines = new Set([...inside.getClientRects()].map((line) => Math.round(line.bottom / 8))).size;
  return lines > 4 && lines > 0.6 * cell.textContent.trim().split(/\\s+/).length;
}).map((cell) => cell.textContent.trim().slice(0, 60))"""


@contextmanager
def opened(browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """A page in a browser without memory; anything it complains of, or asks for elsewhere, fails the test."""
    context, problems = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme), []
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "blob:")) else problems.append(request.url)
    )
    page.goto(path.as_uri())
    try:
        yield page
    finally:
        context.close()
    assert problems == []


def crossed(page: Any) -> list[str]:
    """What lies over another section or row or out of its cell, and whether the page scrolls sideways."""
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*page.evaluate(_CROSSED), *([f"the page is {wide} pixels too wide"] if wide > 0 else [])]


def stacked(page: Any) -> list[str]:
    """Cells that are columns of single words."""
    found: list[str] = page.evaluate(_STACKED)
    return found


def injected(page: Any) -> list[str]:
    """Texts of a model or data set that ran, or became elements."""
    elements = page.locator("img, iframe, b, td script, th script, svg script").all()
    found = [element.evaluate("(it) => it.outerHTML") for element in elements]
    return [*found, *(["a script ran"] if page.evaluate("window.ran") is not None else [])]


def serious(page: Any) -> list[tuple[str, str]]:
    """Rule and first element of what axe calls serious or critical."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
