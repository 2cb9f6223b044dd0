"""Hybrid and reranked retrieval: what they score by, against the definitions; with a random cross-encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from rag_lightning.config.retrieval import BM25Config, EncoderConfig, IndexConfig, RetrieverConfig, check_retriever
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.core.records import Passage, passage_text
from rag_lightning.index.index import build_index
from rag_lightning.retrieval import cross_encoder
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.cross_encoder import CrossEncoder
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.retrieval.hybrid import Hybrid, HybridRetriever, Pool, fit_weight
from rag_lightning.retrieval.reranked import RerankedRetriever
from rag_lightning.retrieval.retriever import DenseRetriever
from rag_lightning.retrieval.words import WordRule
from tests.unit.retrieval.conftest import PLAIN, SIZES, _tokenizer

COUNT = 40
QUERIES = ["capital of paris", "red river", "blue city of rome", "zzz"]


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    draw = np.random.default_rng(0)
    return [Passage(str(i), PLAIN[i % 12], " ".join(draw.choice(PLAIN, 6))) for i in range(COUNT)]


@pytest.fixture(scope="module")
def encoder(tiny_bert: Path) -> TextEncoder:
    return TextEncoder(EncoderConfig(model=str(tiny_bert)), tiny_bert, "query")


@pytest.fixture(scope="module")
def vectors(tiny_bert: Path, passages: list[Passage]) -> np.ndarray:
    return TextEncoder(EncoderConfig(model=str(tiny_bert)), tiny_bert, "passage").encode_texts(passages)


@pytest.fixture(scope="module")
def dense(encoder: TextEncoder, vectors: np.ndarray) -> DenseRetriever:
    return DenseRetriever(encoder, build_index(IndexConfig("sq8"), vectors))


@pytest.fixture(scope="module")
def bm25(passages: list[Passage]) -> BM25Retriever:
    return BM25Retriever.build(BM25Config(), passages, WordRule())


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("reranker"), 1)


def classifier(folder: Path, labels: int) -> Path:
    torch.manual_seed(1)
    config = BertConfig(**SIZES, num_labels=labels, initializer_range=0.5)
    BertForSequenceClassification(config).save_pretrained(folder)
    _tokenizer(folder)
    return folder


@pytest.mark.parametrize("weight", [0.0, 0.02, 1.0])
def test_a_sum_is_the_exact_inner_product_and_the_weighted_bm25_score(
    dense: DenseRetriever, bm25: BM25Retriever, encoder: TextEncoder, vectors: np.ndarray, weight: float
) -> None:
    hybrid = HybridRetriever(dense, bm25, vectors, COUNT)
    hybrid.weight = weight
    scores = encoder.encode_texts(QUERIES) @ vectors.T + np.float32(weight) * np.stack(list(bm25.scores(QUERIES)))
    for hits, wanted in zip(hybrid.retrieve(QUERIES, 5), scores, strict=True):
        best = np.lexsort((np.arange(COUNT), -wanted))[:5]
        np.testing.assert_allclose(hits.scores, wanted[best], atol=1e-5)
        assert set(hits.rows) == set(best)


def test_reciprocal_ranks_are_summed(dense: DenseRetriever, bm25: BM25Retriever, vectors: np.ndarray) -> None:
    hybrid, n = HybridRetriever(dense, bm25, vectors, 10), 10
    for query, hits in zip(QUERIES, hybrid.retrieve(QUERIES, 7), strict=True):
        wanted: dict[int, float] = {}
        for found in (dense.retrieve([query], n)[0], bm25.retrieve([query], n)[0]):
            for rank, row in enumerate(found.rows.tolist(), 1):
                wanted[row] = wanted.get(row, 0.0) + 1 / (60 + rank)
        order = sorted(wanted, key=lambda row: (-np.float32(wanted[row]), row))[:7]
        assert hits.rows.tolist() == order
        np.testing.assert_allclose(hits.scores, [wanted[row] for row in order], rtol=1e-5)


def test_a_smaller_k_is_a_prefix_and_k_above_the_corpus_is_refused(
    dense: DenseRetriever, bm25: BM25Retriever, vectors: np.ndarray, reranker: Path, passages: list[Passage]
) -> None:
    hybrid = HybridRetriever(dense, bm25, vectors, 12)
    reranked = RerankedRetriever(dense, CrossEncoder(reranker), passages, 12)  # type: ignore[arg-type]
    for retriever in (hybrid, reranked):
        few, many = (retriever.retrieve(QUERIES, k) for k in (3, 9))
        assert all(a.rows.tolist() == b.rows[:3].tolist() for a, b in zip(few, many, strict=True))
        assert retriever.retrieve([], 3) == []
        assert all((np.diff(hits.scores) <= 0).all() for hits in many)
        for k in (0, COUNT + 1):
            with pytest.raises(ConfigError, match=f"choose 1 <= k <= {COUNT}"):
                retriever.retrieve(QUERIES, k)


def pool(products: Sequence[float], lexical: Sequence[float]) -> Pool:
    rows, empty = np.arange(len(products)), np.zeros(len(products), np.float32)
    return Pool(rows, np.array(products, np.float32), np.array(lexical, np.float32), empty)


def test_the_weight_is_that_with_the_best_reciprocal_rank() -> None:
    words_are_right = [pool([0.9, 0.1], [0, 9]), pool([0.6, 0.5], [1, 8])]
    weight, rank = fit_weight(words_are_right, [[False, True]] * 2)
    assert weight > 0 and rank == 1.0
    assert fit_weight(words_are_right, [[True, False]] * 2) == (0.0, 1.0)
    weight, rank = fit_weight(words_are_right, [[False, False]] * 2)
    assert (weight, rank) == (pytest.approx(0.45 / 8), 0.0), "nothing is known: both spreads count alike"
    assert fit_weight([], []) == (1.0, 0.0)


def test_a_cross_encoder_scores_pairs_in_any_batch(reranker: Path, passages: list[Passage]) -> None:
    cross = CrossEncoder(reranker)
    pairs = [(query, passage) for query in QUERIES[:2] for passage in passages[:9]]
    one = cross.scores(pairs, batch_size=1)
    np.testing.assert_allclose(CrossEncoder(reranker).scores(pairs, batch_size=7), one, atol=1e-6)
    encoded = cross.tokenizer(pairs[3][0], passage_text(pairs[3][1]), return_tensors="pt")
    with torch.inference_mode():
        assert one[3] == pytest.approx(float(cross.model(**encoded).logits[0, 0]), abs=1e-5)
    assert len(cross.scores([])) == 0


def test_a_pair_is_scored_once_whatever_n_and_k_are(
    dense: DenseRetriever, reranker: Path, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    logits = CrossEncoder._logits
    monkeypatch.setattr(CrossEncoder, "_logits", lambda self, pairs: scored.append(len(pairs)) or logits(self, pairs))
    cross = CrossEncoder(reranker)
    scored.clear()  # of the pair that is scored when it is opened
    trials = [(6, 4), (6, 2), (3, 2), (12, 4), (12, 9)]
    for rerank, k in trials:
        shared = RerankedRetriever(dense, cross, passages, rerank).retrieve(QUERIES, k)  # type: ignore[arg-type]
        before = sum(scored)
        alone = RerankedRetriever(dense, CrossEncoder(reranker), passages, rerank)  # type: ignore[arg-type]
        for one, other in zip(shared, alone.retrieve(QUERIES, k), strict=True):
            assert one.rows.tolist() == other.rows.tolist()
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        scored[:] = [before]
    assert scored == [12 * len(set(QUERIES))], "those of the largest n, once"
    monkeypatch.setattr(cross_encoder, "KEPT", 3)
    cross.scores([(QUERIES[0], passage) for passage in passages[:5]])
    assert len(cross._known) == 3


def test_the_last_cross_encoder_stays_open(reranker: Path, tmp_path: Path) -> None:
    assert cross_encoder.open_cross_encoder(reranker) is cross_encoder.open_cross_encoder(reranker)


def test_reranked_passages_are_those_of_dense_retrieval_by_the_cross_encoder(
    dense: DenseRetriever, reranker: Path, passages: list[Passage]
) -> None:
    cross = CrossEncoder(reranker)
    retriever = RerankedRetriever(dense, cross, passages, 6)  # type: ignore[arg-type]
    asked = [*QUERIES, QUERIES[0]]
    for query, hits in zip(asked, retriever.retrieve(asked, 4), strict=True):
        rows = dense.retrieve([query], 6)[0].rows
        scores = cross.scores([(query, passages[row]) for row in rows])
        order = np.lexsort((rows, -scores))[:4]
        assert hits.rows.tolist() == rows[order].tolist()
        np.testing.assert_allclose(hits.scores, scores[order], atol=1e-5)


def test_passages_are_cut_and_questions_never(reranker: Path) -> None:
    cross = CrossEncoder(reranker)
    long = Passage("1", "paris", "the red city " * 60)
    assert len(cross._encode("river", long)["input_ids"]) == cross.max_length == 64
    with pytest.raises(ConfigError, match="a question has more than its 64 tokens; shorten it"):
        cross.scores([("river " * 80, long)])


def test_models_that_are_no_cross_encoders_are_refused(tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(AssetError, match=r"^reranker: cannot be loaded: .*its weights lack classifier"):
        CrossEncoder(tiny_bert)
    with pytest.raises(ConfigError, match="has 3 labels; give a cross-encoder of one or two"):
        CrossEncoder(classifier(tmp_path, 3))
    two, pair = CrossEncoder(classifier(tmp_path / "two", 2)), ("river", Passage("1", "a", "red"))
    with torch.inference_mode():
        logits = two.model(**two.tokenizer(pair[0], passage_text(pair[1]), return_tensors="pt")).logits[0]
    assert two.scores([pair])[0] == pytest.approx(float(logits[1] - logits[0]), abs=1e-5)
    with pytest.raises(ConfigError, match=r"needs retriever\.reranker"):
        _ = RetrieverConfig("reranked").made().models


def test_they_are_trained_with_dense_retrieval() -> None:
    for kind in ("hybrid", "reranked"):
        check_retriever(RetrieverConfig(kind), "rag_token")
        with pytest.raises(ConfigError, match=f"trained_with={kind}: is for search alone; train with dense"):
            check_retriever(RetrieverConfig("bm25", trained_with=kind), "rag_token")
    assert Hybrid().fitted and not Hybrid(bm25_weight=0.1).fitted and not Hybrid(fusion="rrf").fitted


def spoil(folder: Path, file: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """A cross-encoder with a changed JSON file."""
    place = classifier(folder, 1) / file
    found = json.loads(place.read_text())
    change(found)
    place.write_text(json.dumps(found))
    return folder


def test_a_cross_encoder_that_cannot_score_what_its_tokenizer_gives_is_refused(tmp_path: Path) -> None:
    high = spoil(tmp_path / "a", "tokenizer.json", lambda found: found["model"]["vocab"].update(zzz=5000))
    with pytest.raises(AssetError, match=r"^reranker .*a: its tokenizer has token 5,000, and the model \d+ tokens$"):
        CrossEncoder(high)
    odd = spoil(tmp_path / "b", "config.json", lambda found: found.update(chunk_size_feed_forward=7))
    with pytest.raises(AssetError, match=r"^reranker .*b: cannot be loaded \(The dimension to be chunked"):
        CrossEncoder(odd)
    text = spoil(tmp_path / "c", "tokenizer_config.json", lambda found: found.update(model_max_length="long"))
    with pytest.raises(AssetError, match=r"^reranker .*c: cannot be loaded"):
        CrossEncoder(text)


def test_a_cross_encoder_needs_no_padding(reranker: Path, tmp_path: Path, passages: list[Passage]) -> None:
    pairs = [(query, passage) for query in QUERIES for passage in passages[:3]]
    bare = spoil(tmp_path, "tokenizer_config.json", lambda found: found.update(pad_token=None))
    np.testing.assert_array_equal(CrossEncoder(bare).scores(pairs), CrossEncoder(reranker).scores(pairs))


def test_a_cross_encoder_whose_scores_are_not_finite_is_refused(reranker: Path, passages: list[Passage]) -> None:
    cross = CrossEncoder(reranker)
    cross.model.classifier.bias.data.fill_(float("nan"))
    with pytest.raises(ConfigError, match=r"^reranker .*: gives a score that is not finite; give another model$"):
        cross.scores([("who", passages[0])])
