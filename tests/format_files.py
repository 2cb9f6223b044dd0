"""Files of rows, written one way or the other, and read back by json, csv and pyarrow without the package."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.parquet as pq

Rows = Sequence[Mapping[str, Any]]
Parsed = list[dict[str, Any]]


def lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def json_list(path: Path, rows: Rows) -> Path:
    path.write_text(" " + json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def columns(path: Path, rows: Rows) -> Path:
    names = dict.fromkeys(name for row in rows for name in row)
    path.write_text(
        json.dumps({name: {str(i): row[name] for i, row in enumerate(rows) if name in row} for name in names})
    )
    return path


def table_of(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows])


def parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(table_of(rows), path)
    return path


def arrow(path: Path, rows: Rows) -> Path:
    table = table_of(rows)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return path


def arrow_stream(path: Path, rows: Rows) -> Path:
    table = table_of(rows)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    return path


def shards(path: Path, rows: Rows) -> Path:
    """A folder with a file a row, compressed, beside files that are not part of the corpus."""
    path.mkdir()
    for number, row in enumerate(rows):
        (path / f"part-{number}.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    (path / "README.md").write_text("# Data\n")
    return path


def saved(path: Path, rows: Rows) -> Path:
    """A folder as `datasets.save_to_disk` writes it."""
    from datasets import Dataset

    Dataset.from_list([dict(row) for row in rows]).save_to_disk(str(path))
    return path


def text(delimiter: str) -> Callable[[Path, Rows], Path]:
    def write(path: Path, rows: Rows) -> Path:
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo>
    <namespaces><namespace key="6">File</namespace><namespace key="14">Kategorie</namespace></namespaces>
  </siteinfo>
{}</mediawiki>
"""
PAGE = """  <page>
    <title>{title}</title><ns>{namespace}</ns><id>{page_id}</id>{redirect}
    <revision><id>9</id><model>{model}</model><text xml:space="preserve">{wikitext}</text></revision>
  </page>
"""


def dump_of(rows: Rows) -> bytes:
    """A dump with the rows as its pages."""
    pages = []
    for row in rows:
        redirect = f"<redirect title={quoteattr(row['redirect'])} />" if "redirect" in row else ""
        plain = {name: escape(row[name]) for name in ("page_id", "title", "namespace", "wikitext")}
        pages.append(PAGE.format(redirect=redirect, model=row.get("model", "wikitext"), **plain))
    return DUMP.format("".join(pages)).encode()


def dump(path: Path, rows: Rows) -> Path:
    path.write_bytes(bz2.compress(dump_of(rows)))
    return path


def _pages(path: Path) -> Parsed:
    found = []
    for page in ElementTree.fromstring(bz2.decompress(path.read_bytes())).iterfind("{*}page"):
        texts = {"page_id": "id", "title": "title", "namespace": "ns", "wikitext": "revision/{*}text"}
        found.append({name: page.findtext("{*}" + place) for name, place in texts.items()})
    return found


STORES: Mapping[str, Callable[[Path, Rows], Path]] = {
    "lines": lines,
    "list": json_list,
    "columns": columns,
    "parquet": parquet,
    "arrow": arrow,
    "stream": arrow_stream,
    "saved": saved,
    "shards": shards,
    "tsv": text("\t"),
    "csv": text(","),
}


def write_rows(path: Path, store: str, rows: Rows) -> Path:
    """The rows in a file of that store."""
    return dump(path, rows) if store == "dump" else STORES[store](path, rows)


def parse(path: Path, store: str) -> Parsed:
    """The rows of a file of that store."""
    parsers: Mapping[str, Callable[[Path], Parsed]] = {
        "lines": lambda path: [json.loads(line) for line in _lines(path)],
        "list": lambda path: list(json.loads(path.read_text(encoding="utf-8"))),
        "columns": _transposed,
        "parquet": lambda path: pq.read_table(path).to_pylist(),
        "arrow": lambda path: pa.ipc.open_file(path.read_bytes()).read_all().to_pylist(),
        "stream": lambda path: pa.ipc.open_stream(path.read_bytes()).read_all().to_pylist(),
        "dump": _pages,
        "saved": lambda path: [row for file in sorted(path.glob("*.arrow")) for row in parse(file, "stream")],
        "shards": lambda path: [
            json.loads(gzip.decompress(file.read_bytes())) for file in sorted(path.glob("*.jsonl.gz"))
        ],
        "tsv": lambda path: _separated(path, "\t"),
        "csv": lambda path: _separated(path, ","),
    }
    return parsers[store](path)


def _lines(path: Path) -> Iterator[str]:
    return (line for line in path.read_bytes().decode().split("\n") if line)


def _transposed(path: Path) -> Parsed:
    found = json.loads(path.read_text())
    numbers = dict.fromkeys(number for column in found.values() for number in column)
    return [{name: column[number] for name, column in found.items() if number in column} for number in numbers]


def _separated(path: Path, delimiter: str) -> Parsed:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter=delimiter))


def leaves(value: Any) -> Iterator[str]:
    """Every string and number in a row, as text."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    elif value is not None:
        yield str(value)


def holds(row: Any, place: str) -> bool:
    """Whether anything but null, false and empty is at a place such as `output.provenance`, in any item of a list."""
    if isinstance(row, list):
        return any(holds(one, place) for one in row)
    name, _, rest = place.partition(".")
    found = row.get(name) if isinstance(row, Mapping) else None
    return holds(found, rest) if rest else bool(found)
