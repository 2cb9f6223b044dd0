"""What is known of pairs outlives the process, stays within its bound, and is never read where it cannot be trusted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.decoding.pair_store import KEYS_PER_QUERY, PairStore

FOUND = {(5, 3): -0.1234567890123456, (4, 6, 3): -2.5}
OWNER = {"generator": "abc", "decoding": "greedy-24"}


def filled(path: Path, count: int, **settings: int) -> list[str]:
    """A store of `count` pairs, one commit each; returns their keys."""
    names = [f"pair {i:04}" for i in range(count)]
    with PairStore(path, OWNER, **settings) as store:
        for i, name in enumerate(names):
            store.add(name, {(i, 3): -float(i), (i, 4, 3): -9.0})
            store.add_scores(name, {(i + 1, 3): -1.5})
            store.commit()
    return names


def test_what_was_added_is_found_again_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "pairs" / "store.sqlite"
    with PairStore(path) as store:
        store.add("p", FOUND)
        store.add_scores("p", {(7,): -1.0})
    with PairStore(path) as again:
        known = again.hypotheses(["p", "q", "p"])
        assert known == {"p": FOUND} and list(known["p"]) == list(FOUND)
        assert (again.reused, again.generated) == (1, 1)
        assert again.scores(["p", "q"]) == {"p": {(7,): -1.0}, "q": {}}


@pytest.mark.parametrize("commit", [False, True])
def test_the_first_value_of_a_pair_stays(commit: bool) -> None:
    with PairStore() as store:
        store.add("p", FOUND)
        store.add_scores("p", {(7,): -1.0})
        if commit:
            store.commit()
        store.add("p", {(9,): -1.0})
        store.add_scores("p", {(7,): -9.0})
        store.commit()
        assert store.hypotheses(["p"]) == {"p": FOUND}
        assert store.scores(["p"])["p"] == {(7,): -1.0}


def test_more_keys_than_one_question_to_the_database() -> None:
    names = [f"pair {i}" for i in range(2 * KEYS_PER_QUERY + 3)]
    with PairStore() as store:
        for i, name in enumerate(names):
            store.add(name, {(i, 3): -float(i)})
            store.add_scores(name, {(i, 4): -float(i)})
        store.commit()
        assert store.hypotheses(names) == {name: {(i, 3): -float(i)} for i, name in enumerate(names)}
        assert store.scores(names) == {name: {(i, 4): -float(i)} for i, name in enumerate(names)}


def test_two_connections_see_what_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with PairStore(path) as one, PairStore(path) as two:
        one.add("p", FOUND)
        assert one.find(["p"]) == {"p": FOUND} and two.find(["p"]) == {}
        one.commit()
        assert two.find(["p"]) == {"p": FOUND}
        two.add("q", {(3,): -1.0})
        two.commit()
        assert one.find(["p", "q"]) == {"p": FOUND, "q": {(3,): -1.0}}


def test_uncommitted_work_is_lost_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = PairStore(path)
    store.add("p", FOUND)
    store.commit()
    store.add("q", FOUND)
    store._database.close()  # as a killed process
    with PairStore(path) as again:
        assert list(again.hypotheses(["p", "q"])) == ["p"]


def test_a_store_that_cannot_be_written_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(ArtifactError, match=r"folder: the pair store cannot be used \(unable to open"):
        PairStore(path)


def test_a_log_prob_that_is_no_number_is_refused() -> None:
    with PairStore() as store:
        for add in (store.add, store.add_scores):
            with pytest.raises(ConfigError, match=r"the generator gives log p.* = nan"):
                add("p", {(3,): float("nan")})
        store.add_scores("p", {(3,): -float("inf")})
        store.commit()
        assert store.scores(["p"]) == {"p": {(3,): -float("inf")}}


def test_the_least_recently_used_pairs_leave_first(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    names = filled(path, 20)
    said: list[str] = []
    with PairStore(path, OWNER, announce=said.append) as store:
        store.find(names[:5])  # used, and so younger than the rest
    with PairStore(path, OWNER, max_bytes=2500, announce=said.append) as store:
        store.add("new", FOUND)
        store.commit()
        left = list(store.find([*names, "new"]))
        assert left[:5] == names[:5] and left[-1] == "new"
        assert left[5:-1] == names[20 - len(left[5:-1]) :], "those added last stay"
        assert 0 < store.evicted == 21 - len(left)
        gone = [name for name in names if name not in left]
        assert store.scores(gone) == {name: {} for name in gone}
    assert said == [f"pair store {path}: {21 - len(left)} least recently used pairs left to make room"]


def test_the_file_stays_about_within_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    bound = 200_000
    with PairStore(path, OWNER, max_bytes=bound) as store:
        for i in range(60):
            for j in range(20):
                name = f"{i:012}{j:012}"
                store.add(name, {(1000 + i, 2000 + j, 3): -1.25})
                store.add_scores(name, {(1000 + i, c, 3): -0.123456789 for c in range(10)})
            store.commit()
        assert store.evicted > 0
    assert path.stat().st_size < 1.5 * bound


WRITER = """
import sys
from pathlib import Path
from rag_lightning.decoding.pair_store import PairStore
path, name = Path(sys.argv[1]), sys.argv[2]
with PairStore(path, {"generator": "abc"}) as store:
    for i in range(60):
        store.add(f"{name} {i}", {(i, 3): -float(i)})
        store.add("shared", {(7, 3): -7.0})
        store.add_scores("shared", {(i, 3): -float(i), (i, ord(name)): -1.0})
        store.commit()
