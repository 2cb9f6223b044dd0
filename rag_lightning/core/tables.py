"""Tables in a terminal: printed row by row as work goes on, or at once.

Cells are shown as they are, whatever a model, a file or a name holds: no markup, no control characters, no direction
marks. Nothing outside of core prints by rich.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from rag_lightning.core.console import CONSOLE, WIDTH, write
from rag_lightning.core.plain import visible


@dataclass(frozen=True)
class Head:
    """The head of a column. Its width is that of the text or `width`; with width 0 it takes the remaining room."""

    text: str
    width: int = 0
    align: Literal["<", ">"] = ">"

    @property
    def columns(self) -> int:
        """Width in characters."""
        return max(self.width, len(self.text))


@dataclass
class LiveTable:
    """A table that is printed row by row, with the head before the first row.

    Args:
        heads: Heads of the columns; exactly one has width 0, and its long texts are wrapped.
    """

    heads: Sequence[Head]
    begun: bool = field(default=False, init=False)

    def add(self, *cells: str, style: str = "") -> None:
        """Print a row."""
        if not self.begun:
            self.begun = True
            write("")
            self._row([head.text for head in self.heads], "bold")
        self._row(cells, style)

    def _row(self, cells: Sequence[str], style: str) -> None:
        room = WIDTH - sum(head.columns + 2 for head in self.heads if head.width)
        widths = [head.columns if head.width else room for head in self.heads]
        columns = [textwrap.wrap(visible(cell), width) or [""] for cell, width in zip(cells, widths, strict=True)]
        for line in zip_longest(*columns, fillvalue=""):
            padded = zip(line, self.heads, widths, strict=True)
            shown = "  ".join(f"{text:{head.align}{width}}" for text, head, width in padded)
            write(shown.rstrip(), style)


class Grid:
    """A table that is printed at once.

    Args:
        heads: Heads of the columns.
        title: Title above it.
        numeric: Heads of the columns that are right-aligned and never wrapped.
        folded: Heads of the columns whose long words are cut into lines, instead of their ends.
        left: Whether the title stands at the left.
    """

    def __init__(
        self, *heads: str, title: str = "", numeric: Sequence[str] = (), folded: Sequence[str] = (), left: bool = False
    ) -> None:
        columns = [
            Column(
                Text(visible(head)),
                justify="right" if head in numeric else "left",
                no_wrap=head in numeric,
                overflow="fold" if head in folded else "ellipsis",
            )
            for head in heads
        ]
        shown = Text(visible(title), "table.title") if title else None
        self._table = Table(*columns, title=shown, title_justify="left" if left else "center")

    def add(self, *cells: str | tuple[str, str]) -> None:
        """Add a row of texts, or of (text, its style as rich names it)."""
        styled = [(cell, "") if isinstance(cell, str) else cell for cell in cells]
        self._table.add_row(*(Text(visible(text), style) for text, style in styled))

    def show(self, to: Literal["stdout", "stderr"] = "stdout") -> None:
        """Print it."""
        (CONSOLE if to == "stderr" else Console(highlight=False)).print(self._table)
