"""Rows of named values, however a file stores them: JSON lines, a JSON list or columns, text with a header, parquet,
arrow, a folder of `datasets.save_to_disk`, a folder or archive of one JSON object a file, or a dump of Wikipedia.

How a file stores them is told from its content; rows are read one at a time.
"""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from rag_lightning.core.compression import ZIP_DAMAGE, read_member
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, check_file, file_digest, folder_digest, read_head, read_jsonl_objects
from rag_lightning.core.json_stream import json_columns, json_items
from rag_lightning.core.mediawiki import LOOKS, read_pages
from rag_lightning.core.separated import column_names, read_csv, read_tsv

Numbered = Iterator[tuple[int, Any]]
"""(row from 1, its values by name, or whatever stands in its place)."""
Shape = Literal[
    "JSON lines",
    "JSON list",
    "JSON columns",
    "JSON document",
    "tab-separated text",
    "comma-separated text",
    "topics",
    "Wikipedia dump",
    "parquet",
    "arrow",
    "JSON files",
]
ARCHIVES = re.compile(r"\.(zip|tar|tgz|tbz2|txz|tar\.\w+)$")
SIZE = 1 << 20
"""Bytes of the first part, by which text is recognised; a row is far smaller."""
LARGE = frozenset({"passages", "search_results", "entity_pages", "negative_passages"})
"""Columns of passages and search results, which no reader of questions needs: they are not read where a file stores
columns."""
BATCH = 256
_COLUMNS = re.compile(r'\{\s*"\w+"\s*:\s*\{\s*("\d+"\s*:|\})')
_DOCUMENT = re.compile(r'\{\s*("\w+"\s*:\s*("[^"]*"|[\w.]+)\s*,\s*)*"[Dd]ata"\s*:')
_PART = re.compile(r"[-_.]?\d.*$")
"""The end of a file's name that counts the parts of a split: train-00000-of-00002."""
_FEATHER, _STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_WIDTH = "as many fields in every row as the header names"


def find_shape(path: Path) -> Shape:
    """How a file or folder stores its rows.

    Raises:
        DataError: missing, empty, damaged or not UTF-8; or a folder that holds no rows.
    """
    if path.is_dir():
        return _folder_shape(path)
    check_file(path)
    start = _start(path)
    if start[:4] == b"PAR1":
        return "parquet"
    if start in (_FEATHER, _STREAM):
        return "arrow"
    if ARCHIVES.search(path.name.lower()):
        return "JSON files"
    return _text_shape(path, read_head(path, SIZE))


def _start(path: Path) -> bytes:
    with path.open("rb") as handle:
        start = handle.read(len(_FEATHER))
    return _STREAM if start.startswith(_STREAM) else start


def _folder_shape(folder: Path) -> Shape:
    if (folder / "dataset_dict.json").is_file():
        splits = [one.name for one in sorted(folder.iterdir()) if one.is_dir()]
        raise DataError(folder, f"holds the splits {', '.join(splits)}", hint=f"give one, as {folder.name}/SPLIT")
    shapes: dict[str, Shape] = {"*.arrow": "arrow", "*.parquet": "parquet", "*.json": "JSON files"}
    for pattern, shape in shapes.items():
        files = sorted(folder.glob(pattern))
        named = {_PART.sub("", file.stem) for file in files}
        if len(named) > 1 and shape != "JSON files":
            hint = f"give the files of one, such as {files[0]}"
            raise DataError(folder, f"holds files of {', '.join(sorted(named))}", hint=hint)
        if files:
            return shape
    raise DataError(folder, "is a folder without arrow, parquet or JSON files", hint="give a file")


def _text_shape(path: Path, text: str) -> Shape:
    """JSON lines, columns or a document; only a document spreads over lines or holds a list called data."""
    start = text.lstrip()
    if not start:
        raise DataError(path, "is empty")
    if start[0] == "[":
        return "JSON list"
    if LOOKS.match(start):
        return "Wikipedia dump"
    if re.match(r"<(top|topics|\?xml)\b", start):
        return "topics"
    if start[0] != "{":
        first = start.split("\n", 1)[0]
        return "comma-separated text" if "," in first and "\t" not in first else "tab-separated text"
    lines = ".jsonl" in path.suffixes
    if _COLUMNS.match(start) and not lines:
        return "JSON columns"
    first, _, rest = start.partition("\n")
    if lines or (_is_object(first) and (rest.strip() or not _DOCUMENT.match(first))):
        return "JSON lines"
    return "JSON lines" if rest.lstrip().startswith("{") and not _DOCUMENT.match(start) else "JSON document"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except UNREADABLE:
        return False


