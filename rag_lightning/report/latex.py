"""Tables as LaTeX: booktabs rules, labels, the best of a column bold, superscripts that do not shift the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag_lightning.core.plain import clean
from rag_lightning.report.tables import APPROXIMATE, Cell, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "·": r"$\cdot$",
    "\N{EN DASH}": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\N{MINUS SIGN}": "$-$",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "✓": r"$\surd$",
    APPROXIMATE: r"\dag{}",
} | {sign: f"\\{sign}" for sign in "{}$&#%_"}
SIGNS = frozenset(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x180)])) - frozenset("ĦħĸĿŀŉŦŧſ")
"""Signs that pdfLaTeX prints by the packages of HEAD."""
HEAD = r"""% Needs \usepackage{booktabs}, \usepackage{graphicx}, \usepackage[T1]{fontenc}, \usepackage{textcomp}.
% Signs of other scripts: XeLaTeX and LuaLaTeX print them, pdfLaTeX their number.
\DeclareRobustCommand{\ragsign}[2]{\ifdefined\XeTeXversion#1\else\ifdefined\directlua#1\else\texttt{U+#2}\fi\fi}
"""
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Makes what follows as wide as the text if it is wider, never larger than it is."""
WORDY = 40
"""Characters of a text above which its column is a paragraph."""


def to_latex(tables: Iterable[Table]) -> str:
    """`table` environments with booktabs rules."""
    return HEAD + "\n".join(_latex(table.visible()) for table in tables)


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(map(_escaped, clean(text)))


def _escaped(sign: str) -> str:
    if sign in _LATEX:
        return _LATEX[sign]
    return sign if sign in SIGNS else rf"\ragsign{{{sign}}}{{{ord(sign):04X}}}"


def _latex(table: Table) -> str:
    layout = "".join(_layout(table, place) for place in range(len(table.columns)))
    heads = " & ".join(escape_latex(column.head) for column in table.columns)
    marks = [max((len(row.cells[i].marks) for row in table.rows), default=0) for i in range(len(table.columns))]
    rows = [
        " & ".join(_cell(cell, row.strong, width) for cell, width in zip(row.cells, marks, strict=True)) + r" \\"
        for row in table.rows
    ]
    notes = [rf"\par {escape_latex(note)}" for note in table.notes]
    notes = [r"\par\smallskip\raggedright\footnotesize", *notes] if notes else []
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{escape_latex(table.title)}}}"]
    lines += [rf"\label{{tab:{re.sub(r'[^a-z0-9-]', '-', table.name.lower())}}}"] if table.name else []
    lines += [FITTED, rf"\begin{{tabular}}{{{layout}}}", r"\toprule", heads + r" \\"]
    lines += [r"\midrule", *rows, r"\bottomrule", r"\end{tabular}}", *notes, r"\end{table}", ""]
    return "\n".join(lines)


def _layout(table: Table, place: int) -> str:
    if table.columns[place].numeric:
        return "r"
    longest = max((len(row.cells[place].text) for row in table.rows), default=0)
    return "l" if longest <= WORDY else r"p{0.45\linewidth}"


def _cell(cell: Cell, strong: bool, marks: int) -> str:
    """One cell; letters stand in a box as wide as the most letters of the column, so that digits stay aligned."""
    text = escape_latex(cell.text)
    text = rf"\textbf{{{text}}}" if (strong or cell.best) and text else text
    if marks and cell.value is not None:
        text += rf"\makebox[{0.5 * marks:.1f}em][l]{{\textsuperscript{{{escape_latex(cell.marks)}}}}}"
    return rf"{text} {{\scriptsize {escape_latex(cell.interval)}}}" if cell.interval else text
