"""Charts: the same bytes each time, any text, labels that do not overlap."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from rag_lightning.report import charts
from rag_lightning.report.charts import Chart, Panel, end_labels, plain, spread

FORMATS = dict(charts.FORMATS)


def draw(text: str, axes: Axes) -> None:
    axes.plot([1, 2], [3.0, 4.0], color=charts.COLOURS[0])
    axes.set_xlabel(plain(text))
    end_labels(axes, [(text, 2.0, 4.0, charts.COLOURS[0]), ("other", 2.0, 4.0, charts.COLOURS[1])])


def chart(text: str = "plain") -> Chart:
    return Chart("c", text, [Panel(text, text, partial(draw, text)), Panel("b", "b", partial(draw, "b"))])


def test_every_format_has_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "FORMATS", FORMATS)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        chart().save(tmp_path / name)
    for form, start in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        first = (tmp_path / "first" / f"c.{form}").read_bytes()
        assert first.startswith(start) and first == (tmp_path / "second" / f"c.{form}").read_bytes()
    assert chart().inline("p") == chart().inline("p")


def test_any_text_is_drawn_as_it_is() -> None:
    bad = "$\\frac{|<script>alert(1)</script>\x00\u202e\u4e2d" + "x" * 50_000
    first, second = chart(bad).inline("p1")
    assert "<script" not in first and "&lt;script&gt;" in first and len(first) < 60_000
    assert 'id="p1-0-' in first and 'id="p1-1-' in second
    assert "var(--c0)" in first and "var(--ink)" in first and "metadata" not in first


@pytest.mark.parametrize("text", ["\ufeff", "\u200f", "\u200b", "\u2028", "\x85", " "])
def test_a_text_without_a_visible_sign_is_saved(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "FORMATS", FORMATS)
    chart(text).save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".pdf", ".png"}


def test_labels_are_moved_apart_in_their_order() -> None:
    placed = spread([0.5, 0.51, 0.1, 0.52], 0.1)
    ordered = sorted(placed)
    assert placed[2] == 0.1 and [placed.index(one) for one in ordered] == [2, 0, 1, 3]
    assert min(b - a for a, b in pairwise(ordered)) > 0.0999
    assert spread([], 0.1) == []
