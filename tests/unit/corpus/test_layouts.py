"""Every layout of a corpus, written as its project writes it, beside what an independent parse gives."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.registries import CORPUS_LAYOUTS
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage
from rag_lightning.corpus.passages import fields, layouts, read_passages
from rag_lightning.corpus.rows import open_table
from tests.corpus_files import ROWS, Rows
from tests.format_files import arrow, arrow_stream, json_list, lines, parquet, shards

STORAGES: tuple[Callable[[Path, Rows], Path], ...] = (lines, json_list, parquet, arrow, arrow_stream, shards)


def test_every_layout_has_rows() -> None:
    assert list(ROWS) == list(CORPUS_LAYOUTS)


@pytest.mark.parametrize("store", STORAGES)
@pytest.mark.parametrize("name", ROWS)
def test_rows_are_told_and_read(tmp_path: Path, name: str, store: Callable[[Path, Rows], Path]) -> None:
    rows, expected = ROWS[name]
    found = read_passages(store(tmp_path / "corpus", rows))
    assert list(found) == expected
    assert found.layout.startswith(CORPUS_LAYOUTS.get(name).name + ", ")
    assert any("0, is the passage id" in note for note in found.notes) == (name == "no_id")


@pytest.mark.parametrize("delimiter", ["\t", ","])
@pytest.mark.parametrize("names", ["id text title", "Title ID url Text", " id text title"])
def test_columns_are_told_by_their_names(tmp_path: Path, delimiter: str, names: str) -> None:
    values = {"id": "7", "text": 'said "yes", once', "title": 'The "B" side', "url": "u", "": "0"}
    path = tmp_path / "corpus.txt"
    with path.open("w", newline="") as handle:
        csv.writer(handle, delimiter=delimiter).writerows(
            [names.split(" "), [values[name.lower()] for name in names.split(" ")]]
        )
    assert list(read_passages(path)) == [Passage("7", 'The "B" side', 'said "yes", once')]


@pytest.mark.parametrize("name", ROWS)
def test_a_field_that_is_missing_or_wrong_is_named(tmp_path: Path, name: str) -> None:
    rows, _ = ROWS[name]
    for field, types in CORPUS_LAYOUTS.get(name).needs.items():
        for value in (1.5, True) if type(None) in types else (None, 1.5, True):
            path = lines(tmp_path / "c", [rows[0], {**rows[-1], field: value}])
            with pytest.raises(DataError, match=f"c, row 2, field '{field}': (must be|is null, and must be)"):
                list(read_passages(path))
        path = lines(tmp_path / "c", [rows[0], {key: rows[-1][key] for key in rows[-1] if key != field}])
        with pytest.raises(DataError, match=r"c, row 2, field '.*': (is missing|is a field that other)"):
            list(read_passages(path))


def test_a_row_of_another_layout_is_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "c", [{"id": 1, "text": "a"}, {"_id": 2, "text": "b"}])
    with pytest.raises(DataError, match=r"row 2, field 'id': is missing; the row is BEIR, the first is DPR"):
        list(read_passages(path))


def test_types_of_the_first_rows_tell_layouts_of_the_same_names(tmp_path: Path) -> None:
    both = {"id": "1", "docid": "2", "text": "a", "segment": "b"}
    found = read_passages(lines(tmp_path / "c", [both, *({**both, "id": i, "segment": None} for i in (3, 4))]))
    assert [layout.name for layout in layouts() if layout.fits(both)] == ["MS MARCO v2.1 segments", "DPR", "Tevatron"]
    assert [passage.text for passage in found] == ["a"] * 3


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "1", "question": "q", "golden_answers": ["a"]}, "looks like questions, not passages.*task.train"),
        ({"query-id": "q", "corpus-id": "d", "score": 1}, r"is a file of judgements \(qrels\)"),
        ({"id": "1", "title": "t"}, "field 'text': is missing"),
        ({"name": "x"}, "field 'id': is missing.*got .'name'.*expected id, text"),
        ({"number": "1", "title": "t", "text": "x"}, "field 'id': is missing.*got .'number', 'title', 'text'"),
    ],
)
def test_what_is_no_corpus_is_named(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    for store in (lines, json_list, parquet):
        with pytest.raises(DataError, match=f"c, row 1.*{says}"):
            read_passages(store(tmp_path / "c", [row]))


@pytest.mark.parametrize("name", ["queries.jsonl", "queries-test.parquet", "anything"])
def test_queries_are_no_passages(name: str, tmp_path: Path) -> None:
    """BEIR's queries have the fields of its passages: the name tells, or answers."""
    row = {"_id": "q1", "text": "who?", "metadata": {} if name != "anything" else {"answer": ["a"]}}
    write = parquet if name.endswith("parquet") else lines
    write(tmp_path / name, [{**row, "metadata": {"url": "u"}} if name != "anything" else row])
    with pytest.raises(DataError, match=r"row 1: holds queries, not passages .*such as corpus\.jsonl beside it"):
        read_passages(tmp_path / name)
    write(tmp_path / name, [{**row, "title": "Who", "metadata": {"answer": ["a"]}}])
    assert [passage.passage_id for passage in read_passages(tmp_path / name)] == ["q1"], "passages have titles"


