"""The format matrix of docs/own-data.md is what the readers make of the test files, and leaves no layout out."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from rag_lightning.config.registries import CORPUS_LAYOUTS, TASKS
from rag_lightning.tasks.results.record import FORMATS
from rag_lightning.tasks.spec import get_task
from tests.document_files import Written
from tests.format_files import STORES, parse, write_rows
from tests.format_matrix import Entry, entries

ROOT = Path(__file__).parents[2]


def test_the_page_is_rendered_from_the_formats_of_the_tests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    render = import_module("render_formats")
    assert render.main(["--check"]) == 0, "run `make docs`"
    page = render.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(render, "PAGE", tmp_path / "own-data.md")
    render.PAGE.write_text(page.replace("| FEVER |", "| Fever |"), encoding="utf-8")
    assert render.main(["--check"]) == 1 and "run `make docs`" in capsys.readouterr().err
    assert render.main([]) == 0 and render.PAGE.read_text(encoding="utf-8") == page
    sys.modules.pop("render_formats")


def test_every_layout_and_format_has_files(tmp_path: Path) -> None:
    all_entries, seen = entries(), set()
    for number, entry in enumerate(all_entries):
        (tmp_path / str(number)).mkdir()
        found = entry.count(tmp_path / str(number))
        assert found or entry.name == "TREC topics"
        assert not entry.format or "results" in found
        seen |= entry.layouts
    known = {layout.name for task in TASKS for layout in get_task(task).layouts}
    assert known | {CORPUS_LAYOUTS.get(name).name for name in CORPUS_LAYOUTS} <= seen | {"TREC topics"}
    assert [entry.format for entry in all_entries if entry.format] == list(FORMATS)
    corpora = [CORPUS_LAYOUTS.get(name).name for name in CORPUS_LAYOUTS]
    assert [entry.name for entry in all_entries][: len(corpora)] == corpora, "in the order in which they are tried"


def test_a_row_that_is_not_read_is_found(tmp_path: Path) -> None:
    entry = next(one for one in entries() if one.name == "BEIR")

    def one_more(folder: Path) -> list[Written]:
        return [(path, [*rows, rows[0]], left) for path, rows, left in entry.write(folder)]

    with pytest.raises(AssertionError, match="BEIR"):
        replace(entry, write=one_more).count(tmp_path)


def test_a_role_that_only_some_files_have_is_found(tmp_path: Path) -> None:
    def both(folder: Path) -> list[Written]:
        rows = [{"question": "who?", "answers": ["a"]}]
        files = [(folder / "a.jsonl", rows), (folder / "b.jsonl", [{"id": "1", "text": "who?"}])]
        return [(write_rows(path, "lines", rows), [dict(row) for row in rows], 0) for path, rows in files]

    with pytest.raises(AssertionError, match="mixed"):
        Entry("mixed", "", both).count(tmp_path)


@pytest.mark.parametrize("store", STORES)
def test_the_independent_parse_finds_what_was_written(store: str, tmp_path: Path) -> None:
    rows = [{"id": "1", "text": 'said "yes",\ttwice\u2028'}, {"id": "2", "text": "no"}]
    assert parse(write_rows(tmp_path / "rows", store, rows), store) == rows
