"""`rag-lightning corpus` on what people have: the layout is said and kept, and content decides what is built again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_lightning.cli import FAILED, main
from rag_lightning.corpus.store import PassageStore


def build(root: Path, source: Path, *more: str) -> int:
    return main(["corpus", "--folder", str(root), "--corpus.source", str(source), *more])


def artifacts(root: Path) -> list[Path]:
    folders = [path for path in (root / "artifacts" / "corpus").glob("*") if path.is_dir()]
    return sorted(folders, key=lambda path: path.stat().st_mtime_ns)


def test_what_a_file_was_read_as_is_said_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.tsv").write_text('text\ttitle\n"a stray quote\tA\ninches: 6"\tB\n')
    assert build(tmp_path, tmp_path / "c.tsv") == 0
    said = capsys.readouterr().err
    assert "c.tsv: read without csv quoting: a field of row 2" in said
    assert "rows have no id: the row in the corpus, from 0, is the passage id" in said
    assert "2 passages (Atlas without id, tab-separated text)" in said
    (folder,) = artifacts(tmp_path)
    info = json.loads((folder / "manifest.json").read_text())["info"]
    assert info["layout"] == "Atlas without id, tab-separated text" and len(info["notes"]) == 2
    assert [(p.passage_id, p.text) for p in PassageStore(folder)] == [("0", '"a stray quote'), ("1", 'inches: 6"')]


def test_a_folder_is_built_again_when_a_file_changes(tmp_path: Path) -> None:
    text = tmp_path / "texts" / "a.md"
    text.parent.mkdir()
    text.write_text("# Rome\nThe eternal city.\n")
    assert build(tmp_path, text.parent) == build(tmp_path, text.parent) == 0
    assert len(artifacts(tmp_path)) == 1
    text.write_text("# Rome\nA city.\n")
    assert build(tmp_path, text.parent) == 0
    assert [p.text for folder in artifacts(tmp_path) for p in PassageStore(folder)] == ["The eternal city.", "A city."]


@pytest.mark.parametrize("content", ["id\ttext\n1\ta\n1\tb\n", "id\ttext\n", "id\ttext\n1\ta\tb\n", '[{"id": 1'])
def test_nothing_is_left_of_a_bad_file(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c").write_text(content)
    assert build(tmp_path, tmp_path / "c") == FAILED
    assert capsys.readouterr().err.count("\n") == 1
    assert not [folder for folder in artifacts(tmp_path) if folder.suffix != ".partial"]
