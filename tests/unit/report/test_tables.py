"""One model, four forms; hostile text stays text."""

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag_lightning.core.plain import LONGEST, clean
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.html import to_html
from rag_lightning.report.latex import escape_latex, to_latex
from rag_lightning.report.tables import Cell, Column, Row, Table, estimated, number, to_csv, to_markdown

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    r"\input{/etc/passwd} $x$ & 50% #1 a_b ~ ^",
    "a | b\n| c |",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "**bold** [link](javascript:x) `code` ![i](x)",
    "\u202egnp.exe",
    "\ud800 half",
    "\x1b[31mred\x00",
    "\u200f\u061cmarks of direction",
]


def table(*texts: str) -> Table:
    rows = tuple(Row((Cell(text), estimated(Estimate(51.25, 47, 55.3, 9, "%"))), strong=True) for text in texts)
    heads = (Column(texts[0], numeric=False), Column("em", bar=True))
    rows = tuple(
        replace(row, hint=f"{texts[0]}\nx", cells=(replace(row.cells[0], hint=texts[0]), row.cells[1])) for row in rows
    )
    return Table(texts[0], heads, rows, (texts[0],), name=texts[0], lead=texts[0])


class Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.cells += [""] if tag == "td" or ("scope", "row") in attrs else []

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


@pytest.mark.parametrize("text", HOSTILE)
def test_html_keeps_text_as_text(text: str) -> None:
    parser = Tags()
    parser.feed(to_html(table(text)))
    known = {"section", "h2", "div", "table", "thead", "tbody", "tr", "th", "td", "small", "ul", "li", "p"}
    given = {"class", "scope", "style", "role", "tabindex", "aria-label", "data-value", "data-hint"}
    assert parser.tags <= known and parser.attributes <= given
    assert parser.cells[0].strip() == clean(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_keeps_the_table_whole(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(to_markdown([table(text)]))
    parser = Tags()
    parser.feed(html)
    assert parser.tags <= {"h2", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "ul", "li"}
    assert html.count("<td") == 2
    assert parser.cells[0].strip() == clean(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_command_of_the_text(text: str) -> None:
    escaped = escape_latex(text)
    plain = re.sub(r"\\(text\w+|ldots)\{\}|\\[{}$&#%_]|\{[\[\]*]\}|\$\\?(cdot|-|pm|times|surd)\$", "", escaped)
    assert not re.search(r"[\\{}$&#%_^~|<>*\[\]]", plain), escaped
    whole = to_latex([table(text)])
    assert whole.count(r"\begin{") == whole.count(r"\end{") == 2
    body = whole[whole.index(r"\midrule") : whole.index(r"\bottomrule")]
    assert len(re.findall(r"(?<!\\)&", body)) == 1 and body.count(r" \\") == 1
    label = re.search(r"\\label\{tab:(.*)\}", whole)
    assert label and re.fullmatch("[a-z0-9-]*", label[1])


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_runs_nothing(text: str) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(table(text)))))
    assert len(rows) == 2 and all(len(row) == 4 for row in rows)
    for cell in (rows[0][0], rows[1][0]):
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") and cell.lstrip("'") == clean(text).lstrip("'")
    assert rows[0][1:] == ["em", "em low", "em high"] and rows[1][1:] == ["51.25", "47", "55.3"]


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    for whole in (to_html(table(text)), to_markdown([table(text)]), to_latex([table(text)]), to_csv(table(text))):
        assert "\x00" not in whole
        whole.encode("utf-8")
    assert "\n" not in clean(text)


def test_numbers_and_dashes() -> None:
    assert number(1234.56).text == "1,234.6" and number(None).text == "\N{EN DASH}"
    assert estimated(None).value is None
    assert estimated(Estimate(0.5, 0.25, 0.75, 9, "")).interval == "[0.250, 0.750]"
    alone = estimated(Estimate(85.7, None, None, 6, "%"))
    assert (alone.text, alone.interval) == ("85.7", "")
    few = estimated(Estimate(50.0, 40.0, 60.0, 40, "%", 12.5))
    assert few.interval == "[40.0, 60.0]†"
    assert not estimated(Estimate(50.0, 40.0, 60.0, 40, "%", 30.0)).approximate
    told = Table("T", (Column("x"),), (Row((few,)),))
    for text in (to_markdown([told]), to_html(told), to_latex([told])):
        assert "fewer than 30 effective clusters" in text
    assert "effective" not in to_csv(told)
    marked = estimated(Estimate(22.2, 20.0, 24.0, 9, "%"), degraded=True)
    assert (marked.text, marked.value, marked.interval) == ("22.2 (degraded)", 22.2, "[20.0, 24.0]")
    missing = Table("t", (Column("a"), Column("b")), (Row((number(None), number(-2.0))),))
    assert to_csv(missing) == "a,b\n,-2\n"


def test_full_width_formula_signs_are_quoted() -> None:
    assert to_csv(table("\N{FULLWIDTH EQUALS SIGN}1")).startswith("'")


def test_the_forms_of_a_small_table() -> None:
    small = table("k_5")
    assert r"| **k\_5** | **51.2 [47.0, 55.3]** |" in to_markdown([small])
    assert r"\textbf{k\_5} & \textbf{51.2} {\scriptsize {[}47.0, 55.3{]}} \\" in to_latex([small])
    assert 'style="--share:51.2%" data-value="51.25">51.2 <small>[47.0, 55.3]</small></td>' in to_html(small)


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 heads"):
        Table("t", (Column("a"), Column("b")), (Row((Cell("x"),)),))


def test_letters_stand_in_a_box_of_one_width() -> None:
    cells = (Cell("44.1", 44.1, 42.0, 46.0, marks="ab", best=True), Cell("9.0", 9.0))
    found = Table("t", (Column("em"),), tuple(Row((cell,)) for cell in cells), name="Table 1")
    latex, page, text = to_latex([found]), to_html(found), to_markdown([found])
    assert r"\label{tab:table-1}" in latex
    assert r"\textbf{44.1}\makebox[1.0em][l]{\textsuperscript{ab}} {\scriptsize" in latex
    assert r"9.0\makebox[1.0em][l]{\textsuperscript{}}" in latex
    assert page.count('<sup style="min-width:1.2em">') == 2 and ">ab</sup>" in page
    assert "**44.1ᵃᵇ [42.0, 46.0]**" in text


def test_a_very_long_text_is_cut_but_not_in_csv() -> None:
    long = table("<b>" * 17_000)
    for whole in (to_html(long), to_markdown([long]), to_latex([long])):
        assert "51,000 characters" in whole and len(whole) < 100_000
    assert to_csv(long).count("<b>") == 34_000
    assert len(to_html(Table("t", (Column("a"),), (Row((Cell("x" * 50_000),)),)))) < 2 * LONGEST


def test_a_view_has_the_columns_that_hold_something() -> None:
    whole = Table(
        "t", (Column("a"), Column("b", shown=False), Column("c")), (Row((number(1), number(2), number(None))),)
    )
    assert [column.head for column in whole.view("v", ("c", "b", "a", "gone")).columns] == ["b", "a"]
