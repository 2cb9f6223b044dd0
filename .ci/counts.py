"""Counts of the project: files, lines of code, configuration fields, help, README. Run `python .ci/counts.py`."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

from rag_lightning.cli import describe
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import leaves

ROOT = Path(__file__).resolve().parent.parent
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def main() -> None:
    """Print each count."""
    sources = sorted((ROOT / "rag_lightning").rglob("*.py"))
    longest = max(sources, key=lambda path: len(path.read_text(encoding="utf-8").splitlines()))
    print(f"Python files of the package      {len(sources)}")
    print(f"lines of code                    {sum(map(code_lines, sources))}")
    print(f"longest file                     {len(longest.read_text(encoding='utf-8').splitlines())} ({longest.name})")
    print(f"leaf fields of an experiment     {len(leaves(ExperimentConfig))}")
    print(f"lines of `score --help`          {len(describe('score').splitlines())}")
    print(f"words of README                  {len((ROOT / 'README.md').read_text(encoding='utf-8').split())}")


def code_lines(path: Path) -> int:
    """The number of lines of a file without blank lines, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    alone: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            alone.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - alone)


if __name__ == "__main__":
    main()
