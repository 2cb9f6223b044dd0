"""Results of the generator for (query, passage) pairs, kept between trials and processes.

Key of a pair: digest of its encoded input ids, in a file of its own per generator and decode parameters; never a row or
a passage id. So a second index, a larger k or a resumed run pays only for pairs not seen before. Every value carries a
checksum; a pair with one that does not match, or with a value that is no log-prob, is dropped and generated again.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import UNREADABLE
from rag_lightning.decoding.pair_database import PairDatabase, drop, evict

Candidate = tuple[int, ...]
CANDIDATE = re.compile(rb"(\d{1,9}( \d{1,9})*)?")
"""Token ids as they are stored."""
MOST_TOKENS = 1 << 31
ROUNDING = 0.01
KEYS_PER_QUERY = 500
ROW_BYTES = 40
"""Approximate bytes of a row in sqlite beside its text."""
UPSERT = """INSERT INTO pairs VALUES (?, ?, ?, ?, ?) ON CONFLICT (pair) DO UPDATE SET
hypotheses = coalesce(hypotheses, excluded.hypotheses), crc = coalesce(crc, excluded.crc),
bytes = bytes + excluded.bytes, used = excluded.used"""


class PairStore:
    """Hypotheses and log p(y|x,z) of pairs.

    Args:
        path: The file; None keeps them in memory.
        owner: Generator and decode parameters; a file of others is never read but begun again.
        max_bytes: Bound of what is kept (an estimate of the file's size); None for none.
        announce: Called with a line about a file begun again, damaged pairs, or evicted pairs.

    Attributes:
        generated: Pairs that were computed.
        reused: Pairs found in the store.
        damaged: Pairs dropped because a checksum did not match, or a value is no log-prob.
        evicted: Pairs that left to stay within the bound, the least recently used first.
        vocabulary: Number of tokens of the generator; a pair with another token is damaged.

    Raises:
        ArtifactError: the file cannot be read or written; by every method.
    """

    def __init__(
        self,
        path: Path | None = None,
        owner: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.max_bytes, self.vocabulary = path, max_bytes, MOST_TOKENS
        self.generated = self.reused = self.damaged = self.evicted = 0
        self._announce = announce
        self._database = PairDatabase(path, owner or {}, announce)
        self._hypotheses: dict[str, dict[Candidate, float]] = {}
        self._scores: dict[str, dict[Candidate, float]] = {}
        self._used: set[str] = set()
        self._bad: set[str] = set()

    @property
    def rebuilt(self) -> int:
        """How often the file was begun again."""
        return self._database.rebuilt

    def __enter__(self) -> PairStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit, announce what was lost, and close."""
        self.commit()
        self._database.close()
        if self.damaged:
            self._announce(f"pair store {self.path}: {self.damaged} damaged pairs were dropped")
        if self.evicted:
            self._announce(f"pair store {self.path}: {self.evicted} least recently used pairs left to make room")

    def commit(self) -> None:
        """Make everything added so far durable and visible to other processes."""
        if self._hypotheses or self._scores or self._used or self._bad:
            self.evicted += self._database.write(self._flush)
        for waiting in (self._hypotheses, self._scores, self._used, self._bad):
            waiting.clear()

    def hypotheses(self, keys: Sequence[str]) -> dict[str, dict[Candidate, float]]:
        """Stored hypotheses with their log-probs, best first, of those pairs that have any; all pairs are counted."""
        found = self.find(keys)
        self.count(generated=len(set(keys)) - len(found), reused=len(found))
        return found

    def find(self, keys: Sequence[str]) -> dict[str, dict[Candidate, float]]:
        """Stored hypotheses of those pairs that have any, without counting."""
        wanted = list(dict.fromkeys(keys))
        found = {key: self._hypotheses[key] for key in wanted if key in self._hypotheses}
        for marks, part in _key_groups([key for key in wanted if key not in found]):
            query = f"SELECT pair, hypotheses, crc FROM pairs WHERE hypotheses NOT NULL AND pair IN ({marks})"
            for pair, text, crc in self._database.read(query, part):
                known = self._hypotheses_of(text) if _crc(pair, text) == crc else None
                if known is None:
                    self._drop(pair)
                else:
                    found[pair.decode()] = known
        self._used.update(found)
        return {key: dict(found[key]) for key in wanted if key in found}

    def count(self, generated: int, reused: int) -> None:
        """Count the pairs that were computed and those found in the store."""
        self.generated += generated
        self.reused += reused

    def scores(self, keys: Sequence[str]) -> dict[str, dict[Candidate, float]]:
        """Stored log p(y|x,z) of every given pair, beside those of its own hypotheses."""
        found: dict[str, dict[Candidate, float]] = {key: {} for key in keys}
        for marks, part in _key_groups(list(found)):
            query = f"SELECT pair, candidate, log_prob, crc FROM scores WHERE pair IN ({marks})"
            for pair, candidate, log_prob, crc in self._database.read(query, part):
                ids = self._parse(candidate) if _crc(pair, candidate, log_prob) == crc else None
                if ids is None or not _is_log_prob(log_prob):
                    self._drop(pair)
                else:
                    found[pair.decode()][ids] = log_prob
        self._used.update(key for key, stored in found.items() if stored)
        return {key: self._scores.get(key, {}) | stored for key, stored in found.items()}

    def add(self, key: str, hypotheses: Mapping[Candidate, float]) -> None:
        """Store the hypotheses of a search, best first; stored results of a pair stay.

        Raises:
            ConfigError: a log-prob that is NaN; by `add_scores` too.
        """
        self._hypotheses.setdefault(key, _numbers(hypotheses))

    def add_scores(self, key: str, log_probs: Mapping[Candidate, float]) -> None:
        """Store log p(y|x,z) of further candidates."""
        self._scores[key] = _numbers(log_probs) | self._scores.get(key, {})

    def _parse(self, text: Any) -> Candidate | None:
        """The candidate of a stored text, None if it is none: who wrote a file may have fitted its checksums."""
        if not isinstance(text, bytes) or not CANDIDATE.fullmatch(text):
            return None
        ids = tuple(map(int, text.split()))
        return ids if max(ids, default=0) < self.vocabulary else None

    def _hypotheses_of(self, text: bytes) -> dict[Candidate, float] | None:
        """The hypotheses of a stored text, None if they are none."""
        found: dict[Candidate, float] = {}
        try:
            for listed, value in json.loads(text):
                ids = self._parse(_format(listed))
                if ids is None or not _is_log_prob(value):
                    return None
                found[ids] = value
        except (TypeError, *UNREADABLE):
            return None
        return found

    def _drop(self, pair: bytes) -> None:
        key = pair.decode(errors="replace")
        self.damaged += key not in self._bad
        self._bad.add(key)

    def _flush(self, db: sqlite3.Connection) -> int:
        (last,) = db.execute("SELECT coalesce(max(used), 0) FROM pairs").fetchone()
        drop(db, [(key,) for key in self._bad])
        db.executemany("UPDATE pairs SET used = ? WHERE pair = ?", [(last + 1, key) for key in self._used])
        rows: list[tuple[Any, ...]] = []
        for key, found in self._hypotheses.items():
            text = json.dumps(list(found.items())).encode()
            rows.append((key, text.decode(), _crc(key.encode(), text), _bytes(key, text), last + 1))
        scores = [
            (key, text.decode(), value, _crc(key.encode(), text, value))
            for key, scores in self._scores.items()
            for text, value in ((_format(candidate), value) for candidate, value in scores.items())
        ]
        rows += [(key, None, None, _bytes(key, text), last + 1) for key, text, *_ in scores]
        db.executemany(UPSERT, rows)
        db.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)", scores)
        return evict(db, self.max_bytes) if rows and self.max_bytes is not None else 0


