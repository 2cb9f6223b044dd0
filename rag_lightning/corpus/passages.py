"""Readers of a user's corpus: DPR TSV and JSONL (also BEIR's), plain or gzip, in bounded memory.

Formats: https://github.com/facebookresearch/DPR (psgs_w100.tsv), https://github.com/beir-cellar/beir (corpus.jsonl).

Passages from a data set of the hub in wiki_dpr's layout (columns id, title, text), streamed.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rag_lightning.config.data import Quoting
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file, read_jsonl_objects, read_lines, read_tsv
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import first_duplicate, hash_id

DPR_HEADER = ("id", "text", "title")
HINT = (
    "a field that starts with a double quote must end with one and double those inside (csv.writer does); for a file "
    "that quotes nothing set corpus.quoting=none"
)
MODES: Mapping[Quoting, Literal[0, 3]] = {"csv": csv.QUOTE_MINIMAL, "none": csv.QUOTE_NONE}


def read_passages(path: Path | str, quoting: Quoting = "csv") -> Iterator[Passage]:
    """Read a corpus file; the format is told from its first character, not from its name.

    The format is checked here, rows are read lazily; 16 bytes a passage are kept to find duplicates.

    Args:
        path: The corpus file.
        quoting: Quoting of a TSV: csv (DPR's), or none, where a double quote is an ordinary character.

    Raises:
        DataError: missing, empty or damaged file, wrong header, missing field, or (after the last row) a passage id
            that occurs twice.
    """
    path = Path(path)
    check_file(path)
    return _without_duplicates(path, quoting)


def _without_duplicates(path: Path, quoting: Quoting) -> Iterator[Passage]:
    hashes, rows = array("Q"), array("Q")
    for row, passage in _numbered(path, quoting):
        hashes.append(hash_id(passage.passage_id))
        rows.append(row)
        yield passage
    if not rows:
        raise DataError(path, "holds no passages")
    pair = first_duplicate(np.frombuffer(hashes, dtype=np.uint64), lambda i: _id_at(path, rows[i], quoting))
    if pair:
        first, second = rows[pair[0]], rows[pair[1]]
        problem = f"occurs in row {first} already"
        raise DataError(
            path,
            problem,
            row=second,
            field="id",
            value=_id_at(path, second, quoting),
            hint="give every passage its own id",
        )


def _id_at(path: Path, wanted: int, quoting: Quoting) -> str:
    return next(passage.passage_id for row, passage in _numbered(path, quoting) if row == wanted)


def _numbered(path: Path, quoting: Quoting) -> Iterator[tuple[int, Passage]]:
    return _read_jsonl(path) if _first_character(path) == "{" else _read_tsv(path, quoting)


def _first_character(path: Path) -> str:
    for line in read_lines(path):
        if line.strip():
            return line.lstrip()[0]
    raise DataError(path, "is empty")


def _read_tsv(path: Path, quoting: Quoting) -> Iterator[tuple[int, Passage]]:
    header: list[str] = []
    for row, values in read_tsv(path, HINT, quoting=MODES[quoting], strict=True):
        if not header:
            header = values
            if sorted(header) != sorted(DPR_HEADER):
                problem, hint = "wrong header", "expected id, text, title, tab-separated"
                raise DataError(path, problem, row=1, value="\t".join(header), hint=hint)
        elif len(values) > len(header):
            problem = f"has {len(values)} fields instead of {len(header)}"
            raise DataError(path, problem, row=row, hint="quote tabs in a field")
        else:
            yield row, _passage(path, row, dict(zip(header, values, strict=False)))


def _read_jsonl(path: Path) -> Iterator[tuple[int, Passage]]:
    for row, values in read_jsonl_objects(path):
        if "id" not in values and "_id" in values:
            values["id"] = values["_id"]
        yield row, _passage(path, row, values)


def _passage(path: Path, row: int, values: Mapping[str, Any]) -> Passage:
    for name in DPR_HEADER:
        if name not in values:
            raise DataError(path, "is missing", row=row, field=name)
    identifier = values["id"]
    if isinstance(identifier, bool) or not isinstance(identifier, (str, int)) or identifier == "":
        raise DataError(path, "must be a string or a whole number", row=row, field="id", value=identifier)
    for name in ("text", "title"):
        if not isinstance(values[name], str):
            raise DataError(path, "must be a string", row=row, field=name, value=values[name])
    if not (values["text"].strip() or values["title"].strip()):
        raise DataError(path, "is empty, and so is the title", row=row, field="text", value=values["text"])
    return Passage(str(identifier), values["title"], values["text"])


COLUMNS = ("id", "title", "text")


def read_hub(name: str, configuration: str, commit: str) -> Iterator[Passage]:
    """Stream the train split.

    Args:
        name: Data set on the hub, or a local folder with its parquet files.
        configuration: Configuration of the data set, "" for the only one.
        commit: Revision on the hub; not used for a folder.

    Raises:
        DataError: a column is missing, or a row has no text.
    """
    from datasets import load_dataset

    revision = None if Path(name).is_dir() else commit
    rows = load_dataset(name, configuration or None, split="train", revision=revision, streaming=True)
    for row, values in enumerate(rows, 1):
        for column in COLUMNS:
            if values.get(column) is None:
                raise DataError(name, "is missing", row=row, field=column, hint="needs the columns id, title and text")
        yield Passage(str(values["id"]), str(values["title"]), str(values["text"]))
