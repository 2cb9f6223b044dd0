"""The LaTeX of pages and fragments, compiled by the TeX that is there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_lightning.report.latex import to_latex
from rag_lightning.report.tables import Cell, Column, Row, Table
from tests.made_pages import hostile_paper_page, hostile_sweep_page, paper_page, sweep_page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
PAPER = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\begin{document}
Text before it.
\input{table}
Text after it.
\end{document}
"""
SCRIPTS = "Ж é ĸ ſ ħ \U001048b1 日本 עברית \u202e\u200f العربية 😀 \u2028 \ufffe"


def compile_tex(engine: str, folder: Path, table: str) -> None:
    """Compile a paper that has the tables; the first error ends it."""
    if shutil.which(engine) is None:
        pytest.skip(f"needs {engine}, of the Debian packages texlive-latex-recommended and texlive-xetex")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.tex").write_text(table, encoding="utf-8")
    (folder / "paper.tex").write_text(PAPER, encoding="utf-8")
    words = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 1000


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
@pytest.mark.parametrize("make", [sweep_page, paper_page, hostile_sweep_page, hostile_paper_page])
def test_the_tables_of_a_page_compile(engine: str, make: Callable[[Path], Path], tmp_path: Path) -> None:
    page = make(tmp_path / "project")
    compile_tex(engine, tmp_path / "tex", (page.parent / "table.tex").read_text(encoding="utf-8"))


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_any_sign_compiles(engine: str, tmp_path: Path) -> None:
    keys = "".join(map(chr, range(0x00, 0x7F)))
    every = f"{keys[::-1]}{SCRIPTS}"
    texts = (keys, every, r"\input{paper} \write18{x} ^^5cend", "$$ \\begin{x} \\\\ & %", "ß±§€·–…" * 9)
    rows = tuple(Row((Cell(text, marks="ab", value=1.0), Cell(text))) for text in texts)
    columns = (Column(keys), Column(f"{keys}{SCRIPTS}", numeric=False))
    compile_tex(engine, tmp_path, to_latex([Table(keys, columns, rows, texts, name=keys, lead=keys)]))


@pytest.mark.parametrize("number", ["1", "2", "4", "5", "6", "7"])
def test_a_fragment_made_in_an_empty_folder_compiles(number: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"from rag_lightning.cli import main; sys.exit(main(['report', '--table', '{number}', '--fragment']))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=empty, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not list(empty.iterdir()), done.stderr
    compile_tex("pdflatex", tmp_path / "tex", done.stdout)
