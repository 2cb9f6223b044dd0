"""Compressed files are told from their content; what is no text is named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_head, read_lines

TEXT = "é\nb\n"


def zstandard(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=0),
    "Zstandard": zstandard,
}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", COMPRESS)
def test_content_tells_the_compression_and_parts_are_joined(tmp_path: Path, name: str) -> None:
    content = COMPRESS[name](TEXT.encode()) + COMPRESS[name](b"last")
    path = write(tmp_path / "plain.txt", content)
    assert list(read_lines(path)) == ["é\n", "b\n", "last"]
    assert read_head(path, 4) == "é\nb"


@pytest.mark.parametrize("name", COMPRESS)
def test_what_is_cut_short_is_named(tmp_path: Path, name: str) -> None:
    lines = b"".join(b"%d %d\n" % (i, i**5) for i in range(9000))
    path = write(tmp_path / "f", COMPRESS[name](lines)[:-20])
    with pytest.raises(DataError, match=f"f, row .*: is a cut or damaged {name} file"):
        list(read_lines(path))


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_nothing_is_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is empty"):
        list(read_lines(write(tmp_path / "f", COMPRESS[name](b""))))


def test_lzma_without_a_mark_is_told_from_its_name(tmp_path: Path) -> None:
    content = lzma.compress(TEXT.encode(), format=lzma.FORMAT_ALONE)
    assert "".join(read_lines(write(tmp_path / "f.lzma", content))) == TEXT


@pytest.mark.parametrize("name", COMPRESS)
def test_memory_is_bounded(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "big", COMPRESS[name]((b"0123456789" * 4 + b"\n") * 40_000))
    next(read_lines(path))  # imports what opens it
    tracemalloc.start()
    count = sum(1 for _ in read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40_000
    assert peak < 400_000


def archive(kind: str) -> bytes:
    memory = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(memory, "w") as file:
            file.writestr("a.txt", TEXT)
    else:
        with tarfile.open(fileobj=memory, mode=kind) as tar:
            tar.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return memory.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (archive("zip"), "is a zip archive; unpack it"),
        (archive("w:"), "is a tar archive; unpack it"),
        (archive("w:gz"), "is a tar archive; unpack it"),
        (pickle.dumps([1]), "is a Python pickle; write it as JSON lines"),
        (TEXT.encode("utf-16"), "is UTF-16; convert it to UTF-8"),
        (b"ab\nc\0d\n", r"row 2: holds a NUL \(byte 2 of the line\); remove it"),
        (b"PAR1" + bytes(20), "is a parquet file"),
    ],
    ids=["zip", "tar", "tar.gz", "pickle", "UTF-16", "NUL", "parquet"],  # a gzip file holds the time
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(read_lines(write(tmp_path / "f", content)))
