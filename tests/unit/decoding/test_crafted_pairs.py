"""A pair store of somebody who fitted its checksums: nothing that cannot be is read, and no query in it runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rag_lightning.core import databases
from rag_lightning.decoding.pair_store import PairStore, _crc

OWNER = {"generator": "abc", "decoding": "greedy-24"}


def filled(path: Path, count: int) -> list[str]:
    """A store of `count` pairs; returns their keys."""
    names = [f"pair {i:04}" for i in range(count)]
    with PairStore(path, OWNER) as store:
        for i, name in enumerate(names):
            store.add(name, {(i, 3): -float(i), (i, 4, 3): -9.0})
            store.add_scores(name, {(i + 1, 3): -1.5})
    return names


def crafted(path: Path, column: str, *value: object) -> None:
    """Write a value over that of pair 0001, with the checksum that fits it."""
    with closing(sqlite3.connect(path)) as db:
        stored = [one.encode() if isinstance(one, str) else one for one in value]
        names = {"hypotheses": "hypotheses = ?", "scores": "candidate = ?, log_prob = ?"}[column]
        table = "pairs" if column == "hypotheses" else column
        change = f"UPDATE {table} SET {names}, crc = ? WHERE pair = 'pair 0001'"
        assert db.execute(change, (*value, _crc(b"pair 0001", *stored))).rowcount == 1
        db.commit()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("hypotheses", ("[[[1, 3], NaN]]",)),
        ("hypotheses", ("[[[1, 3], 0.5]]",)),
        ("hypotheses", ('[[[1, 3], "-1.0"]]',)),
        ("hypotheses", ("[[[1, -3], -1.0]]",)),
        ("hypotheses", ("[[[1, 3000000000], -1.0]]",)),
        ("hypotheses", ("[[[1, 99], -1.0]]",)),
        ("hypotheses", ("[[1.5, -1.0]]",)),
        ("hypotheses", ("[" * 10_000,)),
        ("hypotheses", ('{"a": 1}',)),
        ("hypotheses", ("7",)),
        ("scores", ("2 3", 0.5)),
        ("scores", ("2 3", float("inf"))),
        ("scores", ("2 x", -0.5)),
        ("scores", ("2 99", -0.5)),
    ],
)
def test_a_crafted_value_with_a_fitting_checksum_is_dropped(
    tmp_path: Path, column: str, value: tuple[object, ...]
) -> None:
    path = tmp_path / "store.sqlite"
    names = filled(path, 3)
    crafted(path, column, *value)
    with PairStore(path, OWNER) as store:
        store.vocabulary = 50
        assert (names[1] in store.find(names)) == (column == "scores")
        assert (store.scores(names)[names[1]] == {}) == (column == "scores")
        assert store.damaged == 1


@pytest.mark.parametrize("change", ["name = 7", "value = NULL", "value = x'ff'", "value = 1.5"])
def test_an_owner_of_another_type_is_another_owner(tmp_path: Path, change: str) -> None:
    path = tmp_path / "store.sqlite"
    names = filled(path, 3)
    with closing(sqlite3.connect(path)) as db:
        schema = db.execute("SELECT sql FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
        db.execute("PRAGMA writable_schema = ON")  # as a flipped bit would, against what the table declares
        untyped = "CREATE TABLE meta (name PRIMARY KEY, value) WITHOUT ROWID"
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'meta'", (untyped,))
        db.commit()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE meta SET {change} WHERE name = 'generator'")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'meta'", (schema,))
        db.commit()
    with PairStore(path, OWNER) as store:
        assert not store.find(names) and store.rebuilt == 1


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x, x, x, x, x FROM c"


@pytest.mark.parametrize(
    "changes",
    [
        ["DROP TABLE pairs", f"CREATE VIEW pairs AS {ENDLESS}"],
        ["CREATE TRIGGER t AFTER INSERT ON scores BEGIN DELETE FROM pairs; END"],
        ["ALTER TABLE pairs ADD COLUMN more TEXT"],
        ["DROP INDEX pairs_by_use"],
        ["CREATE TABLE more (a)"],
    ],
)
def test_a_file_with_other_tables_is_put_aside_and_no_query_of_it_runs(tmp_path: Path, changes: list[str]) -> None:
    path, said = tmp_path / "store.sqlite", list[str]()
    names = filled(path, 3)
    with closing(sqlite3.connect(path)) as db:
        for change in changes:
            db.execute(change)
        db.commit()
    with PairStore(path, OWNER, announce=said.append) as store:
        assert store.find(names) == {}
    (line,) = said
    assert "has other tables than a pair store: begun again" in line and "\n" not in line


def test_a_statement_that_takes_too_long_is_ended() -> None:
    ended = pytest.raises(sqlite3.OperationalError, match="interrupted")
    with closing(databases.connect(None, 1.0)) as db, databases.bounded(db, 0.1), ended:
        db.execute(f"SELECT count(*) FROM ({ENDLESS})").fetchall()
    with closing(databases.connect(None, 1.0)) as db, pytest.raises(sqlite3.DataError, match="too big"):
        db.execute("SELECT zeroblob(100000000)").fetchall()
