"""Opening of files: plain, gzip, bzip2, xz or Zstandard, told from their first bytes; other binary files are named.

What a file is called does not matter, but for .lzma, which has no mark of its own.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from rag_lightning.core.errors import DataError


def _open_zstandard(path: Path) -> IO[bytes]:
    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


@dataclass(frozen=True)
class Compression:
    """A compression: its name, the bytes its files begin with, and how one is opened."""

    name: str
    start: re.Pattern[bytes]
    open: Callable[[Path], object]


COMPRESSIONS = (
    Compression("gzip", re.compile(rb"\x1f\x8b"), gzip.open),
    Compression("bzip2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.open),
    Compression("xz", re.compile(rb"\xfd7zXZ\0"), lzma.open),
    Compression("Zstandard", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL), _open_zstandard),
)
LZMA = Compression("lzma", re.compile(rb"\x5d\0"), lzma.open)
ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".lzma")
"""Endings of compressed files, which are not part of what a file is called."""
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, OSError)
"""Errors of the decompressors; an OSError of the file system has a number, theirs have none."""
ZIP_DAMAGE = (zipfile.BadZipFile, *DAMAGE, NotImplementedError, RuntimeError, OverflowError)
"""Errors of zip archives that are damaged, encrypted, or compressed by an unknown method; an OSError as of DAMAGE."""
_UTF_8, _UNPACK = "convert it to UTF-8", "unpack it first"
_OTHERS = (
    (rb"\xff\xfe|\xfe\xff", "UTF-16", f"{_UTF_8}: iconv -f UTF-16 -t UTF-8"),
    (rb"PK\x03\x04", "a zip archive", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb".{257}ustar", "a tar archive", _UNPACK),
    (rb"\x04\x22\x4d\x18", "compressed with lz4", "plain, gz, bz2, xz and zst are read"),
    (rb"PAR1", "a parquet file", "corpora are read from parquet, this is not"),
    (rb"ARROW1|\xff{4}[^\0]", "an arrow file", "corpora are read from arrow, this is not"),
    (rb"\x93NUMPY", "a NumPy array", "text is expected"),
    (rb"\x80[\x02-\x05]", "a Python pickle", "write it as JSON lines"),
    (rb"SQLite format 3\0", "an SQLite database", "write the table as JSON lines"),
    (rb"%PDF-", "a PDF", "text is expected"),
)
OTHERS = tuple((re.compile(start, re.DOTALL), what, hint) for start, what, hint in _OTHERS)
_ENOUGH = 512
LONGEST = 64 << 20
"""Bytes of a line, or of a value in a JSON file, that is read: a few kilobytes, compressed, can hold gigabytes."""


def find_compression(path: Path) -> Compression | None:
    """The compression of a file, or None for a plain one."""
    with path.open("rb") as handle:
        start = handle.read(_ENOUGH)
    if path.suffix == ".lzma" and LZMA.start.match(start):
        return LZMA
    return next((kind for kind in COMPRESSIONS if kind.start.match(start)), None)


def open_file(path: Path) -> IO[bytes]:
    """The bytes of a text file, decompressed as they are read.

    Raises:
        DataError: a damaged compressed file, UTF-16, or a binary file (an archive, parquet, a pickle, …).
    """
    compression = find_compression(path)
    handle = cast(io.BufferedReader, compression.open(path) if compression else path.open("rb"))
    try:
        start = read_some(path, handle.peek, _ENOUGH, 1)
        for pattern, what, hint in OTHERS:
            if pattern.match(start):
                raise DataError(path, f"is {what}", hint=hint)
    except (DataError, OSError):
        handle.close()
        raise
    return handle


def read_some(path: Path, read: Callable[[int], bytes], size: int, row: int) -> bytes:
    """What a read of an opened file gives.

    Raises:
        DataError: a cut or damaged compressed file.
    """
    try:
        return read(size)
    except DAMAGE as error:
        compression = find_compression(path)
        if compression is None or (isinstance(error, OSError) and error.errno is not None):
            raise
        problem = f"is a cut or damaged {compression.name} file ({error})"
        raise DataError(path, problem, row=row, hint="fetch or compress it again") from error


def read_bounded(path: Path, read: Callable[[int], bytes], row: int) -> bytes:
    """The next line of an opened file, by its `readline`.

    Raises:
        DataError: as `read_some`, or a line of more than LONGEST bytes.
    """
    line = read_some(path, read, LONGEST + 1, row)
    check_length(path, len(line), row)
    return line


def read_member(path: Path, opened: IO[bytes]) -> bytes:
    """The content of a file that holds one row, such as a member of an archive.

    Raises:
        DataError: more than LONGEST bytes.
    """
    content = opened.read(LONGEST + 1)
    check_length(path, len(content), None, "file of one row")
    return content


def check_length(path: Path, size: int, row: int | None, what: str = "line") -> None:
    """Raise DataError for a line or value of more than LONGEST bytes, which is told before more of it is read."""
    if size > LONGEST:
        problem = f"is a {what} of more than {LONGEST >> 20} MiB"
        raise DataError(path, problem, row=row, hint="is it the file that is meant? split it where it is")
