"""Reading a corpus: files, folders and data sets of the hub, in any layout of the registry, in bounded memory.

What is read as what is told from names and types of the fields of the first rows, never from the name of a file.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.config.registries import CORPUS_LAYOUTS
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import check_file
from rag_lightning.core.records import Passage
from rag_lightning.core.rows import Numbered
from rag_lightning.core.separated import Quoting
from rag_lightning.corpus.layouts import DPR, CorpusLayout, Values
from rag_lightning.corpus.rows import Table, list_files, open_table
from rag_lightning.corpus.store import first_duplicate, hash_id
from rag_lightning.corpus.texts import read_article
from rag_lightning.corpus.work import Row, Work

READING = "2"
"""Version of how files are read; raised where the same file gives other passages."""
SAMPLE = 32
"""Rows from which a layout is told."""
QUESTIONS = frozenset({"question", "query", "claim", "qText", "utterance", "golden_answers"})
NO_OBJECT = "is not a JSON object"
ALL: frozenset[str] = frozenset()
"""No names: every field of a row is read."""
JUDGEMENTS = frozenset({"query-id", "corpus-id"})
ANSWERS = frozenset({"answer", "answers"})
QUERIES_FILE = "queries*"
"""BEIR's name of its queries."""
ALONE = Work()
Placed = Iterator[tuple[Path, int, Passage]]
"""(file, row of the file from 1, passage)."""


@dataclass
class CorpusReading:
    """The passages of a source, read anew by each iteration; 16 bytes a passage are kept to find duplicates.

    Args:
        source: The file, the folder, or the name of the data set.
        layout: What it was read as.
        remarks: What a user should know before a row is read.
        place: Reads the passages with their places, and counts what it leaves out.
    """

    source: Path
    layout: str
    remarks: tuple[str, ...]
    place: Callable[[Counter[str]], Placed]
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def notes(self) -> list[str]:
        """The remarks, and after an iteration what was left out."""
        return [*self.remarks, *(f"{what}: {count:,}" for what, count in sorted(self.left_out.items()))]

    def __iter__(self) -> Iterator[Passage]:
        """The passages in their order.

        Raises:
            DataError: a bad row, no passages, or (after the last row) a passage id that occurs twice.
        """
        self.left_out = Counter()
        hashes = array("Q")
        for _, _, passage in self.place(self.left_out):
            hashes.append(hash_id(passage.passage_id))
            yield passage
        if not hashes:
            raise DataError(self.source, "holds no passages")
        pair = first_duplicate(np.frombuffer(hashes, dtype=np.uint64), lambda i: self._at(i)[2].passage_id)
        if pair:
            (path, row, _), (again, second, passage) = map(self._at, pair)
            where = f"row {row}" if path == again else f"row {row} of {path}"
            hint, value = "give every passage its own id", passage.passage_id
            raise DataError(again, f"occurs in {where} already", row=second, field="id", value=value, hint=hint)

    def _at(self, position: int) -> tuple[Path, int, Passage]:
        return next(islice(self.place(Counter()), position, None))


def find_source(source: Path | str) -> Path:
    """The file or folder of a corpus.

    Raises:
        DataError: missing or empty.
    """
    path = Path(source)
    if not path.exists():
        raise DataError(path, "does not exist", hint="check the path; a data set of the hub is given as hub:NAME")
    if not path.is_dir():
        check_file(path)
    return path


def read_passages(path: Path | str, quoting: Quoting = "csv", work: Work = ALONE) -> CorpusReading:
    """Open a corpus; what it is is told here, rows are read lazily.

    Args:
        path: A file of rows, or a folder of such files or of text.
        quoting: How a tab-separated file is quoted: csv (DPR's; a file that is not quoted so is read as none), or
            none, where a double quote is an ordinary character.
        work: How passages are made that take long.

    Raises:
        DataError: missing, empty or damaged, or rows in no layout.
    """
    path = find_source(path)
    if not path.is_dir():
        return _read_tables(path, [open_table(path, quoting)], work=work)
    files = list_files(path)
    others = (f"other files left out: {files.others:,}",) if files.others else ()
    if files.ending == ".text":
        return CorpusReading(path, "text, cut to passages", others, lambda notes: _articles(files.paths, path, notes))
    return _read_tables(path, [open_table(file, quoting) for file in files.paths], others, work)


def _articles(paths: Sequence[Path], folder: Path, notes: Counter[str]) -> Placed:
    for path in paths:
        row = 0
        for row, passage in enumerate(read_article(path, folder), 1):
            yield path, row, passage
        notes["files without text left out"] += not row
    notes += Counter()  # drops what did not happen


def _read_tables(
    source: Path, tables: Sequence[Table], remarks: tuple[str, ...] = (), work: Work = ALONE
) -> CorpusReading:
    layout = find_layout(tables[0])
    quotes = (f"{table.path.name}: {table.quotes}" for table in tables if str(table.quotes))
    ids = ("rows have no id: the row in the corpus, from 0, is the passage id",) if layout.numbered else ()
    name = f"{layout.name}, {tables[0].shape}"
    return CorpusReading(source, name, (*remarks, *quotes, *ids), lambda notes: _place(tables, layout, notes, work))


def _place(tables: Sequence[Table], layout: CorpusLayout, notes: Counter[str], work: Work) -> Placed:
    for path, row, passages in work.passages(layout, _rows(tables, layout, notes)):
        yield from ((path, row, passage) for passage in passages)
        if not passages:
            notes["rows without text left out"] += 1


