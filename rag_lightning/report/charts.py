"""Charts: panels drawn by matplotlib, one SVG each in the page, and all of a chart as SVG, PDF and PNG files.

The same data give the same bytes. Colours are Okabe and Ito's, which colour-blind readers can tell apart; in the page
they are variables of its style, so that dark pages get lighter ones.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from rag_lightning.core.files import open_atomic
from rag_lightning.core.plain import clean

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c3e", "#6b7280")
"""Colours of lines, in order; a figure has at most as many lines."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, SOFT, LINE = "#1b2330", "#5d6778", "#e3e7ee"
"""Colours of text, secondary text and grid."""
VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line"} | {c: f"--c{i}" for i, c in enumerate(COLOURS)}
WIDTH, HEIGHT = 3.75, 2.75
"""Size of a panel in inches: a phone shows one, a screen three beside each other."""
ROOM = 1.6
"""Room beside the first and last point of a logarithmic axis, as a factor: one of 1, 2, 5, 10 is always within it."""
MARGINS = (0.66, 1.28, 0.5, 0.36)
"""Margins of a panel in inches: the right one is for the labels of lines."""
FORMATS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
    "png": {"metadata": {"Software": None}, "dpi": 140},
}
STYLE: Any = {
    "svg.hashsalt": "rag-lightning",
    "svg.fonttype": "path",
    "pdf.fonttype": 3,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
}
LEADER: dict[str, Any] = {
    "arrowstyle": "-", "linewidth": 0.5, "linestyle": ":", "alpha": 0.7, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)
}  # fmt: skip
"""Style of the line between a label and what it names."""
FEW_TICKS = 200
"""Ratio of the largest to the smallest x below which a tick has room at 2 and 5 times a power of ten."""
LABEL_GAP = 0.075
"""Smallest distance of two labels of lines, as a share of the panel's height."""


