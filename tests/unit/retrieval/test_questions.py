"""Retrievers that know more of a question than its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.index.index import build_index
from rag_lightning.retrieval.questions import OracleRetriever, RandomRetriever, gold_first, gold_rows
from rag_lightning.retrieval.retriever import ByText, DenseRetriever

N, D = 12, 8
VECTORS = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
QUERIES = np.random.default_rng(1).normal(size=(3, D)).astype(np.float32)


class Encoder:
    """Gives the vector whose number the query is."""

    dim = D

    def encode_texts(self, queries: Any, batch_size: int) -> np.ndarray:
        return QUERIES[[int(query) for query in queries]]


@pytest.fixture
def store(tmp_path: Path) -> PassageStore:
    write_passages(tmp_path, [Passage(f"p{i}", "t", f"text {i}") for i in range(N)])
    return PassageStore(tmp_path)


@pytest.fixture
def oracle(store: PassageStore) -> OracleRetriever:
    dense = DenseRetriever(Encoder(), build_index(IndexConfig(), VECTORS))  # type: ignore[arg-type]
    return OracleRetriever(dense, VECTORS, store)


def asked(number: int, *gold: str) -> Example:
    return Example(f"e{number}", str(number), ("a",), gold)


@pytest.mark.parametrize("k", [1, 2, 5, N])
def test_the_oracle_is_the_gold_passage_then_everything_else_by_score(oracle: OracleRetriever, k: int) -> None:
    for number in range(len(QUERIES)):
        scores = VECTORS @ QUERIES[number]
        for gold in range(N):
            rest = [row for row in np.argsort(-scores).tolist() if row != gold]
            found = oracle.retrieve([asked(number, f"p{gold}")], k)[0]
            assert found.rows.tolist() == [gold, *rest][:k]
            highest = max(scores[gold], scores[rest[0]]) if k > 1 else found.scores[0]
            assert found.scores[0] == pytest.approx(highest, rel=1e-5) and found.scores[0] >= found.scores[-1]
            np.testing.assert_allclose(found.scores[1:], scores[rest[: k - 1]], rtol=1e-5)


def test_without_a_known_gold_passage_it_is_plain_retrieval(oracle: OracleRetriever) -> None:
    questions = [asked(0), asked(1, "elsewhere"), asked(2, "elsewhere", "p3", "p4")]
    assert gold_rows(oracle.store, questions).tolist() == [-1, -1, 3]
    found, plain = oracle.retrieve(questions, 4), ByText(oracle.dense).retrieve(questions, 4)
    assert [hits.rows.tolist() for hits in found[:2]] == [hits.rows.tolist() for hits in plain[:2]]
    assert found[2].rows[0] == 3 and oracle.retrieve([], 4) == []
    with pytest.raises(ConfigError, match="k is 13"):
        oracle.retrieve(questions, N + 1)


def test_rows_of_training_are_led_by_gold() -> None:
    rows = np.array([[4, 5, 6], [4, 5, 6], [4, 5, 6], [4, -1, -1], [-1, -1, -1]])
    led = gold_first(rows, np.array([5, 9, -1, 7, 2]))
    assert led.tolist() == [[5, 4, 6], [9, 4, 5], [4, 5, 6], [7, 4, -1], [2, -1, -1]]
    assert rows[0].tolist() == [4, 5, 6], "what was found stays as it is"


def test_random_passages_depend_on_seed_and_question_alone() -> None:
    questions = [asked(i) for i in range(200)]
    found = RandomRetriever(3, N).retrieve(questions, 5)
    again = RandomRetriever(3, N).retrieve(questions[::-1], 5)[::-1]
    shorter, other = RandomRetriever(3, N).retrieve(questions, 2), RandomRetriever(4, N).retrieve(questions, 5)
    for hits, same, fewer in zip(found, again, shorter, strict=True):
        assert len(set(hits.rows.tolist())) == 5 and not hits.scores.any()
        assert hits.rows.tolist() == same.rows.tolist() and hits.rows[:2].tolist() == fewer.rows.tolist()
    assert any(a.rows.tolist() != b.rows.tolist() for a, b in zip(found, other, strict=True))
    counts = np.bincount(np.concatenate([hits.rows for hits in found]), minlength=N)
    assert counts.min() > 200 * 5 / N / 2, "every passage is drawn about as often"
    with pytest.raises(ConfigError, match="k is 0"):
        RandomRetriever(0, N).retrieve(questions, 0)
