"""What the generator said of (query, passage) pairs, kept between trials and processes (sqlite).

Key of a pair: digest of its encoded input ids, in a file of its own per generator and decode parameters; never a row or
a passage id. So a second index, a larger k or a resumed run pays only for pairs not seen before.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rag_lightning.core.errors import ArtifactError

Candidate = tuple[int, ...]
SCHEMA = """
CREATE TABLE IF NOT EXISTS hypotheses (pair TEXT PRIMARY KEY, candidates TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (pair TEXT, candidate TEXT, log_prob REAL NOT NULL, PRIMARY KEY (pair, candidate))
WITHOUT ROWID;
"""
CHUNK = 500


class PairStore:
    """Hypotheses and log p(y|x,z) of pairs; `path` None keeps them in memory.

    Raises:
        ArtifactError: the file is damaged, or cannot be read or written; by every method.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.generated = 0
        self.reused = 0
        with self._named():
            self._db = sqlite3.connect(path or ":memory:", timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)

    def __enter__(self) -> PairStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._db.close()

    def commit(self) -> None:
        """Make everything added so far durable and visible to other processes."""
        with self._named():
            self._db.commit()

    def hypotheses(self, keys: Sequence[str]) -> dict[str, list[Candidate]]:
        """Known hypotheses, best first, of those pairs that have any."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, list[Candidate]] = {}
        for marks, part in _chunks(wanted):
            rows = self._read(f"SELECT pair, candidates FROM hypotheses WHERE pair IN ({marks})", part)
            found |= {pair: [tuple(c) for c in json.loads(text)] for pair, text in rows}
        self.count(generated=len(wanted) - len(found), reused=len(found))
        return found

    def count(self, generated: int, reused: int) -> None:
        """Note how many pairs were worked on and how many were known."""
        self.generated += generated
        self.reused += reused

    def scores(self, keys: Sequence[str]) -> dict[str, dict[Candidate, float]]:
        """Known log p(y|x,z) of every pair asked for."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, dict[Candidate, float]] = {key: {} for key in wanted}
        for marks, part in _chunks(wanted):
            rows = self._read(f"SELECT pair, candidate, log_prob FROM scores WHERE pair IN ({marks})", part)
            for pair, candidate, log_prob in rows:
                found[pair][_parse(candidate)] = log_prob
        return found

    def add(self, key: str, candidates: Sequence[Candidate], log_probs: Mapping[Candidate, float]) -> None:
        """Store what the search of a pair produced."""
        with self._named():
            self._db.execute("INSERT OR IGNORE INTO hypotheses VALUES (?, ?)", (key, json.dumps(candidates)))
        self.add_scores(key, log_probs)

    def add_scores(self, key: str, log_probs: Mapping[Candidate, float]) -> None:
        """Store log p(y|x,z) of further candidates."""
        rows = [(key, _format(candidate), value) for candidate, value in log_probs.items()]
        with self._named():
            self._db.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?, ?)", rows)

    def _read(self, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        with self._named():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """SQLite's own errors become one that names the file."""
        try:
            yield
        except sqlite3.OperationalError as error:  # locked, full, not writable: the file itself is sound
            raise ArtifactError(f"{self.path}: the pair store cannot be used ({error})") from error
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"{self.path}: the pair store is damaged ({error}); remove it and run again") from error


def _chunks(keys: list[str]) -> Iterator[tuple[str, list[str]]]:
    for start in range(0, len(keys), CHUNK):
        part = keys[start : start + CHUNK]
        yield ",".join("?" * len(part)), part


def _format(candidate: Candidate) -> str:
    return " ".join(map(str, candidate))


def _parse(text: str) -> Candidate:
    return tuple(map(int, text.split()))
