"""Thorough and Fast against enumeration of all targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rag_lightning.core.errors import UnknownNameError
from rag_lightning.core.records import Passage
from rag_lightning.decoding.beam import Finished
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.rag_sequence import CandidateMatrix, decode, matrices, produced_matrices
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

Questions = list[list[Pair]]
PRIORS = ([0.5, 0.3, 0.2], [0.7, 0.3], [1.0])
LENGTH = 3


def run(
    toy: Seq2SeqGenerator, questions: Questions, num_beams: int, store: PairStore | None = None
) -> list[CandidateMatrix]:
    return matrices(Encodings(toy), questions, store or PairStore(), num_beams=num_beams, max_length=LENGTH)


def logs(priors: list[float]) -> np.ndarray:
    return np.log(np.array(priors, dtype=np.float32))


def same(left: CandidateMatrix, right: CandidateMatrix) -> None:
    assert left.candidates == right.candidates
    np.testing.assert_array_equal(left.produced, right.produced)
    np.testing.assert_allclose(left.log_probs, right.log_probs, atol=1e-5)


@pytest.mark.parametrize("num_beams", [1, 2, 4])
def test_the_matrix_is_the_exact_log_prob_of_every_candidate_under_every_passage(
    toy: Seq2SeqGenerator, questions: Questions, exact: Any, num_beams: int
) -> None:
    for pairs, matrix in zip(questions, run(toy, questions, num_beams), strict=True):
        at = [exact.targets.index(c) for c in matrix.candidates]
        wanted = np.stack([exact.tokens(pair).sum(1)[at] for pair in pairs], axis=1)
        np.testing.assert_allclose(matrix.log_probs, wanted, atol=1e-5)
        assert len(set(matrix.candidates)) == len(matrix.candidates)
        assert (matrix.produced.sum(0) == num_beams).all()


def test_greedy_candidates_are_those_of_each_passage_alone(
    toy: Seq2SeqGenerator, questions: Questions, exact: Any
) -> None:
    for pairs, matrix in zip(questions, run(toy, questions, 1), strict=True):
        for k, pair in enumerate(pairs):
            tokens = exact.tokens(pair)
            prefix: tuple[int, ...] = ()
            while len(prefix) < LENGTH and 3 not in prefix:
                step = {
                    t[len(prefix)]: tokens[i, len(prefix)]
                    for i, t in enumerate(exact.targets)
                    if t[: len(prefix)] == prefix and len(t) > len(prefix)
                }
                prefix = (*prefix, max(step, key=step.__getitem__))
            produced = [c for c, made in zip(matrix.candidates, matrix.produced[:, k], strict=True) if made]
            assert produced == [prefix]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_thorough_and_fast_are_sums_over_the_candidates(
    toy: Seq2SeqGenerator, questions: Questions, exact: Any, num_beams: int
) -> None:
    differ = False
    for pairs, priors, matrix in zip(questions, PRIORS, run(toy, questions, num_beams), strict=True):
        exact_p = {
            c: [np.exp(exact.tokens(z).sum(1)[exact.targets.index(c)]) for z in pairs] for c in matrix.candidates
        }
        own = {
            c: [made and p for made, p in zip(row, exact_p[c], strict=True)]
            for c, row in zip(matrix.candidates, matrix.produced.tolist(), strict=True)
        }
        for strategy, table in (("thorough", exact_p), ("fast", own)):
            wanted = {c: np.log(np.dot(priors, row)) for c, row in table.items()}
            found = decode(matrix, logs(priors), strategy)
            assert [h.token_ids for h in found] == sorted(wanted, key=lambda c, w=wanted: -w[c])
            np.testing.assert_allclose([h.log_prob for h in found], [wanted[h.token_ids] for h in found], atol=1e-5)
        differ |= any(abs(np.dot(priors, exact_p[c]) - np.dot(priors, own[c])) > 1e-3 for c in exact_p)
    assert differ, "the case must tell thorough and fast apart"


def test_with_all_sequences_as_candidates_thorough_is_the_exact_marginal(
    toy: Seq2SeqGenerator, questions: Questions, exact: Any
) -> None:
    matrix = run(toy, questions[:1], len(exact.targets))[0]
    assert matrix.produced.all() and len(matrix.candidates) == len(exact.targets)
    wanted = np.sort(exact.sequence(questions[0], np.array(PRIORS[0])))[::-1]
    for strategy in ("thorough", "fast"):
        found = [h.log_prob for h in decode(matrix, logs(PRIORS[0]), strategy)]
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert np.exp(found).sum() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("k", [1, 2])
def test_a_prefix_of_k_passages_is_a_run_with_that_k(toy: Seq2SeqGenerator, questions: Questions, k: int) -> None:
    priors = logs(PRIORS[0][:k]) - np.float32(np.log(sum(PRIORS[0][:k])))
    whole = run(toy, questions[:1], 3)[0]
    alone = run(toy, [questions[0][:k]], 3)[0]
    assert len(alone.candidates) < len(whole.candidates)
    for strategy in ("thorough", "fast"):
        found, wanted = decode(whole, priors, strategy), decode(alone, priors, strategy)
        assert [h.token_ids for h in found] == [h.token_ids for h in wanted]
        np.testing.assert_allclose([h.log_prob for h in found], [h.log_prob for h in wanted], atol=1e-5)


def test_batched_is_one_by_one(toy: Seq2SeqGenerator, questions: Questions) -> None:
    for pairs, matrix in zip(questions, run(toy, questions, 2), strict=True):
        same(matrix, run(toy, [pairs], 2)[0])


def test_a_second_call_generates_nothing_and_says_the_same(toy: Seq2SeqGenerator, questions: Questions) -> None:
    store = PairStore()
    first = run(toy, questions, 2, store)
    assert (store.generated, store.reused) == (6, 0)
    encodings = Encodings(toy)
    store.generated = 0
    again = matrices(encodings, questions, store, num_beams=2, max_length=LENGTH)
    assert (store.generated, store.reused, encodings.encoded) == (0, 6, 0)
    for left, right in zip(first, again, strict=True):
        assert left.candidates == right.candidates
        np.testing.assert_array_equal(left.log_probs, right.log_probs)
        np.testing.assert_array_equal(left.produced, right.produced)


def test_a_larger_k_pays_only_for_new_pairs(toy: Seq2SeqGenerator, questions: Questions) -> None:
    store = PairStore()
    run(toy, [questions[0][:2]], 2, store)
    same(run(toy, questions[:1], 2, store)[0], run(toy, questions[:1], 2)[0])
    assert (store.generated, store.reused) == (3, 2)


def test_two_passages_of_one_text_are_one_pair(toy: Seq2SeqGenerator, questions: Questions) -> None:
    pair = questions[0][0]
    assert pair.passage is not None
    twin = Pair(pair.query, Passage("twin", pair.passage.title, pair.passage.text))
    store = PairStore()
    (matrix,) = run(toy, [[pair, twin, questions[0][1]]], 2, store)
    assert store.generated == 2
    np.testing.assert_array_equal(matrix.log_probs[:, 0], matrix.log_probs[:, 1])
    np.testing.assert_array_equal(matrix.produced[:, 0], matrix.produced[:, 1])


def test_a_pair_of_two_questions_is_scored_under_the_candidates_of_both(
    toy: Seq2SeqGenerator, questions: Questions
) -> None:
    first, shared, last = questions[0]
    both = [[first, shared], [shared, last]]
    found = run(toy, both, 2)
    assert found[0].candidates != found[1].candidates
    for matrix, pairs in zip(found, both, strict=True):
        same(matrix, run(toy, [pairs], 2)[0])


@pytest.mark.parametrize("num_beams", [1, 3])
def test_fast_needs_no_score_of_a_passage_that_did_not_produce_it(
    toy: Seq2SeqGenerator, questions: Questions, num_beams: int
) -> None:
    whole = run(toy, questions, num_beams)
    store = PairStore()
    found = produced_matrices(Encodings(toy), questions, store, num_beams=num_beams, max_length=LENGTH)
    for full, own in zip(whole, found, strict=True):
        assert own.candidates == full.candidates and (own.produced == full.produced).all()
        assert (np.isfinite(own.log_probs) == own.produced).all()
        prior = np.full(own.produced.shape[1], -np.log(own.produced.shape[1]), dtype=np.float32)
        fast, wanted = decode(own, prior, "fast"), decode(full, prior, "fast")
        assert [h.token_ids for h in fast] == [h.token_ids for h in wanted]
        np.testing.assert_allclose([h.log_prob for h in fast], [h.log_prob for h in wanted], atol=1e-5)


def test_ties_go_to_the_lower_tokens() -> None:
    matrix = CandidateMatrix(
        ((5, 3), (4, 6, 3), (4, 3)), np.full((3, 2), -1.0, dtype=np.float32), np.ones((3, 2), dtype=np.bool_)
    )
    found = decode(matrix, logs([0.5, 0.5]), "thorough")
    assert [h.token_ids for h in found] == [(4, 3), (4, 6, 3), (5, 3)]


def test_fast_leaves_out_what_a_passage_did_not_produce() -> None:
    matrix = CandidateMatrix(
        ((4, 3), (5, 3)), np.log(np.array([[0.5, 0.4], [0.2, 0.6]], dtype=np.float32)), np.eye(2, dtype=np.bool_)
    )
    prior = logs([0.5, 0.5])
    assert decode(matrix, prior, "thorough")[0] == Finished(pytest.approx(np.log(0.45)), (4, 3))
    assert [h.token_ids for h in decode(matrix, prior, "thorough")] == [(4, 3), (5, 3)]
    fast = decode(matrix, prior, "fast")
    assert [h.token_ids for h in fast] == [(5, 3), (4, 3)]
    assert fast[0].log_prob == pytest.approx(np.log(0.3))


def test_an_unknown_strategy_is_refused() -> None:
    matrix = CandidateMatrix(((3,),), np.zeros((1, 1), dtype=np.float32), np.ones((1, 1), dtype=np.bool_))
    with pytest.raises(UnknownNameError, match="'quick'"):
        decode(matrix, logs([1.0]), "quick")
