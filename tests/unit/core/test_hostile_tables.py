"""Tables with values, names or lines that cannot be read: one line that names the file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.cli import FAILED, main
from rag_lightning.core import files
from rag_lightning.core.errors import DataError
from rag_lightning.core.rows import read_rows

QUESTION = {"question": pa.array(["q"]), "answers": pa.array([["a"]])}


@pytest.mark.parametrize("kind", [pa.duration("s"), pa.date64()], ids=str)
@pytest.mark.parametrize("stored", ["parquet", "arrow"])
def test_a_value_that_python_cannot_hold(tmp_path: Path, kind: Any, stored: str) -> None:
    made = pa.table({**QUESTION, "when": pa.array([2**62], kind)})
    if stored == "parquet":
        pq.write_table(made, tmp_path / "q")
    else:
        with pa.OSFile(str(tmp_path / "q"), "wb") as sink, pa.ipc.new_stream(sink, made.schema) as writer:
            writer.write_table(made)
    with pytest.raises(DataError, match=r"q: cannot be read after row 0: .*; fetch or write it again"):
        list(read_rows(tmp_path / "q"))


def test_a_column_that_is_named_twice(tmp_path: Path) -> None:
    columns = [QUESTION["question"], QUESTION["question"], QUESTION["answers"]]
    pq.write_table(pa.Table.from_arrays(columns, names=["question", "question", "answers"]), tmp_path / "q")
    with pytest.raises(DataError, match=r"field 'schema': names a column twice .got 'question'"):
        list(read_rows(tmp_path / "q"))
    (tmp_path / "q.csv").write_text("Question,question,answer\nq,r,a\n")
    with pytest.raises(DataError, match=r"row 1, field 'header': names a column twice .got 'question'"):
        list(read_rows(tmp_path / "q.csv"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("question,answer\nq\rx,a\n", "row 2: holds a carriage return within a line"),
        ('question,answer\n"q,a\n', "row 2: opens a double quote that this line does not close"),
    ],
)
def test_a_line_that_csv_cannot_read(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "q.csv").write_bytes(text.encode())
    assert main(["doctor", "--data", str(tmp_path / "q.csv"), "--as_task", "nq"]) == FAILED
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_a_long_field_is_recognised(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(f"question,answer\n{'q' * 200_000},a\n")
    csv.field_size_limit(131_072)
    assert main(["doctor", "--data", str(tmp_path / "q.csv"), "--as_task", "nq"]) == 0
    assert "1 examples" in capsys.readouterr().out


def test_a_nul_is_told_before_its_line_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "q").write_bytes(b"a\nb" + bytes(1 << 16))
    monkeypatch.setattr(files, "read_lines", lambda path: pytest.fail("a whole line was read"))
    with pytest.raises(DataError, match=r"row 2: holds a NUL .byte 2 of the line"):
        files.read_head(tmp_path / "q", 1 << 10)
