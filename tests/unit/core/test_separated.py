"""A line is a row: double quotes never join fields or rows, and how they are read is told from the whole file."""

from __future__ import annotations

import csv
import io
import os
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_lines
from rag_lightning.core.separated import Quotes, find_quotes, read_csv, read_tsv

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\t\r\n"), min_size=1)


def tsv(path: Path, content: str, quotes: Quotes | None = None) -> list[list[str]]:
    path.write_text(content, encoding="utf-8", newline="")
    return [cells for _, cells in read_tsv(path, "hint", quotes)]


def test_quotes_that_open_fields_lose_no_row(tmp_path: Path) -> None:
    lines = ['who\t"Ann"', '"to be" is said in\tHamlet', '"the long road, who\tBell', 'a gauge of 3 ft 6"\tno "end"']
    assert tsv(tmp_path / "f", "\n".join(lines)) == [line.split("\t") for line in lines]
    assert find_quotes(tmp_path / "f") == Quotes("none", 2)


@pytest.mark.parametrize("spread", ["\t", "\n", "\r\n"])
def test_a_quoted_field_with_a_tab_or_line_end_is_refused(tmp_path: Path, spread: str) -> None:
    with pytest.raises(DataError, match=r"f, row [23]: has \d fields instead of 2; row 2 opens a double quote"):
        tsv(tmp_path / "f", f'a\tb\nc\t"d{spread}e"\nf\tg\n')


def test_csv_quoting_in_one_row_and_none_in_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 3: opens a double quote .* as row 1.*got '\"open'"):
        tsv(tmp_path / "f", 'a\t"the ""b"" side"\nc\td\ne\t"open\n')
    with pytest.raises(DataError, match=r"row 2: is quoted as csv, row 1 is not"):
        tsv(tmp_path / "f", '"open\ta\n"the ""b"" side"\tc\n')


def test_every_quote_is_a_character_where_the_user_says_so(tmp_path: Path) -> None:
    assert tsv(tmp_path / "f", '"a"\t"the ""b"" side"\n', Quotes("none")) == [['"a"', '"the ""b"" side"']]


def test_a_carriage_return_within_a_line_is_named(tmp_path: Path) -> None:
    assert tsv(tmp_path / "f", "a\tb\r\n\r\nc\td\r\n") == [["a", "b"], ["c", "d"]]
    for content, row in (("a\tb\rc\td\r", 1), ("a\tb\nc\rd\te\n", 2)):
        with pytest.raises(DataError, match=f"row {row}: holds a carriage return within a line"):
            tsv(tmp_path / "f", content)


def test_separators_of_unicode_stand_within_a_text(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\vd\fe"
    assert tsv(tmp_path / "f", f"{text}\tx\n") == [[text, "x"]]


def test_fields_of_any_length_are_read(tmp_path: Path) -> None:
    long = "x" * 200_000
    assert tsv(tmp_path / "f", f"{long}\ta\n") == [[long, "a"]]
    assert [cells for _, cells in read_csv(tmp_path / "f", "")] == [[f"{long}\ta"]]


@settings(max_examples=30)
@given(rows=st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=5))
def test_what_csv_writes_is_read(rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "written"
    for delimiter, read in (("\t", read_tsv), (",", read_csv)):
        with path.open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle, delimiter=delimiter).writerows(rows)
        assert [cells for _, cells in read(path, "")] == rows


@pytest.mark.parametrize("content", ['a,b\nc,"d\ne",f\n', 'a,b\nc,"d" e\n', "a,b\nc\n"])
def test_a_comma_separated_row_is_a_line_too(tmp_path: Path, content: str) -> None:
    (tmp_path / "f").write_text(content)
    with pytest.raises(DataError, match=r"f, row 2: (opens a double quote|is not comma-sep|has 1 fields instead of 2)"):
        list(read_csv(tmp_path / "f", ""))


@pytest.mark.skipif("RAG_DATA" not in os.environ, reason="RAG_DATA does not name the folder of real data")
@pytest.mark.parametrize("name", ["nq/nq-test.qa.csv", "nq/nq-dev.qa.csv", "passages/psgs_w100.tsv.gz"])
def test_published_files_are_read_as_csv_reads_them(name: str) -> None:
    path = Path(os.environ["RAG_DATA"]) / name
    text = io.StringIO("".join(islice(read_lines(path), 5000)), newline="")
    expected = list(csv.reader(text, delimiter="\t", strict=True))
    assert [cells for _, cells in islice(read_tsv(path, ""), len(expected))] == expected
