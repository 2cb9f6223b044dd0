"""Reading of text files, atomic writing, and digests of values, files and folders.

Text files are plain or compressed (core/compression.py), UTF-8, and read one line at a time; every error names the file
and the row. Written files are complete or absent. The same content has the same digest in any process.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from rag_lightning.core.compression import check_length, open_file, read_bounded, read_some
from rag_lightning.core.errors import DataError
from rag_lightning.core.links import TEMPORARY, files_below

UNREADABLE = (ValueError, RecursionError)
"""Errors that valid JSON can raise: a number of thousands of digits, brackets nested too deeply."""
SEAL = "seal"
"""Field of a sealed JSON file: the digest of all other fields."""


def check_file(path: Path) -> None:
    """Raise DataError unless `path` is a file that is not empty."""
    if not path.exists():
        raise DataError(path, "does not exist", hint="check the path")
    if not path.is_file():
        raise DataError(path, "is not a file")
    if path.stat().st_size == 0:
        raise DataError(path, "is empty")


def read_lines(path: Path) -> Generator[str, None, None]:
    """Yield the lines of a UTF-8 file with their line ends, without a byte order mark; bounded memory.

    Raises:
        DataError: missing, empty, cut or damaged, no text, a line of more than 64 MiB, or bytes that are not UTF-8
            (with their row).
    """
    check_file(path)
    row = 0
    with open_file(path) as handle:
        while raw := read_bounded(path, handle.readline, row + 1):
            row += 1
            yield decode_line(path, row, raw)
    if row == 0:
        raise DataError(path, "is empty")


def decode_line(path: Path, row: int, raw: bytes) -> str:
    """One line of a UTF-8 file as text, without a byte order mark.

    Raises:
        DataError: bytes that are not UTF-8, or a NUL.
    """
    if b"\0" in raw:
        problem = f"holds a NUL (byte {raw.index(0) + 1} of the line)"
        raise DataError(path, problem, row=row, hint="remove it, or convert the file from UTF-16 to UTF-8")
    try:
        return raw.decode("utf-8-sig" if row == 1 else "utf-8")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start + 1} of the line)"
        raise DataError(path, problem, row=row, hint="convert it to UTF-8") from error


def read_head(path: Path, size: int) -> str:
    """The first `size` bytes of a UTF-8 file as text, without a byte order mark or a cut last character.

    Raises:
        DataError: as `read_lines`.
    """
    check_file(path)
    with open_file(path) as handle:
        raw = read_some(path, handle.read, size, 1)
    if b"\0" in raw:  # told before a line of any length is read
        row = raw.count(b"\n", 0, raw.index(0)) + 1
        decode_line(path, row, raw.split(b"\n", row)[row - 1])
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(raw, final=len(raw) < size)
    except UnicodeDecodeError as error:
        raise DataError(
            path, "is not UTF-8", row=raw.count(b"\n", 0, error.start) + 1, hint="convert it to UTF-8"
        ) from error


def read_jsonl_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row, object) of a JSONL file; blank lines are skipped.

    Raises:
        DataError: as `read_lines`, or a line that is not a JSON object.
    """
    for row, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield row, _object(path, row, line)


def read_json(path: Path) -> Any:
    """The value of a whole JSON file.

    Raises:
        DataError: as `read_lines`, or not JSON (with the row of the error).
    """
    text = "".join(read_lines(path))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(path, f"is not JSON: {error.msg}", row=error.lineno) from error
    except UNREADABLE as error:
        raise DataError(path, f"is JSON that cannot be read: {error}") from error


def read_object(path: Path, hint: str = "is the folder a model or a checkpoint?") -> dict[str, Any]:
    """The JSON object in a small file, such as the config.json of a model.

    Raises:
        DataError: missing, unreadable, of more than 64 MiB, or no JSON object; `hint` is its remedy.
    """
    try:
        check_length(path, path.stat().st_size, None, "file")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(path, "is missing", hint=hint) from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", hint=hint) from error
    except UNREADABLE as error:
        raise DataError(path, "is cut short or damaged", hint=hint) from error
    if not isinstance(found, dict):
        raise DataError(path, "is not a JSON object", hint=hint)
    return found