def read_rows(path: Path, shape: Shape | None = None, columns: frozenset[str] = frozenset()) -> Numbered:
    """The rows of a file or folder; a row is a line, or a position in a list, columns or files.

    Args:
        path: The file or folder.
        shape: How it stores them; None to look.
        columns: The columns to read of parquet and arrow; none for all but LARGE.

    Raises:
        DataError: as `find_shape`; a row that cannot be read; or a file that holds no rows of named values.
    """
    readers: Mapping[Shape, Callable[[Path], Numbered]] = {
        "JSON lines": read_jsonl_objects,
        "JSON list": json_items,
        "JSON columns": _columns,
        "tab-separated text": lambda path: _named(path, read_tsv(path, _WIDTH)),
        "comma-separated text": lambda path: _named(path, read_csv(path, _WIDTH)),
        "parquet": lambda path: _parquet(path, columns),
        "arrow": lambda path: _arrow(path, columns),
        "JSON files": _json_files,
        "Wikipedia dump": read_pages,
    }
    shape = shape or find_shape(path)
    if shape not in readers:
        raise DataError(path, f"is a {shape}, not rows of named values")
    return readers[shape](path)


def _columns(path: Path) -> Numbered:
    columns: dict[str, dict[str, Any]] = {}
    for name, number, value in json_columns(path, lambda name: name not in LARGE):
        columns.setdefault(name, {})[number] = value
    numbers = dict.fromkeys(number for column in columns.values() for number in column)
    for row, number in enumerate(numbers, 1):
        yield row, {name: column[number] for name, column in columns.items() if number in column}


def _named(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Numbered:
    """Cells by the names of the header, which are read without case."""
    names: tuple[str, ...] = ()
    for row, cells in rows:
        if names:
            yield row, dict(zip(names, cells, strict=False))
        else:
            names = column_names(path, row, cells)


def _files(path: Path, pattern: str) -> list[Path]:
    return sorted(path.glob(pattern)) if path.is_dir() else [path]


def _wanted(path: Path, names: list[str], columns: frozenset[str]) -> list[str]:
    if repeated := next((name for name, times in Counter(names).items() if times > 1), None):
        raise DataError(path, "names a column twice", field="schema", value=repeated)
    return [name for name in names if (name in columns if columns else name not in LARGE)]


def _parquet(path: Path, columns: frozenset[str]) -> Numbered:
    import pyarrow.parquet as pq

    def batches(file: Path) -> Iterable[Any]:
        with pq.ParquetFile(file) as table:
            yield from table.iter_batches(BATCH, columns=_wanted(file, table.schema_arrow.names, columns))

    return _tables(_files(path, "*.parquet"), batches)


def _arrow(path: Path, columns: frozenset[str]) -> Numbered:
    """Files of `datasets`, which are streams, and of feather, which are not."""
    import pyarrow as pa

    def batches(file: Path) -> Iterable[Any]:
        with pa.memory_map(str(file)) as source:
            stream = _start(file) != _FEATHER
            with pa.ipc.open_stream(source) if stream else pa.ipc.open_file(source) as table:
                names = _wanted(file, table.schema.names, columns)
                for batch in table if stream else map(table.get_batch, range(table.num_record_batches)):
                    for start in range(0, batch.num_rows, BATCH):
                        yield batch.slice(start, BATCH).select(names)

    return _tables(_files(path, "*.arrow"), batches)


def _tables(files: list[Path], batches: Callable[[Path], Iterable[Any]]) -> Numbered:
    import pyarrow as pa

    row = 0
    for file in files:
        try:
            for batch in batches(file):
                for values in batch.to_pylist():
                    row += 1
                    yield row, values
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # the last two of values in Python
            problem = f"cannot be read after row {row}: {str(error).splitlines()[0]}"
            raise DataError(file, problem, hint="fetch or write it again") from error


def _json_files(path: Path) -> Numbered:
    """The object of each JSON file of a folder, in the order of names, or of one folder of an archive, in its order."""
    read = _folder_members if path.is_dir() else _zip_members if path.suffix.lower() == ".zip" else _tar_members
    folder = None
    try:
        for row, (name, content) in enumerate(read(path), 1):
            parent = Path(name).parent
            folder = folder or parent
            if parent != folder:
                raise DataError(path, f"holds the folders {folder} and {parent}", hint="unpack it and give one of them")
            try:
                yield row, json.loads(content)
            except UNREADABLE as error:
                raise DataError(path / name, f"is not JSON: {error}") from error
    except (tarfile.TarError, *ZIP_DAMAGE) as error:
        raise DataError(path, f"is an archive that cannot be read: {error}", hint="fetch or unpack it") from error


def _folder_members(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.glob("*.json")):
        with file.open("rb") as opened:
            yield file.name, read_member(file, opened)


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                with archive.open(name) as opened:
                    yield name, read_member(path / name, opened)


def _tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json") and (content := archive.extractfile(member)):
                yield member.name, read_member(path / member.name, content)


def data_digest(path: Path) -> str:
    """16 hex digits over a file, or over the files of a folder.

    Raises:
        DataError: missing or empty.
    """
    return folder_digest(path) if path.is_dir() else file_digest(path)
