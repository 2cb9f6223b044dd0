"""Every layout of a corpus, written as its project writes it, beside what an independent parse gives."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.config.registries import CORPUS_LAYOUTS
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Passage
from rag_lightning.corpus.passages import fields, layouts, read_passages
from rag_lightning.corpus.rows import open_table

Rows = list[dict[str, Any]]
WORDS = [f"word{i}" for i in range(150)]
KILT_TEXT = ["Ada\n", " ".join(WORDS[:70]) + "\n", "Section::::Life.\n", "BULLET::::- " + " ".join(WORDS[70:]) + "\n"]
SEGMENT = {"url": "https://example.org", "headings": "A\nB", "start_char": 0, "end_char": 9}

ROWS: Mapping[str, tuple[Rows, list[Passage]]] = {
    "kilt": (
        [
            {
                "_id": "7",
                "wikipedia_id": "7",
                "wikipedia_title": "Ada",
                "text": KILT_TEXT,
                "anchors": [{"paragraph_id": 1, "start": 0, "end": 5, "text": "word0", "href": "Zero"}],
                "categories": "people",
            }
        ],
        [Passage("7#0", "Ada", " ".join(WORDS[:100])), Passage("7#1", "Ada", " ".join(WORDS[100:]))],
    ),
    "msmarco_segments": (
        [{"docid": "msmarco_v2.1_doc_00_0#0_0", "title": "T", "segment": "one", **SEGMENT}],
        [Passage("msmarco_v2.1_doc_00_0#0_0", "T", "one")],
    ),
    "flashrag": (
        [
            {"id": "0", "contents": '"Aaron"\nHe said "no".\nAnd left.'},
            {"id": "1", "contents": '"""Heroes"" (song)"\ntext'},
            {"id": "2", "contents": "no title"},
        ],
        [
            Passage("0", "Aaron", 'He said "no".\nAnd left.'),
            Passage("1", '"Heroes" (song)', "text"),
            Passage("2", "", "no title"),
        ],
    ),
    "atlas": (
        [
            {"id": "4", "title": "Ada", "section": "Life", "text": "one"},
            {"id": "5", "title": "Ada", "section": "", "text": "two"},
            {"id": "6", "title": None, "section": None, "text": "three"},
        ],
        [Passage("4", "Ada: Life", "one"), Passage("5", "Ada", "two"), Passage("6", "", "three")],
    ),
    "dpr": (
        [{"id": 5, "title": "T", "text": "x"}, {"id": 6, "text": "y"}],
        [Passage("5", "T", "x"), Passage("6", "", "y")],
    ),
    "beir": (
        [
            {"_id": "d1", "title": None, "text": "y", "metadata": {"url": "u"}},
            {"_id": "d2", "title": "", "text": "z", "metadata": {"url": "u"}},
        ],
        [Passage("d1", "", "y"), Passage("d2", "", "z")],
    ),
    "tevatron": ([{"docid": "1", "title": "T", "text": "x"}], [Passage("1", "T", "x")]),
    "no_id": (
        [{"title": "Ada", "section": "Life", "text": "one"}, {"title": "Bo", "section": "", "text": "two"}],
        [Passage("0", "Ada: Life", "one"), Passage("1", "Bo", "two")],
    ),
}


def lines(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def json_list(path: Path, rows: Rows) -> Path:
    path.write_text(" " + json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return path


def parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def arrow(path: Path, rows: Rows) -> Path:
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return path


def arrow_stream(path: Path, rows: Rows) -> Path:
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    return path


def shards(path: Path, rows: Rows) -> Path:
    """A folder with a file a row, compressed, beside files that are not part of the corpus."""
    path.mkdir()
    for number, row in enumerate(rows):
        (path / f"part-{number}.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    (path / "README.md").write_text("# Data\n")
    return path


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


def test_half_of_a_surrogate_pair_is_named(tmp_path: Path) -> None:
    (tmp_path / "c").write_text('{"id": "1", "text": "a\\ud800"}')
    with pytest.raises(DataError, match="row 1: holds half of a surrogate pair"):
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


def test_the_documentation_has_every_layout_in_the_order_of_the_registry() -> None:
    page = (Path(__file__).parents[3] / "docs/own-data.md").read_text(encoding="utf-8")
    page = page.split("\n## Passages\n")[1].split("\n## ")[0]
    table = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ") and "`" in line]
    rows = {name.strip(): fields for name, fields in table}
    assert [name for name in rows if name in {layout.name for layout in layouts()}] == [one.name for one in layouts()]
    for layout in layouts():
        assert all(f"`{field}`" in rows[layout.name] for field in layout.needs)


def test_articles_without_text_are_counted(tmp_path: Path) -> None:
    rows, expected = ROWS["kilt"]
    found = read_passages(lines(tmp_path / "c", [*rows, {**rows[0], "wikipedia_id": "8", "text": ["Ada\n"]}]))
    assert list(found) == expected
    assert found.notes == ["rows without text left out: 1"]
