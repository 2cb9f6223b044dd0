"""Opening of a bundle that anybody may have made: limits and names are checked before anything is unpacked.

A bundle is a zip file, or the folder it was unpacked to. It holds text only; nothing in it is ever executed.
"""

from __future__ import annotations

import errno
import hashlib
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rag_lightning.core.compression import ZIP_DAMAGE
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import file_sha256

CHECKSUMS, CONTENTS = "checksums.txt", "bundle.json"
ENDINGS = (".json", ".jsonl", ".md", ".txt")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
MOST_FILES = 100_000
MOST_BYTES = 4 << 30
"""Unpacked size of a bundle."""
MOST_IN_A_TEXT = 64 << 20
"""Size of a file that is read as a whole, and of a line of any other."""
MOST_RATIO, SMALL = 300, 16 << 20
"""Unpacked over packed size of a file that is not small; text rarely exceeds 20."""
_NAME = re.compile(r"[\w.@+-]+(?:/[\w.@+-]+)*")
_SUM = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>\S+)")
NOT_OURS = "it is no bundle of rag-lightning export, or was tampered with: do not use it"


@dataclass(frozen=True)
class Opened:
    """An unpacked bundle.

    Args:
        name: Path of the bundle, for messages.
        folder: Folder of its files.
        sums: Name -> sha256 of each file, as checksums.txt states it.
        altered: Names of the files that have another checksum.
    """

    name: Path
    folder: Path
    sums: Mapping[str, str]
    altered: tuple[str, ...]


@contextmanager
def opened(bundle: Path) -> Iterator[Opened]:
    """Unpack a bundle to a temporary folder, or open the folder of one, and compare the checksums.

    Raises:
        DataError: neither of both, cut short, or with files that no bundle has: an unsafe name, a link, another kind of
            file, more or larger ones than the limits, or other files than checksums.txt names.
    """
    if bundle.is_dir() and not bundle.is_symlink():
        _check_folder(bundle)
        yield _compared(bundle, bundle)
        return
    if not bundle.is_file():
        raise DataError(bundle, "is no file" if bundle.exists() else "does not exist", hint="check the path")
    with tempfile.TemporaryDirectory(prefix="bundle-") as place:
        _unpack(bundle, Path(place))
        try:
            yield _compared(bundle, Path(place))
        except DataError as error:
            raise _renamed(error, Path(place), bundle) from error


def _renamed(error: DataError, folder: Path, bundle: Path) -> DataError:
    """The error with the name in the bundle instead of that of a temporary file."""
    if not error.path.is_relative_to(folder):
        return error
    inside = bundle / error.path.relative_to(folder)
    return DataError(inside, error.problem, row=error.row, field=error.field, value=error.value)


