"""How the rows of a corpus are stored: JSON lines, a JSON list, text with a header, parquet or arrow; a file or many.

Every storage gives the same: rows of named fields, one at a time. What the fields mean is told by `layouts.py`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_lightning.core.compression import ENDINGS, open_file, read_some
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file, read_head, read_json, read_jsonl_objects
from rag_lightning.core.separated import Quotes, Quoting, find_quotes, read_csv, read_tsv

Values = Mapping[str, Any]
Numbered = Iterator[tuple[int, Values]]
"""(row from 1, fields) of a file."""
BATCH = 1024
"""Rows of a parquet file that are in memory at once."""
CHUNK, LARGEST = 1 << 16, 1 << 26
"""Characters of a JSON list that are read at once, and of its largest row."""
DATA = (".parquet", ".arrow", ".jsonl", ".tsv")
TEXT = (".txt", ".md", ".markdown")
_SPLIT = re.compile(r"(.+)-\d+-of-\d+$")
_HINT = "a row has a field for each name of the header; for a file that quotes nothing set corpus.quoting=none"


@dataclass(frozen=True)
class Table:
    """A file of rows.

    Args:
        path: The file.
        shape: How its rows are stored.
        rows: Reads it from the start, only the given columns (none for all) where a storage can.
        names: The names of the header, in text.
        quotes: How double quotes are read, in text.
    """

    path: Path
    shape: str
    rows: Callable[[frozenset[str]], Numbered]
    names: tuple[str, ...] = ()
    quotes: Quotes = field(default=Quotes("csv"))


def open_table(path: Path, quoting: Quoting = "csv") -> Table:
    """A file of rows, its storage told from its content.

    Raises:
        DataError: missing, empty, damaged, or none of the storages.
    """
    check_file(path)
    with path.open("rb") as handle:
        start = handle.read(8)
    if start.startswith(b"PAR1"):
        return Table(path, "parquet", lambda columns: _parquet(path, columns))
    if start.startswith(b"ARROW1") or (start[:4] == b"\xff\xff\xff\xff" and start[4:]):
        return Table(path, "arrow", lambda columns: _arrow(path, columns))
    text = read_head(path, CHUNK).lstrip()
    if not text:
        raise DataError(path, "is empty")
    if text[0] == "{":
        return Table(path, "JSON lines", lambda _: read_jsonl_objects(path))
    if text[0] == "[":
        return Table(path, "JSON list", lambda _: read_list(path))
    if "\t" in text.split("\n", 1)[0]:
        quotes = Quotes("none") if quoting == "none" else find_quotes(path)
        return _text(path, "tab-separated text", lambda: read_tsv(path, _HINT, quotes), quotes)
    return _text(path, "comma-separated text", lambda: read_csv(path, _HINT), Quotes("csv"))


def _text(path: Path, shape: str, read: Callable[[], Iterator[tuple[int, list[str]]]], quotes: Quotes) -> Table:
    """Rows of text as fields named by the header, whose case does not matter."""
    row, header = next(read())
    names = tuple(cell.strip().lower() for cell in header)
    repeated = next((name for name, times in Counter(names).items() if times > 1), None)
    if repeated is not None:
        raise DataError(path, "names a column twice", row=row, field="header", value=repeated)

    def rows(columns: frozenset[str]) -> Numbered:
        return ((number, dict(zip(names, cells, strict=True))) for number, cells in read() if number > row)

    return Table(path, shape, rows, names, quotes)


def read_list(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (position from 1, object) of one JSON list of objects, in bounded memory.

    Raises:
        DataError: no list of objects, cut short, or an object that is not JSON or far too large.
    """
    decoder, row, rest, before = json.JSONDecoder(), 0, "", "["
    why = "the list does not end"
    for chunk in _characters(path):
        rest += chunk
        while text := rest.lstrip():
            if text[0] != before and not (row and text[0] == "]"):
                raise DataError(path, f"is not a JSON list: expected {before} or ]", row=row + 1, value=text[:40])
            item = text[1:].lstrip()
            if text[0] == "]" or (not row and item[:1] == "]"):
                rest = text if row else item
                break
            try:
                value, end = decoder.raw_decode(item)
            except (ValueError, RecursionError) as error:
                why = str(error)
                break
            row, rest, before = row + 1, item[end:], ","
            if not isinstance(value, dict):
                raise DataError(path, "is not a JSON object", row=row, value=value)
            yield row, value
        if len(rest) > LARGEST:
            break
    if rest.strip() != "]":
        raise DataError(path, f"is not JSON, or is cut short ({why})", row=row + 1)


