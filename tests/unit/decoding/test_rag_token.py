"""RAG-Token against enumeration of all targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Passage
from rag_lightning.decoding import rag_token
from rag_lightning.decoding.beam import Finished
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

Questions = list[list[Pair]]
PRIORS = doc_log_probs(torch.tensor([[1.0, 0.2, -0.5], [0.3, 0.4, -torch.inf], [2.0, -torch.inf, -torch.inf]]))
LENGTH = 3


def decode(toy: Seq2SeqGenerator, questions: Questions, priors: Tensor, num_beams: int) -> list[list[Finished]]:
    return rag_token.decode(Encodings(toy), questions, priors, num_beams=num_beams, max_length=LENGTH)


def probabilities(row: int, count: int) -> np.ndarray:
    return PRIORS[row, :count].double().exp().numpy()


def close(found: list[list[Finished]], wanted: list[list[Finished]]) -> None:
    """Same tokens; scores up to the rounding of another batch shape."""
    assert [[h.token_ids for h in pool] for pool in found] == [[h.token_ids for h in pool] for pool in wanted]
    for left, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose([h.log_prob for h in left], [h.log_prob for h in right], atol=1e-5)


def test_a_beam_as_wide_as_the_space_is_the_n_best_of_the_exact_marginal(
    toy: Seq2SeqGenerator, questions: Questions, exact: Any
) -> None:
    space = len(exact.targets)
    pools = decode(toy, questions, PRIORS, num_beams=space)
    for row, (pairs, pool) in enumerate(zip(questions, pools, strict=True)):
        values = exact.token(pairs, probabilities(row, len(pairs)))
        assert sorted(h.token_ids for h in pool) == sorted(exact.targets)
        of = dict(zip(exact.targets, values, strict=True))
        np.testing.assert_allclose([h.log_prob for h in pool], [of[h.token_ids] for h in pool], atol=1e-5)
        np.testing.assert_allclose([h.log_prob for h in pool], np.sort(values)[::-1], atol=1e-5)
        assert np.exp(values).sum() == pytest.approx(1.0), "the space is complete"


def test_the_marginal_is_not_that_of_any_single_passage(
    toy: Seq2SeqGenerator, questions: Questions, exact: Any
) -> None:
    pairs = questions[0]
    best = exact.token(pairs, probabilities(0, 3)).max()
    singles = [exact.tokens(pair).sum(1).max() for pair in pairs]
    assert all(abs(best - single) > 1e-3 for single in singles)


def test_greedy_takes_the_best_marginal_token_of_every_step(
    toy: Seq2SeqGenerator, questions: Questions, exact: Any
) -> None:
    for row, (pairs, pool) in enumerate(zip(questions, decode(toy, questions, PRIORS, 1), strict=True)):
        prior = probabilities(row, len(pairs))
        tokens: tuple[int, ...] = ()
        total = 0.0
        while len(tokens) < LENGTH and 3 not in tokens:
            steps = []
            for token in range(7):
                # any target that begins so has this next token's log-prob at its place
                at = next(i for i, t in enumerate(exact.targets) if t[: len(tokens) + 1] == (*tokens, token))
                terms = [p * np.exp(exact.tokens(z)[at, len(tokens)]) for p, z in zip(prior, pairs, strict=True)]
                steps.append(np.log(sum(terms)))
            tokens, total = (*tokens, int(np.argmax(steps))), total + max(steps)
        (found,) = pool
        assert found.token_ids == tokens
        assert found.log_prob == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("num_beams", [1, 4])
def test_batched_is_one_by_one_and_padded_is_unpadded(
    toy: Seq2SeqGenerator, questions: Questions, num_beams: int
) -> None:
    alone = [
        decode(toy, [pairs], PRIORS[row : row + 1, : len(pairs)], num_beams)[0] for row, pairs in enumerate(questions)
    ]
    close(decode(toy, questions, PRIORS, num_beams), alone)


def test_a_passage_of_no_weight_changes_nothing(toy: Seq2SeqGenerator, questions: Questions) -> None:
    pairs = questions[0]
    with_missing = torch.tensor([[0.4, 0.6, 0.0]]).log()
    close(decode(toy, [pairs], with_missing, 4), decode(toy, [pairs[:2]], with_missing[:, :2], 4))


def test_closed_book_is_one_input_without_a_passage(toy: Seq2SeqGenerator, exact: Any) -> None:
    pair = Pair("a b", None)
    (pool,) = decode(toy, [[pair]], torch.zeros(1, 1), len(exact.targets))
    values = exact.tokens(pair).sum(1)
    assert pool[0].token_ids == exact.targets[int(values.argmax())]
    assert pool[0].log_prob == pytest.approx(values.max(), abs=1e-5)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_what_is_known_of_questions_is_not_searched_again_and_is_the_same(
    toy: Seq2SeqGenerator, questions: Questions, tmp_path: Path, num_beams: int
) -> None:
    settings: Any = {"num_beams": num_beams, "max_length": LENGTH}
    wanted = decode(toy, questions, PRIORS, num_beams)
    with PairStore(tmp_path / "store.sqlite") as store:
        first = rag_token.decode(Encodings(toy), questions[:2], PRIORS[:2], **settings, store=store)
        assert (store.generated, store.reused) == (5, 0)
    with PairStore(tmp_path / "store.sqlite") as store:
        encodings = Encodings(toy)
        found = rag_token.decode(encodings, questions, PRIORS, **settings, store=store)
        assert (store.generated, store.reused, encodings.encoded) == (1, 5, 1)
        again = rag_token.decode(encodings, questions, PRIORS, **settings, store=store)
        assert (store.generated, store.reused, encodings.encoded) == (1, 11, 1)
    close(found, wanted)
    for left, right in ((found[:2], first), (again, found)):
        assert [[(h.token_ids, h.log_prob) for h in pool] for pool in left] == [
            [(h.token_ids, h.log_prob) for h in pool] for pool in right
        ], "to the last bit"


@pytest.mark.parametrize("change", ["prior", "order", "fewer", "beams", "length"])
def test_another_search_is_not_mistaken_for_a_known_one(
    toy: Seq2SeqGenerator, questions: Questions, change: str
) -> None:
    pairs, priors = questions[0], PRIORS[:1].clone()
    settings = {"num_beams": 2, "max_length": LENGTH}
    store = PairStore()
    rag_token.decode(Encodings(toy), [pairs], priors, **settings, store=store)  # type: ignore[arg-type]
    if change == "prior":
        priors[0, 1] = torch.nextafter(priors[0, 1], torch.tensor(0.0))
    pairs = {"order": pairs[::-1], "fewer": pairs[:2]}.get(change, pairs)
    priors = priors[:, : len(pairs)]
    settings |= {"beams": {"num_beams": 3}, "length": {"max_length": 2}}.get(change, {})
    found = rag_token.decode(Encodings(toy), [pairs], priors, **settings, store=store)  # type: ignore[arg-type]
    assert (store.generated, store.reused) == (3 + len(pairs), 0)
    close(found, rag_token.decode(Encodings(toy), [pairs], priors, **settings))  # type: ignore[arg-type]


def test_two_equal_questions_of_a_batch_have_one_answer(toy: Seq2SeqGenerator, questions: Questions) -> None:
    twice = rag_token.decode(
        Encodings(toy), [questions[0]] * 2, PRIORS[[0, 0]], num_beams=2, max_length=LENGTH, store=PairStore()
    )
    close(twice, [decode(toy, questions[:1], PRIORS[:1], 2)[0]] * 2)


def test_equal_scores_and_an_empty_passage_are_decoded(toy: Seq2SeqGenerator, exact: Any) -> None:
    pairs = [Pair("a b", Passage("e", "", "")), Pair("a b", Passage("z", "", "c"))]
    priors = doc_log_probs(torch.tensor([[3.0, 3.0]]))
    pool = decode(toy, [pairs], priors, len(exact.targets))[0]
    values = exact.token(pairs, np.array([0.5, 0.5]))
    np.testing.assert_allclose([h.log_prob for h in pool], np.sort(values)[::-1], atol=1e-5)


@pytest.mark.parametrize("scores", [[1.0, float("nan"), 0.0], [1.0, float("inf"), 0.0], [-float("inf")] * 3])
def test_priors_that_are_no_distribution_are_named(
    toy: Seq2SeqGenerator, questions: Questions, scores: list[float]
) -> None:
    priors = doc_log_probs(torch.tensor([[1.0, 0.5, 0.2], scores]))
    with pytest.raises(DataError, match="doc_log_probs, row 2: is no distribution"):
        decode(toy, [questions[0]] * 2, priors, 1)


@pytest.mark.parametrize("name", ["num_beams", "max_length"])
def test_a_search_of_nothing_is_refused(toy: Seq2SeqGenerator, questions: Questions, name: str) -> None:
    settings = {"num_beams": 1, "max_length": LENGTH} | {name: 0}
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        rag_token.decode(Encodings(toy), questions, PRIORS, **settings)  # type: ignore[arg-type]