def read_sealed(path: Path, hint: str = "remove it and run again") -> dict[str, Any]:
    """The JSON object that `write_sealed` wrote, without its seal.

    Raises:
        DataError: missing, unreadable, no JSON object, or altered since it was written; `hint` is its remedy.
    """
    return unsealed(path, read_object(path, hint), hint)


def unsealed(path: Path, found: dict[str, Any], hint: str, row: int | None = None) -> dict[str, Any]:
    """An object as it was read, without its seal.

    `path` and `row` say where it stands, for errors; `hint` what to do about one that was altered.

    Raises:
        DataError: it has no seal, or that of another content.
    """
    content = {name: value for name, value in found.items() if name != SEAL}
    try:
        whole = found.get(SEAL) == digest(content)
    except UNREADABLE as error:  # half of a surrogate pair
        raise DataError(path, "is cut short or damaged", row=row, hint=hint) from error
    if not whole:
        problem = "was altered: its seal is that of another content" if SEAL in found else "has no seal"
        raise DataError(path, problem, row=row, hint=hint)
    return content


def read_value(path: Path, row: int, line: str) -> Any:
    """The JSON value of one line.

    Raises:
        DataError: not JSON, or JSON that cannot be read.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(path, f"is not JSON: {error.msg}", row=row, value=line.strip()) from error
    except UNREADABLE as error:
        raise DataError(path, f"is JSON that cannot be read: {error}", row=row, value=line.strip()) from error


def _object(path: Path, row: int, line: str) -> dict[str, Any]:
    value = read_value(path, row, line)
    if not isinstance(value, dict):
        raise DataError(path, "is not a JSON object", row=row, value=line.strip())
    return value


@contextmanager
def open_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Yield a binary file to write; it replaces `path` when the block ends without an error.

    The content is flushed to the disk before the rename: a reader finds the old file or the complete new one.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as handle:  # of this call alone: nothing that lies there is followed
            yield handle
        replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(written: Path, path: Path) -> None:
    """Flush a complete file to the disk, then rename it to `path` in the same folder."""
    sync(written)
    os.replace(written, path)


def sync(path: Path) -> None:
    """Flush a file or the entries of a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write one string per line as UTF-8, atomically; returns the number of lines."""
    count = 0
    with open_atomic(path) as handle:
        for line in lines:
            handle.write(f"{line}\n".encode())
            count += 1
    return count


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, atomically."""
    with open_atomic(path) as handle:
        handle.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a sealed object as `write_json`; DataError where a text of it holds half of a surrogate pair."""
    try:
        write_json(path, sealed(value))
    except UnicodeEncodeError as error:
        raise DataError(path, "would hold half of a surrogate pair", hint="write the whole character") from error


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the digest of its content as the last field; an earlier one is replaced.

    The seal finds damage and careless edits; it is no signature.
    """
    content = json.loads(json.dumps(value))  # as it is read: keys are strings, tuples are lists
    content.pop(SEAL, None)
    return {**content, SEAL: digest(content)}


def sqlite_url(path: Path) -> str:
    """SQLAlchemy's URL of a file, of a link its own; signs of URLs and of Optuna's templates (? % {}) are quoted."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(path.parent.resolve() / path.name)).render_as_string()


def digest(value: Any) -> str:
    """16 hex digits over the canonical JSON of a value."""
    return content_digest(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def content_digest(content: str | bytes, length: int = 16) -> str:
    """The first hex digits of the sha256 of a text (as UTF-8) or of bytes."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:length]


def file_sha256(path: Path) -> str:
    """sha256 of a file, 64 hex digits; cached in the process by size and modification time."""
    stat = path.stat()
    return _sha256(path.resolve(), (stat.st_size, stat.st_mtime_ns))


def file_digest(path: Path) -> str:
    """sha256 of a user's file, 16 hex digits.

    Raises:
        DataError: missing or empty.
    """
    check_file(path)
    return file_sha256(path)[:16]


def folder_digest(folder: Path) -> str:
    """16 hex digits over the names and contents of a folder's files; empty files do not count."""
    files = [p for p in files_below(folder) if p.is_file() and p.stat().st_size]
    return content_digest("\n".join(f"{p.relative_to(folder)} {file_digest(p)}" for p in files))


@lru_cache(maxsize=4096)
def _sha256(path: Path, state: tuple[int, int]) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