def _characters(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    with open_file(path) as handle:
        while raw := read_some(path, handle.read, CHUNK, 1):
            try:
                yield decoder.decode(raw)
            except UnicodeDecodeError as error:
                raise DataError(path, "is not UTF-8", value=raw[error.start : error.end], hint="convert it") from error


@contextmanager
def arrow_errors(path: Path, what: str) -> Iterator[None]:
    """Turn errors of pyarrow about a file into a DataError of one line."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        problem = f"is a cut or damaged {what} file ({str(error).strip().splitlines()[0]})"
        raise DataError(path, problem, hint="fetch it again") from error


def _parquet(path: Path, columns: frozenset[str]) -> Numbered:
    import pyarrow.parquet as pq

    with arrow_errors(path, "parquet"), pq.ParquetFile(path) as file:
        batches = file.iter_batches(BATCH, columns=_kept(file.schema_arrow.names, columns))
        yield from enumerate((values for batch in batches for values in batch.to_pylist()), 1)


def _arrow(path: Path, columns: frozenset[str]) -> Numbered:
    """An arrow file or stream, as `datasets.save_to_disk` writes it."""
    import pyarrow as pa

    with arrow_errors(path, "arrow"), pa.memory_map(str(path)) as source:
        kept = (batch.select(_kept(batch.schema.names, columns)) for batch in _batches(source))
        yield from enumerate((values for batch in kept for values in batch.to_pylist()), 1)


def _kept(names: list[str], columns: frozenset[str]) -> list[str]:
    return [name for name in names if name in columns or not columns]


def _batches(source: Any) -> Iterator[Any]:
    import pyarrow as pa

    if source.read(6) == b"ARROW1":
        file = pa.ipc.open_file(source)
        yield from (file.get_batch(number) for number in range(file.num_record_batches))
    else:
        source.seek(0)
        yield from pa.ipc.open_stream(source)


@dataclass(frozen=True)
class Files:
    """The files of a folder that are read as one corpus.

    Args:
        ending: What they are: one of DATA, .csv, .json, or .text for all of TEXT.
        paths: The files in the order of their names.
        others: How many files of other endings there are.
    """

    ending: str
    paths: tuple[Path, ...]
    others: int = 0


def list_files(folder: Path) -> Files:
    """The files of a folder that are its corpus: those of one ending, the first of parquet, arrow, jsonl and tsv.

    Without these it is the ending, of csv, json and text, of which there are most. Hidden files are passed over.

    Raises:
        DataError: none of them, or several splits of a data set.
    """
    saved = _saved(folder)
    if saved:
        return Files(".arrow", saved)
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _hidden(p.relative_to(folder))]
    by_ending: dict[str, list[Path]] = {}
    for path in found:
        by_ending.setdefault(".text" if ending_of(path) in TEXT else ending_of(path), []).append(path)
    ending = next((one for one in DATA if one in by_ending), "")
    ending = ending or max((".csv", ".json", ".text"), key=lambda one: len(by_ending.get(one, ())))
    if ending not in by_ending:
        raise DataError(
            folder, "holds no corpus", hint=f"expected files that end in {', '.join((*DATA, '.csv', '.json', *TEXT))}"
        )
    paths = by_ending[ending]
    splits = {match[1] for path in paths if (match := _SPLIT.match(path.stem))}
    if len(splits) > 1:
        hint = f"give one file, or a folder of one of {', '.join(sorted(splits))}"
        raise DataError(folder, "holds several splits", hint=hint)
    return Files(ending, tuple(paths), len(found) - len(paths))


def ending_of(path: Path) -> str:
    """The ending of a file's name, without that of a compression: `.tsv` of `psgs_w100.tsv.gz`."""
    name = path.name.lower()
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return Path(name).suffix


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _saved(folder: Path) -> tuple[Path, ...]:
    """The files of a folder of `datasets.save_to_disk`, of its split train or its only one; () for another folder."""
    splits = folder / "dataset_dict.json"
    if splits.is_file():
        names = _field(splits, "splits")
        if "train" not in names and len(names) != 1:
            raise DataError(folder, "has no split train", hint=f"give the folder of one of {', '.join(names)}")
        folder = folder / ("train" if "train" in names else names[0])
    state = folder / "state.json"
    if not state.is_file():
        return ()
    return tuple(folder / str(file["filename"]) for file in _field(state, "_data_files"))


def _field(path: Path, name: str) -> list[Any]:
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get(name), list):
        raise DataError(path, "is not as datasets.save_to_disk writes it", field=name)
    return list(found[name])
