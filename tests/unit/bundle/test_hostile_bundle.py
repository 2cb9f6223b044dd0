"""A bundle that anybody may have made: one typed line for all that no bundle has, and nothing is written outside."""

from __future__ import annotations

import json
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.bundle import opening
from rag_lightning.bundle.material import Quoted
from rag_lightning.bundle.opening import CHECKSUMS, opened
from rag_lightning.bundle.verifying import read_contents
from rag_lightning.cli import main
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import content_digest
from rag_lightning.core.records import Example, Prediction, Ranking, Score, read_checked


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
    return info


def pack(path: Path, files: dict[str | zipfile.ZipInfo, bytes]) -> Path:
    """A zip file with fitting checksums."""
    names = {one if isinstance(one, str) else one.filename: content for one, content in files.items()}
    sums = "".join(f"{content_digest(content, 64)}  {name}\n" for name, content in names.items())
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in files.items():
            archive.writestr(one, content)
        archive.writestr(CHECKSUMS, sums)
    return path


def open_it(path: Path) -> None:
    with opened(path):
        pass


UNSAFE = [
    "../outside.json",
    "/etc/outside.json",
    "a/../../outside.json",
    "C:\\outside.json",
    "a\\b.json",
    "a//b.json",
    "..",
    "a b.json",
]


@pytest.mark.parametrize("name", [*UNSAFE, "a\nb.json", "\u202eb.json", "n" * 300 + ".json", "./a.json"])
def test_a_file_that_would_leave_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    bundle = pack(tmp_path / "b.zip", {name: b"{}"})
    with pytest.raises(DataError, match="unsafe name") as error:
        open_it(bundle)
    assert "\n" not in str(error.value) and "\u202e" not in ascii(str(error.value))
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


@pytest.mark.parametrize("name", [b"a\0b.json", b"\0ab.json"])
def test_a_name_with_nul_is_refused(name: bytes, tmp_path: Path) -> None:
    """zipfile cuts it there, and of a name that is empty then Python 3.11 asks for the last sign."""
    bundle = pack(tmp_path / "b.zip", {"aXb.json": b"{}"})
    bundle.write_bytes(bundle.read_bytes().replace(b"aXb.json", name))
    with pytest.raises(DataError, match="unsafe name"):
        open_it(bundle)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"field 'model.pkl': is none of .json"):
        open_it(pack(tmp_path / "b.zip", {"model.pkl": pickle.dumps(print)}))
    with pytest.raises(DataError, match="is a link or no plain file"):
        open_it(pack(tmp_path / "c.zip", {entry("a.json", stat.S_IFLNK | 0o777): b"/etc/passwd"}))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("a.json", "1")
        archive.writestr("a.json", "2")
    with pytest.raises(DataError, match="is there twice"):
        open_it(tmp_path / "d.zip")
    with pytest.raises(DataError, match="a file where another has its folder"):
        open_it(pack(tmp_path / "e.zip", {"a.json": b"1", "a.json/b.json": b"2"}))


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"'a.jsonl': unpacks to far more than text does"):
        open_it(pack(tmp_path / "b.zip", {entry("a.jsonl"): b"0" * 20_000_000}))
    monkeypatch.setattr(opening, "MOST_IN_A_TEXT", 100)
    with pytest.raises(DataError, match=r"'a.json': has 101 bytes, more than 100"):
        open_it(pack(tmp_path / "c.zip", {"a.json": b"1" * 101}))
    with pytest.raises(DataError, match=r"row 2, field 'a.jsonl': has a line of more than 100 bytes"):
        open_it(pack(tmp_path / "d.zip", {"a.jsonl": b"1\n" + b"1" * 101}))
    monkeypatch.setattr(opening, "MOST_BYTES", 150)
    with pytest.raises(DataError, match=r"unpacks to \d+ bytes, more than 150"):
        open_it(pack(tmp_path / "e.zip", {"a.jsonl": b"1" * 90}))
    monkeypatch.setattr(opening, "MOST_FILES", 2)
    with pytest.raises(DataError, match=r"holds 4 files, more than 2"):
        open_it(pack(tmp_path / "f.zip", {f"{n}.json": b"1" for n in range(3)}))


