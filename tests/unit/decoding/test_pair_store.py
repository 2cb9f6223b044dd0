"""What is known of pairs outlives the process; damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_lightning.core.errors import ArtifactError
from rag_lightning.decoding.pair_store import CHUNK, PairStore

BEAMS = [(5, 3), (4, 6, 3)]
SCORES = {(5, 3): -0.1234567890123456, (4, 6, 3): -2.5}


def test_what_was_added_is_found_again_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "pairs" / "store.sqlite"
    with PairStore(path) as store:
        store.add("p", BEAMS, SCORES)
        store.add_scores("p", {(7,): -1.0})
    with PairStore(path) as again:
        assert again.hypotheses(["p", "q", "p"]) == {"p": BEAMS}
        assert (again.reused, again.generated) == (1, 1)
        assert again.scores(["p", "q"]) == {"p": {**SCORES, (7,): -1.0}, "q": {}}


def test_the_first_value_of_a_pair_stays(tmp_path: Path) -> None:
    with PairStore() as store:
        store.add("p", BEAMS, SCORES)
        store.add("p", [(9,)], {(5, 3): -9.0})
        assert store.hypotheses(["p"]) == {"p": BEAMS}
        assert store.scores(["p"])["p"] == SCORES


def test_more_keys_than_one_question_to_the_database() -> None:
    names = [f"pair {i}" for i in range(2 * CHUNK + 3)]
    with PairStore() as store:
        for i, name in enumerate(names):
            store.add(name, [(i, 3)], {(i, 3): -float(i)})
        assert store.hypotheses(names) == {name: [(i, 3)] for i, name in enumerate(names)}
        assert store.scores(names) == {name: {(i, 3): -float(i)} for i, name in enumerate(names)}


def test_two_connections_see_what_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with PairStore(path) as one, PairStore(path) as two:
        one.add("p", BEAMS, SCORES)
        assert two.hypotheses(["p"]) == {}
        one.commit()
        assert two.hypotheses(["p"]) == {"p": BEAMS}
        two.add("q", BEAMS[:1], {})
        two.commit()
        assert one.hypotheses(["p", "q"]) == {"p": BEAMS, "q": BEAMS[:1]}


def test_uncommitted_work_is_lost_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = PairStore(path)
    store.add("p", BEAMS, SCORES)
    store.commit()
    store.add("q", BEAMS, SCORES)
    store._db.close()  # as a killed process
    with PairStore(path) as again:
        assert list(again.hypotheses(["p", "q"])) == ["p"]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    with pytest.raises(ArtifactError, match=r"store\.sqlite: the pair store is damaged.*remove it"):
        PairStore(path)


def test_a_file_damaged_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    names = [f"pair {i}" for i in range(400)]
    with PairStore(path) as store:
        for name in names:
            store.add(name, BEAMS, SCORES)
    data = bytearray(path.read_bytes())
    assert len(data) > 6 * 4096
    data[3 * 4096 :] = b"\xff" * (len(data) - 3 * 4096)
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"store\.sqlite: the pair store is damaged"), PairStore(path) as again:
        again.hypotheses(names)
        again.scores(names)


def test_a_store_that_cannot_be_written_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(ArtifactError, match=r"folder: the pair store cannot be used \(unable to open"):
        PairStore(path)