@dataclass(frozen=True)
class Panel:
    """One panel: its title, what it shows in words for those who cannot see it, and the function that draws it."""

    title: str
    words: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Chart:
    """Panels with a title.

    Args:
        name: Name of its files.
        title: Title.
        panels: At least one.
        lead: The sentence between title and panels that says what it shows.
        notes: Sentences below it.
        width: Width of a panel in inches.
        height: Height of a panel in inches.
        margins: Left, right, lower and upper margin of a panel in inches.
        folded: Whether a page shows it only on demand.
    """

    name: str
    title: str
    panels: Sequence[Panel]
    lead: str = ""
    notes: Sequence[str] = ()
    width: float = WIDTH
    height: float = HEIGHT
    margins: tuple[float, float, float, float] = MARGINS
    folded: bool = False

    def save(self, folder: Path) -> None:
        """Write `<name>.svg`, `.pdf` and `.png`, with all panels in rows of three."""
        columns = min(len(self.panels), 3)
        rows = -(-len(self.panels) // columns)
        with _style({}):
            figure = Figure(figsize=(self.width * columns, self.height * rows))
            for place, panel in enumerate(self.panels):
                row, column = divmod(place, columns)
                self._place(figure, panel, column * self.width, (rows - 1 - row) * self.height)
            for form, options in FORMATS.items():
                with open_atomic(folder / f"{self.name}.{form}") as handle:
                    figure.savefig(handle, format=form, **options)

    def inline(self, prefix: str) -> list[str]:
        """One `<svg>` element for each panel, with text as text and colours of the page's style.

        Args:
            prefix: Stands before each id, which must be unique in a page.
        """
        return [self._inline(panel, f"{prefix}-{place}-") for place, panel in enumerate(self.panels)]

    def _inline(self, panel: Panel, prefix: str) -> str:
        out = io.StringIO()
        with _style({"svg.fonttype": "none"}):
            figure = Figure(figsize=(self.width, self.height))
            figure.patch.set_alpha(0.0)
            self._place(figure, panel, 0.0, 0.0).patch.set_alpha(0.0)
            figure.savefig(out, format="svg", **FORMATS["svg"])
        text = out.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", text)
        text = text.replace("'DejaVu Sans'", "system-ui, sans-serif")
        for colour, name in VARIABLES.items():
            text = text.replace(colour, f"var({name})")
        return re.sub(r"\s+<metadata>.*?</metadata>", "", text, flags=re.DOTALL)

    def _place(self, figure: Figure, panel: Panel, x: float, y: float) -> Axes:
        """Draw a panel with its lower left corner at x and y, in inches; fixed margins need no layout engine."""
        wide, high = figure.get_size_inches()
        left, right, bottom, top = self.margins
        box = (x + left) / wide, (y + bottom) / high
        size = (self.width - left - right) / wide, (self.height - bottom - top) / high
        axes = figure.add_axes((*box, *size))
        axes.set_title(plain(panel.title, 60), x=-left / (self.width - left - right) * 0.8)
        panel.draw(axes)
        return axes


@contextmanager
def _style(more: Any) -> Iterator[None]:
    """The style of all charts; a sign that the font lacks is a box in pictures and itself in pages, not a warning."""
    with matplotlib.rc_context({**STYLE, **more}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


def log_axis(axes: Axes, places: Sequence[float], form: str = "{x:g}") -> None:
    """A logarithmic x axis with room beside its places, and ticks at powers of ten, at 2 and 5 times them if few.

    Args:
        axes: The axes.
        places: x of all points, above 0.
        form: How a tick is written; matplotlib's own way has mathematics in it, which STYLE turns off.
    """
    axes.set_xscale("log")
    axes.set_xlim(min(places) / ROOM, max(places) * ROOM)
    few = max(places) < FEW_TICKS * min(places)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.xaxis.set_major_formatter(form)
    axes.xaxis.set_minor_locator(NullLocator())


def end_labels(axes: Axes, labels: Sequence[tuple[str, float, float, str]]) -> None:
    """Write labels at the right ends of lines, moved apart where they would overlap.

    Args:
        axes: Axes with their final limits.
        labels: (text, x and y of the line's end, colour).
    """
    low, high = axes.get_ylim()
    placed = spread([(y - low) / (high - low) for _, _, y, _ in labels], LABEL_GAP)
    for (text, x, y, colour), at in zip(labels, placed, strict=True):
        height = low + at * (high - low)
        axes.annotate(
            plain(text, 24),
            (x, y),
            xytext=(1.03, height),
            textcoords=axes.get_yaxis_transform(),
            color=colour,
            fontsize=8,
            va="center",
            arrowprops=LEADER | {"color": colour},
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places moved apart by at least a gap, in their order, about their centre.

    >>> [round(place, 2) for place in spread([0.5, 0.5, 0.9], 0.2)]
    [0.4, 0.6, 0.9]
    """
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    groups: list[tuple[float, list[int]]] = []
    for i in order:
        groups.append((places[i], [i]))
        while len(groups) > 1 and _edge(groups[-2], gap, 1) > _edge(groups[-1], gap, -1) - gap + 1e-9:
            (_, left), (_, right) = groups[-2:]
            both = left + right
            groups[-2:] = [(sum(places[j] for j in both) / len(both), both)]
    found = [0.0] * len(places)
    for centre, members in groups:
        for rank, i in enumerate(members):
            found[i] = centre + (rank - (len(members) - 1) / 2) * gap
    return found


def _edge(group: tuple[float, list[int]], gap: float, side: int) -> float:
    return group[0] + side * (len(group[1]) - 1) / 2 * gap


def plain(text: str, longest: int = 46) -> str:
    """A label of a chart: clean, and cut if it is long; matplotlib's PDF fails for a byte order mark alone."""
    found = clean(text).replace("\ufeff", "")
    return found if len(found) <= longest else f"{found[: longest - 1]}…"
