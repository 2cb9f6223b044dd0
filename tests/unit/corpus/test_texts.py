"""Folders of text: a file is an article, its passages are numbered below its path."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage
from rag_lightning.corpus.passages import read_passages

WORDS = [f"w{i}" for i in range(130)]
GUIDE = """---
author: someone
---
Before.

# How to *install*

Run `make`, then see [the page](https://example.org) <b>now</b>.

| a | b |
|---|---|
| c | d |

## Next

- one
- two

```
code
```
"""


def test_files_are_cut_to_passages(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt.gz").write_bytes(gzip.compress(" ".join(WORDS).encode()))
    (tmp_path / "a.md").write_text(GUIDE)
    (tmp_path / "c.markdown").write_text("no heading")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "blank.md").write_text("# Only a title\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "note.md").write_text("hidden")
    found = read_passages(tmp_path)
    assert list(found) == [
        Passage("a.md#0", "How to install", "Before. Run make, then see the page now. a b c d Next one two code"),
        Passage("c.markdown#0", "c", "no heading"),
        Passage("sub/b.txt.gz#0", "b", " ".join(WORDS[:100])),
        Passage("sub/b.txt.gz#1", "b", " ".join(WORDS[100:])),
    ]
    assert found.layout == "text, cut to passages"
    assert found.notes == ["other files left out: 1", "files without text left out: 2"]
    list(found)
    assert found.notes[1] == "files without text left out: 2"


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"a\.txt, row 2: is not UTF-8"):
        list(read_passages(tmp_path))


@pytest.mark.parametrize(("name", "says"), [("a.txt", "holds no passages"), ("a.png", "holds no corpus; expected")])
def test_a_folder_without_text_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=says):
        list(read_passages(tmp_path))


def test_text_among_settings_is_the_corpus_and_among_shards_is_not(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("text")
    (tmp_path / "settings.json").write_text("{}")
    assert [p.passage_id for p in read_passages(tmp_path)] == ["a.md#0", "b.md#0"]
    for number in range(3):
        (tmp_path / f"{number}.json").write_text(f'{{"id": {number}, "text": "row"}}')
    (tmp_path / "settings.json").unlink()
    assert [p.passage_id for p in read_passages(tmp_path)] == ["0", "1", "2"]