"""


def test_two_processes_write_one_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "ab"]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    names = [f"{name} {i}" for name in "ab" for i in range(60)]
    with PairStore(path, {"generator": "abc"}) as store:
        assert list(store.find(names)) == names and store.rebuilt == 0
        wanted = {(i, 3): -float(i) for i in range(60)} | {(i, c): -1.0 for i in range(60) for c in (97, 98)}
        assert store.scores(["shared"])["shared"] == wanted


def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    path, said = tmp_path / "store.sqlite", list[str]()
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    with PairStore(path, OWNER, announce=said.append) as store:
        store.add("p", FOUND)
        assert store.rebuilt == 1
    assert len(said) == 1 and "is damaged (file is not a database): begun again" in said[0]
    assert path.with_name("store.sqlite.aside").read_bytes().startswith(b"not a database")
    with PairStore(path, OWNER) as store:
        assert store.find(["p"]) == {"p": FOUND} and store.rebuilt == 0


def test_two_processes_that_find_a_file_damaged_go_on_with_one_new_file(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "ab"]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    with PairStore(path, {"generator": "abc"}) as store:
        assert len(store.find([f"{name} {i}" for name in "ab" for i in range(60)])) == 120
    assert path.with_name("store.sqlite.aside").read_bytes().startswith(b"not a database"), "put aside once"


def test_a_file_damaged_inside_is_begun_again_without_losing_new_work(tmp_path: Path) -> None:
    path, said = tmp_path / "store.sqlite", list[str]()
    names = filled(path, 400)
    data = bytearray(path.read_bytes())
    assert len(data) > 12 * 4096
    data[7 * 4096 :] = b"\xff" * (len(data) - 7 * 4096)
    path.write_bytes(data)
    with PairStore(path, OWNER, announce=said.append) as store:
        store.add("new", FOUND)
        assert set(store.find(names)) < set(names)
        store.scores(names)
        store.commit()
        assert store.rebuilt == 1 and "is damaged (" in said[0]
        assert store.find([*names, "new"]) == {"new": FOUND}


def test_a_process_that_finds_the_file_replaced_takes_up_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    filled(path, 3)
    store = PairStore(path, OWNER)
    path.rename(tmp_path / "elsewhere")
    with PairStore(path, OWNER) as other:
        other.add("p", FOUND)
    store._database.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store._database, "_db", _Broken())
        assert store.find(["p"]) == {}, "the read that found the damage"
        assert store.find(["p"]) == {"p": FOUND}
        store.close()
    assert store.rebuilt == 0 and not path.with_name("store.sqlite.aside").exists()


class _Broken:
    """A connection to a damaged file."""

    def execute(self, *_: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("change", "drops"),
    [
        ("UPDATE pairs SET hypotheses = replace(hypotheses, '-1', '-2') WHERE pair = 'pair 0001'", True),
        ("UPDATE pairs SET hypotheses = 7 WHERE pair = 'pair 0001'", True),
        ("UPDATE pairs SET hypotheses = CAST(x'ff61' AS TEXT) WHERE pair = 'pair 0001'", True),
        ("UPDATE pairs SET crc = NULL WHERE pair = 'pair 0001'", True),
        ("UPDATE scores SET log_prob = -0.5 WHERE pair = 'pair 0001'", False),
        ("UPDATE scores SET candidate = '9 9' WHERE pair = 'pair 0001'", False),
        ("UPDATE scores SET log_prob = 'x' WHERE pair = 'pair 0001'", False),
    ],
)
def test_a_damaged_pair_is_dropped_counted_and_generated_again(tmp_path: Path, change: str, drops: bool) -> None:
    path, said = tmp_path / "store.sqlite", list[str]()
    names = filled(path, 3)
    db = sqlite3.connect(path)
    assert db.execute(change).rowcount == 1
    db.commit()
    db.close()
    with PairStore(path, OWNER, announce=said.append) as store:
        assert list(store.find(names)) == ([names[0], names[2]] if drops else names)
        assert (store.scores(names)[names[1]] == {}) != drops
        assert store.damaged == 1
        store.add(names[1], FOUND)
    assert said == [f"pair store {path}: 1 damaged pairs were dropped"]
    with PairStore(path, OWNER) as store:
        assert store.find(names)[names[1]] == FOUND
        assert store.scores(names)[names[1]] == {} and store.damaged == 0


@pytest.mark.parametrize(
    ("owner", "shown"),
    [
        ({}, "nobody"),
        (OWNER | {"generator": "other"}, "decoding greedy-24, generator other"),
        (OWNER | {"decoding": "beam4-24"}, "decoding beam4-24, generator abc"),
    ],
)
def test_a_store_of_another_generator_is_never_read(tmp_path: Path, owner: dict[str, str], shown: str) -> None:
    path, said = tmp_path / "store.sqlite", list[str]()
    names = filled(path, 2)
    with PairStore(path, owner, announce=said.append) as store:
        assert store.find(names) == {}
    assert len(said) == 1 and f"belongs to decoding greedy-24, generator abc, not to {shown}:" in said[0]
    with PairStore(tmp_path / "store.sqlite.aside", OWNER) as aside:
        assert list(aside.find(names)) == names, "nothing is lost"


def test_a_store_of_the_first_layout_is_begun_again(tmp_path: Path) -> None:
    path, said = tmp_path / "store.sqlite", list[str]()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE hypotheses (pair TEXT PRIMARY KEY, candidates TEXT NOT NULL) WITHOUT ROWID")
    db.execute("INSERT INTO hypotheses VALUES ('p', '[[3]]')")
    db.commit()
    db.close()
    with PairStore(path, OWNER, announce=said.append) as store:
        assert store.find(["p"]) == {}
    assert len(said) == 1 and "has layout 1, and 2 is read: begun again" in said[0]
