"""A corpus on disk: row -> Passage and passage id -> row, memory-mapped.

Files: `passages.jsonl` (one Passage a line), `offsets.npy` [N + 1] int64 (line starts), `ids.npy` [N] (sorted hash of
an id, row), so that opening reads nothing and a look-up touches a few pages, whatever N is.

Finding a passage id that occurs twice, at 8 bytes a passage.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.core.arrays import open_array
from rag_lightning.core.errors import ArtifactError, DataError
from rag_lightning.core.files import UNREADABLE
from rag_lightning.core.records import Passage, to_json

PASSAGES, OFFSETS, IDS = "passages.jsonl", "offsets.npy", "ids.npy"
REBUILD = "remove the folder and build the corpus again"
ID_TYPE = np.dtype([("hash", np.uint64), ("row", np.int64)])


def write_passages(folder: Path, passages: Iterable[Passage]) -> dict[str, Any]:
    """Write a corpus into an existing folder; returns {"passages": N, "bytes": size of the text}.

    Raises:
        DataError: no passages, a passage id that occurs twice, or half of a surrogate pair (rows are corpus rows plus
            one).
    """
    offsets, hashes = array("q", [0]), array("Q")
    with (folder / PASSAGES).open("wb") as handle:
        for passage in passages:
            try:
                line = to_json(passage).encode() + b"\n"
            except UnicodeEncodeError as error:
                problem, hint = "holds half of a surrogate pair", "write the whole character"
                raise DataError(folder / PASSAGES, problem, row=len(hashes) + 1, hint=hint) from error
            offsets.append(offsets[-1] + handle.write(line))
            hashes.append(hash_id(passage.passage_id))
    if not hashes:
        raise DataError(folder / PASSAGES, "the corpus holds no passages")
    np.save(folder / OFFSETS, np.frombuffer(offsets, dtype=np.int64))
    _write_ids(folder, np.frombuffer(hashes, dtype=np.uint64))
    store = PassageStore(folder)
    pair = first_duplicate(np.frombuffer(hashes, dtype=np.uint64), lambda row: store[row].passage_id)
    if pair:
        problem, second = f"occurs in row {pair[0] + 1} already", pair[1]
        raise DataError(folder / PASSAGES, problem, row=second + 1, field="passage_id", value=store[second].passage_id)
    return {"passages": len(hashes), "bytes": offsets[-1]}


def _write_ids(folder: Path, hashes: np.ndarray[Any, np.dtype[np.uint64]]) -> None:
    table = np.empty(len(hashes), dtype=ID_TYPE)
    order = np.argsort(hashes, kind="stable")
    table["hash"], table["row"] = hashes[order], order
    np.save(folder / IDS, table)


class PassageStore:
    """A corpus written by `write_passages`, opened read-only; can be sent to another process.

    Raises:
        ArtifactError: a file is missing, or the offsets do not fit the text.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        for name in (PASSAGES, OFFSETS, IDS):
            if not (self.path / name).is_file():
                raise ArtifactError(f"{self.path / name}: is missing; {REBUILD}")
        self._offsets = open_array(self.path / OFFSETS, np.int64, 1)
        self._ids = open_array(self.path / IDS, ID_TYPE, 1)
        size = (self.path / PASSAGES).stat().st_size
        if not size or size != self._offsets[-1] or len(self._ids) != len(self._offsets) - 1:
            problem = f"has {size} bytes, its offsets say {self._offsets[-1]}"
            raise ArtifactError(f"{self.path / PASSAGES}: {problem}; {REBUILD}")
        with (self.path / PASSAGES).open("rb") as handle:
            self._bytes = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)

    def __reduce__(self) -> tuple[type[PassageStore], tuple[Path]]:
        return PassageStore, (self.path,)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> Passage:
        """The passage of a row.

        Raises:
            ArtifactError: a row outside of 0..N-1, as -1 (nothing found) or a ranking of another corpus names it.
        """
        if not 0 <= row < len(self):
            problem = f"has no row {row}, only {len(self)} passages; the rankings that name it are of another corpus"
            raise ArtifactError(f"{self.path / PASSAGES}: {problem}: remove them and run again")
        start, stop = int(self._offsets[row]), int(self._offsets[row + 1])
        try:
            raw = json.loads(self._bytes[max(start, 0) : stop])
            texts = raw["passage_id"], raw["title"], raw["text"]
        except (KeyError, TypeError, *UNREADABLE) as error:
            raise ArtifactError(f"{self.path / PASSAGES}, row {row + 1}: is no passage; {REBUILD}") from error
        if not all(isinstance(text, str) for text in texts):
            raise ArtifactError(f"{self.path / PASSAGES}, row {row + 1}: holds a field that is no text; {REBUILD}")
        return Passage(*texts)

    def __iter__(self) -> Iterator[Passage]:
        return (self[row] for row in range(len(self)))

    def find(self, passage_id: str) -> int | None:
        """The row of a passage id, or None."""
        wanted = np.uint64(hash_id(passage_id))
        place = int(np.searchsorted(self._ids["hash"], wanted))
        while place < len(self._ids) and self._ids["hash"][place] == wanted:
            row = int(self._ids["row"][place])
            if not 0 <= row < len(self):
                raise ArtifactError(f"{self.path / IDS}: names row {row} of {len(self)} passages; {REBUILD}")
            if self[row].passage_id == passage_id:
                return row
            place += 1
        return None

    def row(self, passage_id: str) -> int:
        """The row of a passage id.

        Raises:
            DataError: the corpus holds no such passage.
        """
        row = self.find(passage_id)
        if row is None:
            raise DataError(self.path / PASSAGES, "no such passage in the corpus", field="passage_id", value=passage_id)
        return row


def hash_id(passage_id: str) -> int:
    """64 bits of a passage id."""
    return int.from_bytes(hashlib.blake2b(passage_id.encode(), digest_size=8).digest(), "little")


def first_duplicate(hashes: NDArray[np.uint64], id_of: Callable[[int], str]) -> tuple[int, int] | None:
    """Positions (first, second) of the earliest repeated id, or None.

    Args:
        hashes: [N] `hash_id` of every id.
        id_of: position -> id; asked only where hashes are equal, as different ids may share one.
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    found: list[tuple[int, int]] = []
    for start in np.flatnonzero(ordered[1:] == ordered[:-1]):
        first, second = int(order[start]), int(order[start + 1])
        if id_of(first) == id_of(second):
            found.append((second, first))
    if not found:
        return None
    second, first = min(found)
    return first, second
