"""An answer as a page: whose tokens come from where, in rows that add up, whatever the texts hold."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from rag_lightning.core import console, tables
from rag_lightning.core.records import Hypothesis, Passage, Prediction
from rag_lightning.inspect import command
from rag_lightning.inspect.command import Inspected
from rag_lightning.inspect.page import page_of
from rag_lightning.report.page import to_text
from rag_lightning.stages.answer import Answer
from tests.made_pages import inspected

SIGNS = {"\x1b", "\x00", "\u202e", "\u2067"}
BAD = "<script>alert(1)</script><img src=x onerror=e()> | \\input{x} $%& [bold]x[/bold] \x1b[31m \u202e\u2067 \x00 "
LONG = BAD + "y" * 50_000


class Tags(HTMLParser):
    """The names of the tags that are opened, and of their attributes that run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_hostile_texts_do_nothing_to_a_page() -> None:
    found = to_text(page_of(inspected(LONG, BAD)))
    tags = Tags()
    tags.feed(found)
    assert tags.found.count("script") == 1 and "img" not in tags.found and not tags.handlers
    assert "&lt;script&gt;alert(1)" in found and not SIGNS & set(found)
    assert len(re.findall("y{100,}", found)) > 5 and not re.search("y{1001}", found), "long texts are cut"
    assert "… (50," in found, "with their true length"


def test_hostile_texts_do_nothing_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    for module in (console, tables):
        monkeypatch.setattr(module, "CONSOLE", Console(file=screen, width=120))
    command._print(inspected(LONG, BAD))
    shown = screen.getvalue()
    assert "[bold]x[/bold]" in shown and not SIGNS & set(shown) and len(shown) < 20_000


def shares_of(text: str) -> list[list[float]]:
    """The shares in the rows of a page's tables."""
    rows = re.findall(r"<tr.*?</tr>", text, re.S)
    return [[float(share) for share in re.findall(r"([\d.]+) %", row)] for row in rows if " %" in row]


def test_the_passages_that_share_most_have_columns_and_rows_add_up() -> None:
    passages = tuple(Passage(str(z), f"title {z}", "text") for z in range(1, 13))
    shares = tuple(z / 78 for z in range(1, 13))
    said = Prediction("q", "", "", -0.5, (Hypothesis("", -0.5, (5,)),))
    made = Answer(passages, (1 / 12,) * 12, said, (1.0,) * 12, tokens=(("rome", shares), ("[SEP]", (1 / 12,) * 12)))
    page = page_of(Inspected("RAG-Token", "run r", "where", made))
    tokens = page.parts[0]
    heads = [column.head for column in tokens.columns]
    assert heads == ["token", *(f"z={z} title {z}" for z in range(5, 13)), "the others"]
    text = to_text(page)
    both = [row for row in shares_of(text) if len(row) == 9]
    assert len(both) == 2 and all(sum(row) == pytest.approx(100, abs=0.5) for row in both)
    assert both[0][-1] == pytest.approx(100 * (1 + 2 + 3 + 4) / 78, abs=0.05)
    assert "(an empty answer)" in text and "z=12 title 12" in text
