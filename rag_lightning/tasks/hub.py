"""Data sets of the hub, as parquet or original files: dataset scripts are no longer loaded.

A task names its data set, configuration and splits (HubSource). Where the data set has no split for dev, dev is held
out of train by seed, as large as the paper's, or a tenth of a smaller train. Such a dev is not the published one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_lightning.core import seeds
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example
from rag_lightning.core.rows import LARGE
from rag_lightning.tasks.examples import Dropped, RawExample, Reading, Row, to_reading
from rag_lightning.tasks.layout import Layout

MAIN = "main"
PARQUET = "refs/convert/parquet"
"""Branch of the hub's own conversion, for data sets whose main branch is a script."""
ReadRows = Callable[[Path, Iterable[Mapping[str, Any]]], Iterable[Row]]
"""(name of the data set, its rows as columns -> values) -> rows; raises DataError."""


@dataclass(frozen=True)
class HubSource:
    """A task's data set on the hub, and the reader of its columns.

    Args:
        name: Data set on the hub.
        configuration: Configuration of the data set, "" for the only one.
        rows: Converts its rows to examples.
        train: Its split for train.
        dev: Its split for dev, "" where dev is held out of train.
        test: Its split for test; "" to know all three by their names (OWN_SPLITS).
        held_out: How many examples dev takes from train, a tenth of train at most.
        revision: Branch that is resolved to a commit; files of PARQUET are at `configuration/split/*.parquet`.
        columns: Columns to read, () for all: passages and search results are large.
    """

    name: str
    configuration: str
    rows: ReadRows
    train: str = "train"
    dev: str = ""
    test: str = "test"
    held_out: int = 0
    revision: str = MAIN
    columns: tuple[str, ...] = ()

    def of_rows(self, layout: Layout) -> HubSource:
        """Another data set, whose rows are of a layout and whose splits are known by their names."""
        assert layout.parse is not None
        return replace(self, rows=by_row(layout.parse), test="", revision=MAIN, columns=())


@dataclass(frozen=True)
class Split:
    """train, dev and test, and in `notes` how many examples were read, held out and dropped."""

    parts: dict[str, list[Example]]
    notes: dict[str, int]


def by_row(parse: Callable[[Path, int, Mapping[str, Any]], Row]) -> ReadRows:
    """Read rows one by one, as rows of a file with the same fields."""

    def rows(path: Path, given: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
        for row, values in enumerate(given, 1):
            yield parse(path, row, values)

    return rows


OWN_SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid"),
    "test": ("test", "validation", "dev"),
}
"""Names of the splits of data sets other than a task's own; dev is another one than test."""


def read_hub(
    source: HubSource,
    name: str,
    configuration: str,
    commit: str,
    seed: int,
    fallback: bool = False,
    layouts: Sequence[Layout] = (),
) -> Split:
    """train, dev and test.

    Args:
        source: Splits and columns.
        name: Data set on the hub, or a local folder with its parquet, arrow or original files.
        configuration: Configuration of the data set, "" for the only one.
        commit: Revision on the hub; not used for a folder.
        seed: Seed of a dev split that is held out.
        fallback: Whether to keep the other answers of a row that has no preferred one (`task.fallback`).
        layouts: Formats of rows to look for where the first row is not the source's.

    Raises:
        DataError: a split or column is missing, or a row is bad.
    """
    loaded = _load(source, name, configuration, commit)
    source = _of_rows(source, name, loaded.get(source.train, ()), layouts)
    wanted = _splits(source, name, loaded)
    readings = {part: _read(source, name, split, loaded[split], fallback) for part, split in wanted.items()}
    notes = {f"{part} {reason}": n for part, reading in readings.items() for reason, n in reading.notes.items()}
    parts = {part: reading.examples for part, reading in readings.items()}
    if "dev" not in parts:
        parts["train"], parts["dev"] = _hold_out(parts["train"], source.held_out, seed)
        notes["dev held out of train"] = len(parts["dev"])
    return Split(parts, notes)


def _of_rows(source: HubSource, name: str, table: Any, layouts: Sequence[Layout]) -> HubSource:
    """The source, or one of the format of rows that the first row has where the source cannot read it."""
    first = table[0] if len(table) else {}
    try:
        list(source.rows(Path(name), [first]))
    except DataError:
        fitting = (layout for layout in layouts if layout.parse and layout.has_types(first))
        if layout := next(fitting, None):
            return source.of_rows(layout)
    return source


def _splits(source: HubSource, name: str, loaded: Mapping[str, Any]) -> dict[str, str]:
    """Part -> split."""
    own = {"train": source.train, "dev": source.dev, "test": source.test}
    found = own if source.test else {part: _first(names, loaded) for part, names in OWN_SPLITS.items()}
    for part, split in found.items():
        if split not in loaded and (split or part != "dev"):
            raise DataError(name, f"has no split {split or part!r}", hint=f"it has {', '.join(loaded)}")
    return {part: split for part, split in found.items() if split and (part != "dev" or split != found["test"])}


def _first(names: Sequence[str], loaded: Mapping[str, Any]) -> str:
    return next((name for name in names if name in loaded), "")


def _load(source: HubSource, name: str, configuration: str, commit: str) -> Mapping[str, Any]:
    from datasets import load_dataset, load_from_disk
    from datasets.exceptions import DatasetsError

    folder, local = Path(name), Path(name).is_dir()
    splits = [split for split in (source.train, source.dev, source.test) if split]
    try:
        if local and (folder / "dataset_dict.json").is_file():
            return load_from_disk(name)  # type: ignore[no-any-return]
        if local and (folder / "state.json").is_file():
            return {"train": load_from_disk(name)}
        if source.revision != PARQUET:
            return load_dataset(name, configuration or None, revision=None if local else commit)  # type: ignore[no-any-return]
        # Left to itself, datasets takes every split called dev for one, and all configurations together.
        files = "/".join(filter(None, (name if local else f"hf://datasets/{name}@{commit}", configuration)))
        return load_dataset("parquet", data_files={s: f"{files}/{s}/*.parquet" for s in splits})  # type: ignore[no-any-return]
    except (DatasetsError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(name, f"cannot be loaded: {reason}", hint=f"expected splits {', '.join(splits)}") from error


def _read(source: HubSource, name: str, split: str, table: Any, fallback: bool) -> Reading:
    kept = [column for column in table.column_names if not source.columns or column in source.columns]
    kept = [column for column in kept if column not in LARGE]
    rows = (_named(row, split) for row in source.rows(Path(name), table.select_columns(kept)))
    return to_reading(Path(name), rows, f"{name} {split}", fallback)


def _named(row: Row, split: str) -> Row:
    """With an id of its own: the data set's, or its split and row."""
    if isinstance(row, Dropped):
        return row if row.instead is None else replace(row, instead=_with_id(row.instead, split))
    return _with_id(row, split)


def _with_id(raw: RawExample, split: str) -> RawExample:
    """Gold ids are left out: the examples of a data set of the hub do not depend on a corpus."""
    return replace(raw, own_id=raw.own_id or f"{split}-{raw.row}", gold=())


def _hold_out(examples: list[Example], size: int, seed: int) -> tuple[list[Example], list[Example]]:
    order = seeds.generator(seed, "hub dev").permutation(len(examples)).tolist()
    held = set(order[: min(size, len(examples) // 10)])
    return [e for i, e in enumerate(examples) if i not in held], [examples[i] for i in sorted(held)]