def test_half_of_a_surrogate_pair_is_named(tmp_path: Path) -> None:
    (tmp_path / "c").write_text('{"id": "1", "text": "a\\ud800"}')
    with pytest.raises(DataError, match="row 1, field 'text': holds half of a surrogate pair"):
        list(read_passages(tmp_path / "c"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "holds no passages"),
        ("[", "is not JSON"),
        ('[{"id": 1, "text": "a"}', "is not JSON: the file is cut short"),
        ('[{"id": 1, "text": "a"},\n {"id": 2, "te', r"row 2: is not JSON: Unterminated string"),
        ('[{"id": 1, "text": "a"}, 5]', "row 2: is not a JSON object"),
        ("[5]", "row 1: is not a JSON object"),
        ('[{"id": 1, "text": "a"}] []', "is not JSON: something follows its end"),
        (
            '{"data": [\n{"id": 1, "text": "a"}]}',
            "is a JSON document, no corpus; expected one of JSON lines, JSON list",
        ),
    ],
)
def test_a_bad_list_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "c").write_text(content)
    with pytest.raises(DataError, match=says):
        list(read_passages(tmp_path / "c"))


@pytest.mark.parametrize("store", [parquet, arrow, arrow_stream])
def test_damaged_columns_end_in_one_line(tmp_path: Path, store: Callable[[Path, Rows], Path]) -> None:
    path = store(tmp_path / "c", [{"id": str(i), "text": f"text {i}"} for i in range(5000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"c: cannot be read after row \d+: [^\n]+; fetch or write it again$"):
        list(read_passages(path))


@pytest.mark.parametrize("store", [parquet, arrow, arrow_stream])
def test_only_the_columns_of_a_layout_are_read(tmp_path: Path, store: Callable[[Path, Rows], Path]) -> None:
    path = store(tmp_path / "c", [{"id": "1", "text": "a", "vector": [1.0] * 9, "passages": "b"}])
    assert list(open_table(path).rows(fields())) == [(1, {"id": "1", "text": "a"})]


def saved(folder: Path, rows: Rows) -> Path:
    """A folder as `datasets.save_to_disk` writes it."""
    folder.mkdir(parents=True)
    arrow_stream(folder / "data-00000-of-00001.arrow", rows)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    return folder


def test_folders_of_save_to_disk_are_read(tmp_path: Path) -> None:
    rows, expected = ROWS["tevatron"]
    assert list(read_passages(saved(tmp_path / "one", rows))) == expected
    saved(tmp_path / "two" / "train", rows)
    (tmp_path / "two" / "dataset_dict.json").write_text('{"splits": ["test", "train"]}')
    assert list(read_passages(tmp_path / "two")) == expected
    (tmp_path / "two" / "dataset_dict.json").write_text('{"splits": ["test", "dev"]}')
    with pytest.raises(DataError, match="has no split train; give the folder of one of test, dev"):
        read_passages(tmp_path / "two")


@pytest.mark.parametrize(
    "files", [[{"filename": "../other.arrow"}], ["data.arrow"], [{"filename": "/etc/x"}], "data.arrow"]
)
def test_files_outside_of_a_saved_folder_are_refused(tmp_path: Path, files: object) -> None:
    state = saved(tmp_path / "one", ROWS["tevatron"][0]) / "state.json"
    state.write_text(json.dumps({"_data_files": files}))
    with pytest.raises(DataError, match=r"state\.json\b.*_data_files.*: is not as datasets\.save_to_disk writes it"):
        read_passages(tmp_path / "one")


def test_several_splits_in_one_folder_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        parquet(tmp_path / f"{split}-00000-of-00001.parquet", ROWS["dpr"][0][:1])
    with pytest.raises(DataError, match="holds several splits; give one file, or a folder of one of test, train"):
        read_passages(tmp_path)


def test_one_id_in_two_files_names_both(tmp_path: Path) -> None:
    folder = shards(tmp_path / "c", [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}, {"id": "1", "text": "c"}])
    with pytest.raises(
        DataError, match=r"part-2\.jsonl\.gz, row 1, field 'id': occurs in row 1 of .*part-0\.jsonl\.gz"
    ):
        list(read_passages(folder))


def test_articles_without_text_are_counted(tmp_path: Path) -> None:
    rows, expected = ROWS["kilt"]
    found = read_passages(lines(tmp_path / "c", [*rows, {**rows[0], "wikipedia_id": "8", "text": ["Ada\n"]}]))
    assert list(found) == expected
    assert found.notes == ["rows without text left out: 1"]
