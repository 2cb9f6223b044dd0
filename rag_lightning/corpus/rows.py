"""The files of a corpus and the rows in them: one file, or those of a folder.

How a file stores its rows is `core/rows.py`; what the fields of a row mean is told by `layouts.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from rag_lightning.core.compression import ENDINGS
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_json
from rag_lightning.core.links import files_below
from rag_lightning.core.rows import Numbered, Shape, find_shape, read_rows
from rag_lightning.core.separated import Quotes, Quoting, column_names, find_quotes, read_csv, read_tsv

UNREADABLE: tuple[Shape, ...] = ("JSON columns", "JSON document", "topics", "JSON files")
DUMP = ".xml"
DATA = (".parquet", ".arrow", ".jsonl", ".tsv", DUMP)
TEXT = (".txt", ".md", ".markdown")
_SPLIT = re.compile(r"(.+)-\d+-of-\d+$")
_HINT = "a row has a field for each name of the header; for a file that quotes nothing set corpus.quoting=none"


@dataclass(frozen=True)
class Table:
    """A file of rows.

    Args:
        path: The file.
        shape: How its rows are stored.
        rows: Reads it from the start, only the given columns (none for all) where it stores columns.
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
    shape = find_shape(path)
    if shape in UNREADABLE:
        known = ", ".join(one for one in get_args(Shape) if one not in UNREADABLE)
        raise DataError(path, f"is a {shape}, no corpus", hint=f"expected one of {known}")
    if shape == "tab-separated text":
        quotes = Quotes("none") if quoting == "none" else find_quotes(path)
        return _text(path, shape, lambda: read_tsv(path, _HINT, quotes), quotes)
    if shape == "comma-separated text":
        return _text(path, shape, lambda: read_csv(path, _HINT), Quotes("csv"))
    return Table(path, shape, lambda columns: read_rows(path, shape, columns))


def _text(path: Path, shape: str, read: Callable[[], Iterator[tuple[int, list[str]]]], quotes: Quotes) -> Table:
    """Rows of text as fields named by the header, whose case does not matter."""
    row, header = next(read())
    names = column_names(path, row, header)

    def rows(columns: frozenset[str]) -> Numbered:
        return ((number, dict(zip(names, cells, strict=True))) for number, cells in read() if number > row)

    return Table(path, shape, rows, names, quotes)


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
    """The files of a folder that are its corpus: those of one ending, the first of parquet, arrow, jsonl, tsv and xml.

    Without these it is the ending, of csv, json and text, of which there are most. Hidden files are passed over; links
    are followed.

    Raises:
        DataError: none of them, several splits of a data set, or a link that leads nowhere.
    """
    saved = _saved(folder)
    if saved:
        return Files(".arrow", saved)
    found = [p for p in files_below(folder) if not _hidden(p.relative_to(folder))]
    if lost := next((p for p in found if not p.exists()), None):
        raise DataError(lost, "is a link that leads nowhere", hint="remove it, or restore what it leads to")
    found = [p for p in found if p.is_file()]
    by_ending: dict[str, list[Path]] = {}
    for path in found:
        by_ending.setdefault(_kind(path), []).append(path)
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


def _kind(path: Path) -> str:
    """Its ending; `.text` for all of TEXT, `.xml` for the parts of a dump, such as `….xml-p1p41242.bz2`."""
    ending = ending_of(path)
    return ".text" if ending in TEXT else DUMP if ending.startswith(DUMP + "-") else ending


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _saved(folder: Path) -> tuple[Path, ...]:
    """The files of a folder of `datasets.save_to_disk`, of its split train or its only one; () for another folder."""
    splits = folder / "dataset_dict.json"
    if splits.is_file():
        names = _names(splits, "splits", lambda split: split)
        if "train" not in names and len(names) != 1:
            raise DataError(folder, "has no split train", hint=f"give the folder of one of {', '.join(names)}")
        folder = folder / ("train" if "train" in names else names[0])
    state = folder / "state.json"
    if not state.is_file():
        return ()
    files = _names(state, "_data_files", lambda file: file.get("filename") if isinstance(file, dict) else None)
    return tuple(folder / name for name in files)


def _names(path: Path, field: str, name_of: Callable[[Any], Any]) -> list[str]:
    """The names in a list of a JSON file, all of files or folders beside it."""
    found = read_json(path)
    listed = found.get(field) if isinstance(found, dict) else None
    names: list[Any] = [name_of(one) for one in listed] if isinstance(listed, list) else [None]
    for name in names:
        if not isinstance(name, str) or name != Path(name).name:
            raise DataError(path, "is not as datasets.save_to_disk writes it", field=field, value=name)
    return [str(name) for name in names]
