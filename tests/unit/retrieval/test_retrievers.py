"""Dense, BM25 and fixed retrievers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rag_lightning.config.retrieval import BM25Config, EncoderConfig, IndexConfig
from rag_lightning.core.errors import ArtifactError, ConfigError, UnknownNameError
from rag_lightning.core.records import Passage
from rag_lightning.index.index import build_index
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.retriever import DenseRetriever
from rag_lightning.retrieval.words import WordRule

PASSAGES = [
    Passage("0", "Rome", "A city on the river Tiber."),
    Passage("1", "Paris", "A city on the river Seine, capital of France."),
    Passage("2", "Paris", "A city on the river Seine, capital of France."),
    Passage("3", "Seine", "It rivers, and rivers."),
    Passage("4", "Blue", "A colour."),
]


@pytest.fixture(scope="module")
def bm25() -> BM25Retriever:
    return BM25Retriever.build(BM25Config(), PASSAGES, WordRule())


def test_dense_search_is_the_exact_one(tiny_bert: Path) -> None:
    query, passage = (TextEncoder(EncoderConfig(), tiny_bert, role) for role in ("query", "passage"))
    vectors = passage.encode_texts(PASSAGES[:4])
    texts = ["the capital of paris", "red"]
    hits = DenseRetriever(query, build_index(IndexConfig(), vectors)).retrieve(texts, 4)
    scores = query.encode_texts(texts) @ vectors.T
    for hit, wanted in zip(hits, scores, strict=True):
        np.testing.assert_allclose(hit.scores, np.sort(wanted)[::-1], atol=1e-5)
        np.testing.assert_allclose(wanted[hit.rows], hit.scores, atol=1e-5)
    assert hits[0].ranking("e").rows == tuple(hits[0].rows.tolist())


def test_dense_checks(tiny_bert: Path) -> None:
    query = TextEncoder(EncoderConfig(), tiny_bert, "query")
    index = build_index(IndexConfig(), np.eye(16, dtype=np.float32))
    with pytest.raises(ConfigError, match="k is 17"):
        DenseRetriever(query, index).retrieve(["a"], 17)
    assert DenseRetriever(query, index).retrieve([], 3) == []
    with pytest.raises(ConfigError, match="16 wide, the index holds 8"):
        DenseRetriever(query, build_index(IndexConfig(), np.eye(8, dtype=np.float32)))


def test_dense_never_returns_row_minus_one(tiny_bert: Path) -> None:
    query = TextEncoder(EncoderConfig(), tiny_bert, "query")
    index = build_index(IndexConfig(kind="ivf_flat", options={"nlist": 8, "nprobe": 1}), np.eye(16, dtype=np.float32))
    (hits,) = DenseRetriever(query, index).retrieve(["a"], 16)
    assert 0 < len(hits.rows) < 16
    assert (hits.rows >= 0).all() and np.isfinite(hits.scores).all()


def test_bm25_ranks_words_and_drops_what_shares_none(bm25: BM25Retriever) -> None:
    capital, river, unknown, nothing = bm25.retrieve(["what is the CAPITAL of France?", "river", "zzz", ""], 5)
    assert capital.rows.tolist() == [1, 2]
    assert set(river.rows.tolist()) == {0, 1, 2, 3}  # stemmed
    assert (np.diff(river.scores) <= 0).all() and (river.scores > 0).all()
    assert len(unknown.rows) == len(nothing.rows) == 0


def test_bm25_ties_go_to_the_lower_row_at_every_k(bm25: BM25Retriever) -> None:
    assert bm25.retrieve(["capital"], 1)[0].rows.tolist() == [1]
    many = BM25Retriever.build(BM25Config(), [Passage(str(i), "", "same words") for i in range(300)], WordRule())
    (all_rows,) = many.retrieve(["same"], 300)
    for k in (1, 7, 100, 300):
        (hits,) = many.retrieve(["same"], k)
        assert hits.rows.tolist() == all_rows.rows[:k].tolist() == list(range(k))


def test_bm25_title_is_indexed(bm25: BM25Retriever) -> None:
    assert bm25.retrieve(["rome"], 1)[0].rows.tolist() == [0]


def test_bm25_score_is_lucenes() -> None:
    passages = [Passage("0", "", "cat cat dog"), Passage("1", "", "dog"), Passage("2", "", "bird fish fish owl")]
    config = BM25Config(k1=1.2, b=0.75)
    (hits,) = BM25Retriever.build(config, passages, WordRule(stemmer="")).retrieve(["cat"], 3)
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    wanted = idf * 2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / (8 / 3)))
    assert hits.scores.tolist() == pytest.approx([wanted], rel=1e-5)


def test_bm25_saved_and_loaded_answers_alike(bm25: BM25Retriever, tmp_path: Path) -> None:
    info = bm25.save(tmp_path)
    assert (info["ntotal"], info["bytes"] > 0) == (5, True)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".pkl", ".pickle")]
    queries = ["river city", "capital of france", "blue"]
    for mine, theirs in zip(
        bm25.retrieve(queries, 5), BM25Retriever.load(tmp_path, WordRule()).retrieve(queries, 5), strict=True
    ):
        assert mine.rows.tolist() == theirs.rows.tolist()
        assert mine.scores.tolist() == theirs.scores.tolist()


@pytest.mark.parametrize("name", ["retriever.json", "data.csc.index.npy", "vocab.index.json"])
def test_bm25_damaged_files(bm25: BM25Retriever, tmp_path: Path, name: str) -> None:
    bm25.save(tmp_path)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ArtifactError, match="damaged"):
        BM25Retriever.load(tmp_path, WordRule())
    shutil.rmtree(tmp_path)
    with pytest.raises(ArtifactError, match="missing"):
        BM25Retriever.load(tmp_path, WordRule())


def test_bm25_bad_config(bm25: BM25Retriever) -> None:
    with pytest.raises(ConfigError, match="k is 6"):
        bm25.retrieve(["a"], 6)
    with pytest.raises(ConfigError, match=r"bm25\.b=2: must be between 0 and 1"):
        BM25Retriever.build(BM25Config(b=2), PASSAGES, WordRule())
    with pytest.raises(UnknownNameError, match="did you mean 'english'"):
        WordRule(stemmer="englisch")
    with pytest.raises(ConfigError, match="no words"):
        BM25Retriever.build(BM25Config(), [Passage("1", "", "the of")], WordRule())
