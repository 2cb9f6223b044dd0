"""Every k and strategy of RAG-Sequence from one pass are those of the runs alone; bad input is named."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.core.errors import ConfigError, DataError, RagLightningError
from rag_lightning.core.records import Passage
from rag_lightning.decoding import rag_sequence
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

Questions = list[list[Pair]]
SCORES = [[1.0, 0.2, -0.5], [0.3, 0.4], [2.0]]
SETTINGS: dict[str, Any] = {"num_beams": 2, "max_length": 3}


def run(toy: Seq2SeqGenerator, questions: Questions, scores: Any = SCORES, **changes: Any) -> Any:
    settings = SETTINGS | {"store": PairStore(), "ks": [1, 2, 3], "strategies": ["thorough", "fast"]} | changes
    return rag_sequence.decode_all(Encodings(toy), questions, scores, **settings)


def same(found: Any, wanted: Any) -> None:
    assert [[h.token_ids for h in pool] for pool in found] == [[h.token_ids for h in pool] for pool in wanted]
    for left, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose([h.log_prob for h in left], [h.log_prob for h in right], atol=1e-5)
        tables = [np.array([h.passage_log_probs for h in pool], dtype=float) for pool in (left, right)]
        np.testing.assert_allclose(*tables, atol=1e-5)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_one_pass_is_the_runs_alone(toy: Seq2SeqGenerator, questions: Questions, num_beams: int) -> None:
    grid = run(toy, questions, num_beams=num_beams)
    assert list(grid) == list(product([1, 2, 3], ["thorough", "fast"]))
    for (k, strategy), pools in grid.items():
        build = rag_sequence.matrices if strategy == "thorough" else rag_sequence.produced_matrices
        for pairs, scores, pool in zip(questions, SCORES, pools, strict=True):
            (matrix,) = build(Encodings(toy), [pairs[:k]], PairStore(), num_beams=num_beams, max_length=3)
            prior = doc_log_probs(torch.tensor(scores[:k])).numpy()
            same([pool], [rag_sequence.decode(matrix, prior, strategy)])
    assert len(grid[1, "thorough"][0]) < len(grid[3, "thorough"][0]), "candidates are those of the first k"


def test_a_pair_is_searched_once_for_the_whole_grid(toy: Seq2SeqGenerator, questions: Questions) -> None:
    store = PairStore()
    run(toy, questions, store=store)
    assert (store.generated, store.reused) == (6, 0)
    run(toy, questions, store=store, ks=[2], strategies=["fast"])
    assert (store.generated, store.reused) == (6, 5), "and no pair beyond the largest k"


def test_a_question_with_fewer_passages_than_k_uses_all_it_has(toy: Seq2SeqGenerator, questions: Questions) -> None:
    grid = run(toy, questions, ks=[1, 3, 50])
    assert grid[50, "thorough"] == grid[3, "thorough"]
    assert [h.passage_log_probs for h in grid[50, "fast"][2]] == [h.passage_log_probs for h in grid[1, "fast"][2]]


def test_equal_scores_are_a_uniform_prior(toy: Seq2SeqGenerator, questions: Questions) -> None:
    equal = run(toy, questions[:1], [[7.0] * 3], ks=[3])[3, "thorough"][0]
    for h in equal:
        assert h.log_prob == pytest.approx(np.log(np.mean(np.exp(np.array(h.passage_log_probs)))), abs=1e-6)


def test_an_empty_passage_is_a_passage_of_no_words(toy: Seq2SeqGenerator, exact: Any) -> None:
    empty = [Pair("a b", Passage("e", "", "")), Pair("a b", Passage("z", "", "c"))]
    pool = run(toy, [empty], [[0.0, 0.0]], ks=[2])[2, "thorough"][0]
    values = [exact.tokens(pair).sum(1)[exact.targets.index(pool[0].token_ids)] for pair in empty]
    np.testing.assert_allclose(pool[0].passage_log_probs, values, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"ks": []}, ConfigError, r"k must be at least 1, got \[\]"),
        ({"ks": [2, 0]}, ConfigError, r"k must be at least 1, got \[2, 0\]"),
        ({"strategies": ["quick"]}, ConfigError, "unknown marginal .quick.: known: thorough, fast"),
        ({"strategies": []}, ConfigError, "unknown marginal ..: known"),
        ({"num_beams": 0}, ConfigError, "num_beams must be at least 1, got 0"),
        ({"max_length": 0}, ConfigError, "max_length must be at least 1, got 0"),
        ({"scores": [[1.0, float("nan"), 0.0]]}, DataError, r"question 0, row 2.*finite number \(got nan\)"),
        ({"scores": [[1.0, 0.0, float("-inf")]]}, DataError, r"row 3.*finite number \(got -inf\); retrieve again"),
        ({"scores": [[1.0, 0.0]]}, DataError, "has 3 passages, but 2 scores"),
        ({"questions": [[]], "scores": [[]]}, DataError, "has no passages"),
    ],
)
def test_bad_input_is_named(
    toy: Seq2SeqGenerator, questions: Questions, changes: Any, error: type[RagLightningError], says: str
) -> None:
    asked = {"questions": questions[:1], "scores": [[1.0, 0.5, 0.2]]} | changes
    with pytest.raises(error, match=says):
        run(toy, **asked)
