"""An updated memory is a rebuilt one: the same passages in the same rows, found with the same scores."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lightning import Experiment
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.numbering import Left
from rag_lightning.core.records import Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.index.index import FaissIndex, Floats, build_index
from rag_lightning.index.updates import UpdatedIndex
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.words import rule_of
from rag_lightning.stages import updates
from rag_lightning.stages.updates import UpdatedParts
from tests.tiny_project import PLACES, barely_trained, passages, place, write_lines

WORDS = ("river", "city", "bridge", "king", "tower", "lake")
CONFIG = ExperimentConfig()
QUERIES = np.array([[1, 0, 0, 0, 0], [0, 1, -1, 0, 0], [1, 1, 1, 1, 0], [-1, 0, 2, 1, 0]], np.float32)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
ids = st.integers(0, 14).map("p{}".format)
changes = st.lists(st.tuples(st.dictionaries(ids, texts, max_size=4), st.sets(ids, max_size=4)), max_size=5)


def encode(passages: Sequence[Passage]) -> Floats:
    """Whole numbers, whose inner products are exact in any order of summation; many tie. The last is for no zero."""
    counts = [[*(passage.text.count(word) - (word == "king") for word in WORDS[:4]), 1] for passage in passages]
    return np.array(counts, np.float32).reshape(-1, 5)


class Base:
    """The parts of a corpus that is written to a folder."""

    seed = 0

    def __init__(self, folder: Path, listed: Sequence[Passage]) -> None:
        write_passages(folder, listed)
        self.store, self._vectors = PassageStore(folder), encode(listed)

    def vectors(self) -> Floats:
        return self._vectors

    def index(self) -> FaissIndex:
        return build_index(IndexConfig("flat"), self._vectors)

    def bm25(self) -> BM25Retriever:
        return BM25Retriever.build(CONFIG.bm25, self.store, rule_of(CONFIG))

    def dense(self) -> Any:
        raise NotImplementedError

    given = dense


@settings(max_examples=50)
@given(st.dictionaries(ids, texts, min_size=1, max_size=12), changes, st.sampled_from([0.0, 0.5, 100.0]))
def test_an_updated_corpus_is_a_rebuilt_one(first: dict[str, str], sequence: Any, compacted_at: float) -> None:
    held = {name: Passage(name, "", text) for name, text in first.items()}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(updates, "COMPACTED_AT", compacted_at)
        parts = UpdatedParts(CONFIG, Base(Path(folder), list(held.values())), encode)
        for put, removed in sequence:
            gone = {name for name in removed if name in held and name not in put}
            if len(held.keys() - gone - put.keys()) + len(put) == 0:
                continue
            parts = parts.changed([Passage(name, "", text) for name, text in put.items()], gone)
            for name in gone | put.keys():
                held.pop(name, None)
            held |= {name: Passage(name, "", text) for name, text in put.items()}
        listed = list(held.values())
        assert list(parts.store) == listed and len(parts.store) == len(listed)
        rows = {name: row for row, name in enumerate(held)}
        assert all(parts.store.find(name) == rows.get(name) for name in (f"p{number}" for number in range(16)))
        assert list(pickle.loads(pickle.dumps(parts.store))) == listed
        assert np.array_equal(parts.vectors(), encode(listed))
        rebuilt = build_index(IndexConfig("flat"), encode(listed))
        assert parts.index().ntotal == len(listed)
        for k in {1, len(listed), len(listed) + 2}:
            for found, expected in zip(parts.index().search(QUERIES, k), rebuilt.search(QUERIES, k), strict=True):
                assert np.array_equal(found, expected)
        lexical = BM25Retriever.build(CONFIG.bm25, listed, rule_of(CONFIG))
        for found, expected in zip(*(one.retrieve(WORDS, len(listed)) for one in (parts.bm25(), lexical)), strict=True):
            assert found.rows.tolist() == expected.rows.tolist() and found.scores.tolist() == expected.scores.tolist()


@given(st.integers(1, 30), st.data())
def test_rows_left_are_numbered_in_their_order(count: int, data: st.DataObject) -> None:
    removed = data.draw(st.sets(st.integers(0, count - 1)))
    left, kept = Left(count, removed), [row for row in range(count) if row not in removed]
    assert len(left) == len(kept) and [left.row(number) for number in range(len(kept))] == kept
    numbers = [kept.index(row) if row in kept else -1 for row in range(count)]
    assert left.numbered(np.arange(count)).tolist() == numbers
    assert [left.number(row) for row in range(count)] == [None if n < 0 else n for n in numbers]


def test_few_changes_are_searched_beside_the_index_and_many_build_it_anew(tmp_path: Path) -> None:
    listed = [Passage(f"p{number}", "", WORDS[number % 6]) for number in range(40)]
    parts = UpdatedParts(CONFIG, Base(tmp_path, listed), encode)
    few = parts.changed([Passage("new", "", "city")], ["p0", "p1"])
    assert isinstance(few.index(), UpdatedIndex)
    many = few.changed([Passage("newer", "", "lake")], ["p2", "p3"])
    with pytest.raises(ConfigError, match=r"retriever\.kind=given has its passages from the question files"):
        many.given()
    assert isinstance(many.index(), FaissIndex) and many.index().ntotal == 38
    after = many.changed([], ["new"])
    assert isinstance(after.index(), UpdatedIndex) and [p.passage_id for p in after.store][-1] == "newer"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> ExperimentConfig:
    folder = tmp_path_factory.mktemp("updates")
    return barely_trained(folder, bert_folder)


@pytest.mark.parametrize("kind", ["dense", "bm25"])
def test_an_open_system_answers_as_with_the_changed_file(project: ExperimentConfig, kind: str, tmp_path: Path) -> None:
    trained = "same" if kind == "dense" else "dense"
    opened = Experiment(replace(project, retriever=replace(project.retriever, kind=kind, trained_with=trained)))
    asked = [f"what is the capital of {name}" for name in (place(7), place(6), "c9c")]
    first = [opened.ask(question) for question in asked]
    put = [
        Passage("p7", place(7), f"the capital of {place(7)} is porto. the river in {place(7)} is long."),
        Passage("p99", "c9c", "the capital of c9c is rome."),
    ]
    opened.update(put, ["p6"], "updated")
    updated = [opened.ask(question) for question in asked]
    rows = [row for row in passages() if row["id"] not in ("p6", "p7")]
    rows += [{"id": one.passage_id, "title": one.title, "text": one.text} for one in put]
    opened.swap({"corpus.source": str(write_lines(tmp_path / "changed.jsonl", rows))})
    for found, expected in zip(updated, map(opened.ask, asked), strict=True):
        assert found.passages == expected.passages and found.prediction.text == expected.prediction.text
    assert kind == "dense" or updated[2].passages[0] == put[1]
    opened.rollback("corpus.jsonl · " + ("flat" if kind == "dense" else "bm25"))
    assert [opened.ask(question) for question in asked] == first


def test_what_an_update_cannot_do_is_told_and_changes_nothing(project: ExperimentConfig) -> None:
    opened = Experiment(project)
    versions = opened.system.versions
    for put, removed, told in (
        ([], ["absent"], "'absent' cannot be removed: the corpus does not hold it"),
        ([Passage("p1", "", "x")], ["p1"], "'p1' is given twice"),
        ([Passage("p1", "", " ")], [], "'p1' has no text"),
        ([Passage("p1", "\ud800", "x")], [], r"'\\ud800' holds half of a surrogate pair"),
        ([], ["\udfff"], r"'\\udfff' holds half of a surrogate pair"),
        ([], [f"p{number}" for number in range(PLACES)], "every passage would be removed"),
        ([], [f"p{number}" for number in range(PLACES - 2)], "k is 3, but the corpus has 2 passages"),
    ):
        with pytest.raises(ConfigError, match=told):
            opened.update(put, removed)
    assert opened.system.versions == versions and len(opened.system.memory.store) == PLACES
    with pytest.raises(ConfigError, match=r"the question 'who is \\ud800' holds half of a surrogate pair"):
        opened.ask("who is \ud800")


def test_what_is_no_list_of_passages_or_ids_is_told_and_changes_nothing(project: ExperimentConfig) -> None:
    opened: Any = Experiment(project)
    versions, added = opened.system.versions, Passage("p99", "", "x")
    for asked, told in (
        ({"removed": "12"}, r"^removed='12': must be a list of ids"),
        ({"removed": (name for name in ["p1"])}, r"^removed=<generator .*: must be a list of ids"),
        ({"removed": None}, r"^removed=None: must be a list of ids"),
        ({"removed": [7]}, r"^removed: 7 is no id, which is a text; write '7'$"),
        ({"passages": (one for one in [added])}, r"^passages=<generator .*: must be a list of Passage"),
        ({"passages": added}, r"^passages=Passage\(.*: must be a list of Passage"),
        ({"passages": [{"id": "x", "text": "y"}]}, r"^passages: {'id': 'x', .* is no Passage of three texts"),
        ({"passages": [Passage("x", None, "y")]}, "is no Passage of three texts"),  # type: ignore[arg-type]
        ({"passages": [Passage(" ", "", "y")]}, "a passage has no id; give it one"),
        ({"name": 5}, r"^name=5: the name of a version is a text$"),
    ):
        with pytest.raises(ConfigError, match=told):
            opened.update(**asked)
    for point in (None, [("corpus.source", "x")], {5: 1}):
        with pytest.raises(ConfigError, match=r"^a swap (is a mapping|changes corpus)"):
            opened.swap(point)
    with pytest.raises(ConfigError, match=r"^corpus\.source is empty; give mini, or"):
        opened.swap({"corpus.source": ""})  # as a path it is the working directory
    with pytest.raises(ConfigError, match=r"^name=5: the name"):
        opened.rollback(5)
    assert opened.system.versions == versions and len(opened.system.memory.store) == PLACES


def test_added_vectors_are_rounded_as_the_stored_ones_are(tmp_path: Path) -> None:
    config = replace(CONFIG, encoder=replace(CONFIG.encoder, stored="float16"))
    base: Any = Base(tmp_path, [Passage(f"p{number}", "", "king") for number in range(20)])
    parts = UpdatedParts(config, base, lambda listed: np.full((len(listed), 5), 1 / 3, np.float32))
    changed = parts.changed([Passage("new", "", "city")], [])
    assert changed.vectors()[-1].tolist() == [np.float16(1 / 3)] * 5 != [np.float32(1 / 3)] * 5
    scores, rows = changed.index().search(np.eye(5, dtype=np.float32)[:1], 1)
    assert (scores.item(), rows.item()) == (np.float16(1 / 3), 20)
