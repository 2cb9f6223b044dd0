"""The tables of the documentation are those of docs/results.yaml."""

import math
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from rag_lightning.core.errors import DataError, UnknownNameError
from rag_lightning.report.paper import read_paper

ROOT = Path(__file__).parents[2]
DATA = """
t:
  title: EM
  head: system
  columns: [EM, verdict]
  commit: abc1234
  command: make sweep
  n: 1275
  seeds: 3
  rows:
  - {label: ours, cells: {EM: {value: 50.0, ci: [47.5, 52.0], text: best}, verdict: {text: supported}}}
  - {label: theirs, dtype: float32, cells: {EM: {value: 0.1, digits: 2}}}
  notes: [A note.]
"""
FULL = """**EM** (n = 1,275, 3 seeds)

| system | EM | verdict | dtype |
|---|---|---|---|
| ours | 50.0 [47.5, 52.0] best | supported |  |
| theirs | 0.10 |  | float32 |

A note.

<sub>`make sweep`; commit abc1234.</sub>
"""


@pytest.fixture(scope="module")
def results() -> ModuleType:
    spec = spec_from_file_location("render_results", ROOT / ".ci" / "render_results.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["render_results"] = module  # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / ".ci")
        spec.loader.exec_module(module)
    return module


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "docs" / "results.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_table_is_rendered_as_it_is_written(results: ModuleType, tmp_path: Path) -> None:
    tables = results.read_tables(written(tmp_path, DATA))
    assert results.markdown(tables["t"]) == FULL
    assert results.markdown(tables["t"], brief=True) == FULL.partition("\nA note.")[0]


def test_only_what_stands_between_markers_is_replaced(results: ModuleType, tmp_path: Path) -> None:
    tables = results.read_tables(written(tmp_path, DATA))
    page = "# Head\n<!-- results: t -->\nold\n<!-- end -->\ntail\n"
    once = results.render(page, tables)
    assert once == f"# Head\n<!-- results: t -->\n{FULL}<!-- end -->\ntail\n"
    assert results.render(once, tables) == once
    with pytest.raises(UnknownNameError, match="'u'"):
        results.render(page.replace(": t", ": u"), tables)


@pytest.mark.parametrize(
    ("before", "after", "error", "message"),
    [
        ("[47.5, 52.0]", "[50.5, 52.0]", DataError, r"t\.rows\[0\]\.cells\.EM\.ci"),
        ("[47.5, 52.0]", "[47.5]", DataError, r"t\.rows\[0\]\.cells\.EM\.ci"),
        ("value: 50.0", "value: fifty", DataError, r"t\.rows\[0\]\.cells\.EM\.value"),
        ("verdict: {text", "verdikt: {text", UnknownNameError, "did you mean 'verdict'"),
        ("commit: abc1234", "commit: 1234567", DataError, r"t\.commit"),
    ],
)
def test_a_wrong_cell_is_named(
    results: ModuleType, tmp_path: Path, before: str, after: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        results.read_tables(written(tmp_path, DATA.replace(before, after)))


def test_stale_pages_loose_numbers_and_unused_tables_are_problems(results: ModuleType, tmp_path: Path) -> None:
    written(tmp_path, DATA + DATA.replace("\nt:", "\nunused:"))
    block = f"<!-- results: t -->\n{FULL}<!-- end -->\n"
    pages = dict.fromkeys(results.PAGES, "nothing\n")
    pages["docs/results.md"] = block
    pages["docs/claims.md"] = block.replace("0.10", "0.20")
    pages["README.md"] = "EM is 49.9. Python 3.11, `1.5`, [a](b/2.5.md), https://arxiv.org/abs/2005.11401.\n"
    for name, text in pages.items():
        (tmp_path / name).write_text(text)
    assert list(results.problems(tmp_path)) == [
        "README.md: 49.9 stands outside of the tables of docs/results.yaml",
        "docs/claims.md: differs from docs/results.yaml; run `make docs`",
        "docs/results.yaml: no page shows table unused",
    ]


LATER_DATA = """
schema: 1
sources: {a: {title: "A | B", url: "https://a.org", revision: abc, kind: issue}}
metrics: {em: equal}
corpora: {}
tolerances: {}
blocks:
- {id: b, title: T, task: answers, dataset: nq, split: test, n: 3610, metrics: [em], caution: Careful., rows: [
    {system: S, values: {em: 44.4875}, source: a, place: Table 1, k: 5, must_reach: true},
    {system: R, values: {em: 40.0}, source: a, place: Table 2, note: Why.}]}
unread: []
"""
LATER_PAGE = """<!-- later: answers -->
#### T

`nq`, test; n = 3,610. Careful.

| system | k | em | source |
|---|---|---|---|
| S | 5 | **44.49** | [a](#sources), Table 1 |
| R |  | 40.0 | [a](#sources), Table 2 |

- R: Why.
<!-- end -->
<!-- later: sources -->
| id | page | kind | as of |
|---|---|---|---|
| `a` | [A \\| B](https://a.org) | issue | abc |
<!-- end -->
"""


def test_the_page_of_later_numbers_is_that_of_the_data(results: ModuleType, tmp_path: Path) -> None:
    data, page = tmp_path / results.LATER_DATA, tmp_path / results.LATER
    for path, text in ((data, LATER_DATA), (page, LATER_PAGE)):
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    assert list(results.later_problems(tmp_path)) == []
    page.write_text(LATER_PAGE.replace("44.49", "44.5") + "EM is 49.9.\n", encoding="utf-8")
    assert list(results.later_problems(tmp_path)) == [
        "docs/later.md: differs from reports/later.yaml; run `make docs`",
        "docs/later.md: 49.9 stands outside of the tables of reports/later.yaml",
    ]
    page.write_text("<!-- later: answer -->\n<!-- end -->\n", encoding="utf-8")
    (problem,) = results.later_problems(tmp_path)
    assert "did you mean 'answers'" in problem


def test_the_paper_is_quoted_as_reports_have_it(results: ModuleType) -> None:
    paper = read_paper(ROOT / "reports" / "paper.yaml")
    tables = results.read_tables(ROOT / "docs" / "results.yaml")
    rows = [row for name in ("nq", "nq_long") for row in tables[name].rows]
    quoted = {row.label: row.cells["paper, EM on NQ"] for row in rows}
    quoted = {label: cell.value for label, cell in quoted.items() if not math.isnan(cell.value)}
    assert len(quoted) == sum("BM25" not in row.label and "trivial" not in row.label for row in rows)
    for label, value in quoted.items():
        system = re.split("[,:]", label)[0].replace("closed book", "T5-11B")
        number = paper.find(system, "nq", "test", "em")
        assert number is not None and number.value == value, label
