"""The code of docs/extending/ is that of test_extending.py, which runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "extending").glob("*.md"))
TESTED = (ROOT / "tests" / "contracts" / "test_extending.py").read_text(encoding="utf-8")


def imported(code: str) -> set[tuple[str, str]]:
    """(module, name) of every `from module import name`."""
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return {(str(node.module), alias.name) for node in found for alias in node.names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_is_run_by_a_test(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert imported(block) <= imported(TESTED)
        defined = re.sub(r"^(from .*|import .*)?\n", "", block, flags=re.MULTILINE)
        assert defined and defined in re.sub(r"^\n", "", TESTED, flags=re.MULTILINE)