def _unpack(bundle: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(bundle) as archive:
            entries = [info for info in archive.infolist() if not info.filename.endswith("/")]
            _check_entries(bundle, entries)
            for info in entries:
                path = folder / info.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, path.open("wb") as sink:
                    while chunk := source.read(1 << 20):
                        sink.write(chunk)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DataError(bundle, "holds a file where another has its folder", hint=NOT_OURS) from error
    except ZIP_DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (
            None,
            errno.EINVAL,
        ):  # a place before it
            raise
        hint = "it is cut short or damaged: get it again"
        raise DataError(bundle, f"is not a readable zip file ({error})", hint=hint) from error


def _check_entries(bundle: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES:
        raise DataError(bundle, f"holds {len(entries):,} files, more than {MOST_FILES:,}", hint=NOT_OURS)
    seen = set[str]()
    for info in entries:
        # zipfile cuts a name at NUL: what it was says more
        _check_name(bundle, info.orig_filename)
        if info.filename.lower() in seen:
            raise DataError(bundle, "is there twice", field=info.filename, hint=NOT_OURS)
        seen.add(info.filename.lower())
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise DataError(bundle, "is a link or no plain file", field=info.filename, hint=NOT_OURS)
        if info.flag_bits & 1 or info.compress_type not in METHODS:
            raise DataError(bundle, "is encrypted, or packed in another way", field=info.filename, hint=NOT_OURS)
        if info.file_size > max(SMALL, MOST_RATIO * info.compress_size):
            raise DataError(bundle, "unpacks to far more than text does", field=info.filename, hint=NOT_OURS)
        _check_size(bundle, info.filename, info.file_size)
    _check_total(bundle, sum(info.file_size for info in entries))


def _check_folder(folder: Path) -> None:
    total = 0
    for count, path in enumerate(sorted(folder.rglob("*"))):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise DataError(folder, "is a link or no plain file", field=name, hint=NOT_OURS)
        if count > MOST_FILES:
            raise DataError(folder, f"holds more than {MOST_FILES:,} files", hint=NOT_OURS)
        if path.is_file():
            _check_name(folder, name)
            _check_size(folder, name, path.stat().st_size)
            total += path.stat().st_size
    _check_total(folder, total)


def _check_name(bundle: Path, name: str) -> None:
    """Raise DataError unless a name stays in the bundle's folder on every system, and is that of a text."""
    parts = name.split("/")
    if not _NAME.fullmatch(name) or any(part.strip(".") == "" or len(part) > 255 for part in parts):
        raise DataError(bundle, "holds a file with an unsafe name", field="name", value=name, hint=NOT_OURS)
    if not name.endswith(ENDINGS):
        raise DataError(bundle, f"is none of {', '.join(ENDINGS)}", field=name, hint=NOT_OURS)


def _check_size(bundle: Path, name: str, size: int) -> None:
    if not name.endswith(".jsonl") and size > MOST_IN_A_TEXT:
        raise DataError(bundle, f"has {size:,} bytes, more than {MOST_IN_A_TEXT:,}", field=name, hint=NOT_OURS)


def _check_total(bundle: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise DataError(bundle, f"unpacks to {size:,} bytes, more than {MOST_BYTES:,}", hint=NOT_OURS)


def _compared(bundle: Path, folder: Path) -> Opened:
    sums = _read_sums(bundle, folder)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {CHECKSUMS}
    for names, problem in ((sums.keys() - there, "is missing"), (there - sums.keys(), "has no checksum")):
        if names:
            more = f", and {len(names) - 1} more" if len(names) > 1 else ""
            raise DataError(bundle, f"{problem}{more}", field=min(names), hint=NOT_OURS)
    for name in there:
        if name.endswith(".jsonl"):
            _check_lines(bundle, name, (folder / name).open("rb"))
    altered = tuple(name for name in sorted(there) if file_sha256(folder / name) != sums[name])
    return Opened(bundle, folder, sums, altered)


def _check_lines(bundle: Path, name: str, handle: IO[bytes]) -> None:
    with handle:
        row = 0
        while line := handle.readline(MOST_IN_A_TEXT + 1):
            row += 1
            if len(line) > MOST_IN_A_TEXT:
                raise DataError(bundle, f"has a line of more than {MOST_IN_A_TEXT:,} bytes", row=row, field=name)


def _read_sums(bundle: Path, folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    if not path.is_file():
        raise DataError(bundle, "is missing", field=CHECKSUMS, hint=NOT_OURS)
    found: dict[str, str] = {}
    for row, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
        fits = _SUM.fullmatch(line)
        if fits is None or fits["name"] in found:
            raise DataError(bundle / CHECKSUMS, "is no line of sha256sum", row=row, value=line, hint=NOT_OURS)
        found[fits["name"]] = fits["sum"]
    return found


def sums_text(files: Mapping[str, Path]) -> str:
    """The text of checksums.txt, as sha256sum writes it, of files by name in the bundle."""
    lines = []
    for name in sorted(files):
        with files[name].open("rb") as handle:
            lines.append(f"{hashlib.file_digest(handle, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)