def test_a_cut_or_damaged_file_is_named(tmp_path: Path) -> None:
    whole = pack(tmp_path / "b.zip", {entry("a.json"): bytes(range(32, 127)) * 50}).read_bytes()
    for place, content in enumerate(
        (b"", b"no zip", whole[:-30], whole[: len(whole) // 2], whole[:60] + b"\0" * 40 + whole[100:])
    ):
        (tmp_path / f"{place}.zip").write_bytes(content)
        with pytest.raises(DataError, match=rf"{place}.zip: is not a readable zip file"):
            open_it(tmp_path / f"{place}.zip")
    packed = zipfile.ZipInfo("a.json")
    packed.compress_type = zipfile.ZIP_BZIP2
    damaged = bytearray(pack(tmp_path / "c.zip", {packed: b"0123456789" * 50}).read_bytes())
    damaged[40:60] = bytes(20)
    (tmp_path / "c.zip").write_bytes(damaged)
    with pytest.raises(DataError, match=r"c.zip: is not a readable zip file \(Invalid data stream\)"):
        open_it(tmp_path / "c.zip")
    packed.compress_type = zipfile.ZIP_LZMA
    with pytest.raises(DataError, match="packed in another way"):
        open_it(pack(tmp_path / "d.zip", {packed: b"1"}))
    with pytest.raises(DataError, match=r"none.zip: does not exist"):
        open_it(tmp_path / "none.zip")


def test_files_and_checksums_must_be_the_same_ones(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.json", "1")
    with pytest.raises(DataError, match=r"'checksums.txt': is missing"):
        open_it(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr(CHECKSUMS, f"{'0' * 64}  b.json\n")
    with pytest.raises(DataError, match=r"'b.json': is missing"):
        open_it(tmp_path / "a.zip")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / CHECKSUMS).write_text("")
    (folder / "a.json").write_text("1")
    with pytest.raises(DataError, match=r"'a.json': has no checksum"):
        open_it(folder)
    (folder / "a.json").unlink()
    (folder / "a.json").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        open_it(folder)
    (folder / "a.json").unlink()
    (folder / CHECKSUMS).write_text("nonsense\n")
    with pytest.raises(DataError, match=r"row 1: is no line of sha256sum"):
        open_it(folder)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[" * 100_000, "cut short or damaged"),
        (b'{"schema": 2, "group": "a", "kind": "sweep"', "cut short or damaged"),
        (b"9" * 5_000, "cut short or damaged"),
        (b"\xff\xfe", "cut short or damaged"),
        (b"[]", "is not a JSON object"),
        (b'{"schema": 1}', "is not of schema 2"),
        (b'{"schema": 2, "group": 3}', "has the wrong type"),
        (
            b'{"schema": 2, "group": "..", "kind": "", "runs": [], "comparisons": [], "left_out": {}}',
            "no name of a folder",
        ),
        (
            b'{"schema": 2, "group": "a/b", "kind": "", "runs": [], "comparisons": [], "left_out": {}}',
            "no name of a folder",
        ),
    ],
)
def test_its_contents_must_be_what_they_are(content: bytes, problem: str, tmp_path: Path) -> None:
    bundle = pack(tmp_path / "b.zip", {"bundle.json": content})
    with pytest.raises(DataError, match=problem) as error, opened(bundle) as found:
        read_contents(found.folder)
    assert len(str(error.value)) < 500 and "/bundle-" not in str(error.value), "no name of a temporary folder"


PREDICTION = {"example_id": "q", "text": "a", "raw_text": "a", "log_prob": -1.0, "hypotheses": []}
EXAMPLE = {"example_id": "q", "query": "x", "answers": ["a"], "tags": {}}


@pytest.mark.parametrize(
    ("cls", "record"),
    [
        (Prediction, PREDICTION | {"text": 3}),
        (Prediction, PREDICTION | {"log_prob": True}),
        (Prediction, PREDICTION | {"hypotheses": [{"text": "a", "log_prob": "b"}]}),
        (Prediction, PREDICTION | {"hypotheses": 3}),
        (Prediction, PREDICTION | {"more": 3}),
        (Prediction, {"example_id": "q"}),
        (Example, EXAMPLE | {"answers": "a"}),
        (Example, EXAMPLE | {"answers": [1]}),
        (Example, EXAMPLE | {"tags": {"a": 1}}),
        (Ranking, {"example_id": "q", "rows": [1.5], "scores": [1.0]}),
        (Ranking, {"example_id": "q", "rows": [1], "scores": [float("nan")]}),
        (Score, {"example_id": "q", "entity": "", "values": {"em": float("inf")}}),
        (Score, {"example_id": "q", "entity": "", "values": {"em": 10**400}}),
    ],
)
def test_a_record_with_a_field_of_another_type_is_named(cls: type[Any], record: Any, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(DataError, match=rf"f.jsonl, row 1.*is not a {cls.__name__}"):
        read_checked(tmp_path / "f.jsonl", cls)
    good = {Prediction: PREDICTION, Example: EXAMPLE}.get(cls)
    if good:
        (tmp_path / "f.jsonl").write_text(json.dumps(good) + "\n")
        assert len(read_checked(tmp_path / "f.jsonl", cls)) == 1


@pytest.mark.parametrize("change", [{"row": "1"}, {"row": True}, {"text": None}, {"more": 1}])
def test_a_passage_without_its_row_is_named(change: dict[str, Any], tmp_path: Path) -> None:
    line = {"row": 1, "passage_id": "p", "title": "t", "text": "x"}
    (tmp_path / "p.jsonl").write_text(json.dumps(line))
    with pytest.raises(DataError, match="has no passage of this row"):
        Quoted(tmp_path / "p.jsonl")[2]
    (tmp_path / "p.jsonl").write_text(json.dumps(line | change))
    with pytest.raises(DataError, match=r"row 1: (is no passage|holds a field)"):
        Quoted(tmp_path / "p.jsonl")


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(pack(tmp_path / "b.zip", {"../x.json": b"1"}))]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rag-lightning: ") and "was tampered with" in line