def _rows(tables: Sequence[Table], layout: CorpusLayout, notes: Counter[str]) -> Iterator[Row]:
    """The rows that make passages; the others are counted."""
    number = 0
    for table in tables:
        for row, values in table.rows(fields()):
            if not isinstance(values, dict):
                raise DataError(table.path, NO_OBJECT, row=row, value=values)
            if fault := layout.fault(values):
                raise _misfit(table.path, row, values, layout, *fault)
            if reason := layout.left_out(values):
                notes[reason] += 1
            else:
                yield table.path, row, values, number
            number += 1


def _misfit(path: Path, row: int, values: Values, layout: CorpusLayout, name: str, problem: str) -> DataError:
    """The error for a row that does not fit; it tells a row of another layout."""
    others = [other for other in layouts() if other is not layout and not other.fault(values)]
    hint = f"the row is {others[0].name}, the first is {layout.name}: one corpus has one layout" if others else ""
    return DataError(path, problem, row=row, field=name, value=values.get(name), hint=hint)


def layouts() -> list[CorpusLayout]:
    """The layouts of the registry, in the order in which they are tried."""
    return [CORPUS_LAYOUTS.get(name) for name in CORPUS_LAYOUTS]


def fields() -> frozenset[str]:
    """The names of all fields that a layout reads."""
    return frozenset(name for layout in layouts() for name in (*layout.needs, *layout.others))


def find_layout(table: Table) -> CorpusLayout:
    """The first layout that the first row has the fields of, and half of the first rows the types.

    Raises:
        DataError: no rows, no layout has the fields of the first, or queries in the place of passages.
    """
    sample = [] if table.names else list(islice(table.rows(ALL), SAMPLE))
    if not sample and not table.names:
        raise DataError(table.path, "holds no passages")
    row, values = sample[0] if sample else (1, dict.fromkeys(table.names))
    if not isinstance(values, dict):
        raise DataError(table.path, NO_OBJECT, row=row, value=values)
    found = [layout for layout in layouts() if layout.fits(values)]
    if not found:
        raise _unknown(table, row, list(values))
    rows = [values for _, values in sample if isinstance(values, dict)]
    if _are_queries(table, rows):
        hint = "give the passages, such as corpus.jsonl beside it; queries are task.train, task.dev or task.test"
        raise DataError(table.path, "holds queries, not passages", row=row, value=list(values), hint=hint)
    return next((one for one in found if 2 * sum(not one.fault(values) for values in rows) >= len(rows)), found[0])


def _are_queries(table: Table, rows: Sequence[Values]) -> bool:
    """BEIR's queries have the fields of its passages: answers tell them, or the name of the file, but for a title."""
    if "title" in table.names or any(values.get("title") for values in rows):
        return False
    found = [{**values, **(values["metadata"] if isinstance(values.get("metadata"), dict) else {})} for values in rows]
    return table.path.match(QUERIES_FILE) or any(ANSWERS & values.keys() for values in found)


def _unknown(table: Table, row: int, names: Sequence[str]) -> DataError:
    """The error for a first row, or a header, in no layout."""
    known = layouts()
    hint = f"expected id, text and perhaps title, or the fields of {', '.join(layout.name for layout in known)}"
    if JUDGEMENTS.issubset(names):
        return DataError(table.path, "is a file of judgements (qrels), no corpus", row=row, value=list(names))
    if QUESTIONS.intersection(names):
        hint = "give it as task.train, task.dev or task.test"
        return DataError(table.path, "looks like questions, not passages", row=row, value=list(names), hint=hint)
    if table.names:
        hint = f"the first row must name the columns; {hint}; text and Markdown are read from a folder"
        return DataError(table.path, "wrong header", row=row, value="\t".join(names), hint=hint)
    named = [layout for layout in known if not layout.numbered]
    near = max([DPR, *named], key=lambda layout: len(layout.needs.keys() & set(names)) / len(layout.needs))
    missing = next(name for name in near.needs if name not in names)
    return DataError(table.path, "is missing", row=row, field=missing, value=list(names), hint=hint)


def read_hub(name: str, configuration: str, commit: str) -> CorpusReading:
    """Stream the train split of a data set.

    Args:
        name: Data set on the hub, or a local folder with its files or as `datasets.save_to_disk` wrote it.
        configuration: Configuration of the data set, "" for the only one.
        commit: Revision on the hub; not used for a folder.

    Raises:
        DataError: cannot be loaded, or rows in no layout.
    """
    folder = Path(name)
    if any((folder / file).is_file() for file in ("state.json", "dataset_dict.json")):
        return read_passages(folder)
    from datasets import load_dataset

    with _hub_errors(name):
        revision = None if folder.is_dir() else commit
        rows = load_dataset(name, configuration or None, split="train", revision=revision, streaming=True)
    return _read_tables(folder, [Table(folder, "hub", lambda columns: _streamed(name, rows, columns))])


def _streamed(name: str, rows: Any, columns: frozenset[str]) -> Numbered:
    with _hub_errors(name):
        kept = [column for column in rows.column_names or () if column in columns]
        yield from enumerate(rows.select_columns(kept) if kept else rows, 1)


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Turn errors of the library about a data set into a DataError of one line."""
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    try:
        yield
    except (DatasetsError, ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        problem = f"cannot be loaded: {str(error).strip().splitlines()[0]}"
        raise DataError(name, problem, hint="expected a split train of passages") from error