def _numbers(log_probs: Mapping[Candidate, float]) -> dict[Candidate, float]:
    if any(math.isnan(value) for value in log_probs.values()):
        raise ConfigError("the generator gives log p(y|x,z) = nan; its weights hold numbers that are none: train again")
    return {candidate: value + 0.0 for candidate, value in log_probs.items()}  # sqlite keeps -0.0 as 0.0


def _crc(pair: bytes, *values: Any) -> int:
    """Over exactly what is stored; a value of a type that is never stored has one of its own."""
    parts = [struct.pack("<d", value) if isinstance(value, float) else value for value in values]
    whole = [part if isinstance(part, bytes) else repr(part).encode() for part in (pair, *parts)]
    return zlib.crc32(b"\0".join(whole))


def _bytes(key: str, text: bytes | str) -> int:
    return ROW_BYTES + len(key) + len(text)


def _key_groups(keys: list[str]) -> Iterator[tuple[str, list[str]]]:
    for start in range(0, len(keys), KEYS_PER_QUERY):
        part = keys[start : start + KEYS_PER_QUERY]
        yield ",".join("?" * len(part)), part


def _format(candidate: Candidate) -> bytes:
    return " ".join(map(str, candidate)).encode()


def _is_log_prob(value: Any) -> bool:
    """Whether a value is a log-prob; rounding may leave one a little above 0."""
    return isinstance(value, float) and value <= ROUNDING
