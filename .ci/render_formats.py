"""The test fixtures of all formats -> the matrix after `<!-- formats -->` in docs/own-data.md.

Without arguments the page is rewritten; with `--check` a page that differs is a problem.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "own-data.md"
BLOCK = re.compile(r"(<!-- formats -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str, matrix: str) -> str:
    """A page with the matrix in its place."""
    return BLOCK.sub(lambda match: f"{match[1]}{matrix}{match[2]}", page)


def main(arguments: list[str]) -> int:
    """Write the page, or with --check only say whether it differs; 1 if it does."""
    sys.path.insert(0, str(ROOT))
    from tests.format_matrix import table

    with tempfile.TemporaryDirectory() as folder:
        matrix = table(Path(folder))
    page = PAGE.read_text(encoding="utf-8")
    if arguments != ["--check"]:
        PAGE.write_text(render(page, matrix), encoding="utf-8")
        return 0
    differs = render(page, matrix) != page
    if differs:
        print("docs/own-data.md: differs from the formats of the tests; run `make docs`", file=sys.stderr)
    print(f"render_formats: {matrix.count(chr(10)) - 2} formats, {int(differs)} problems")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
