"""Posteriors over passages against Bayes' rule on exact probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.decoding import posterior, rag_sequence, rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

PRIORS = np.array([0.5, 0.3, 0.2])
DOCS = torch.tensor(PRIORS, dtype=torch.float32).log()


@pytest.mark.parametrize("strategy", ["thorough", "fast"])
def test_the_posterior_of_a_sequence_is_bayes_rule_over_its_passages(
    toy: Seq2SeqGenerator, questions: list[list[Pair]], exact: Any, strategy: str
) -> None:
    pairs = questions[0]
    (matrix,) = rag_sequence.matrices(Encodings(toy), [pairs], PairStore(), num_beams=2, max_length=3)
    unscored = 0
    for found in rag_sequence.decode(matrix, DOCS.numpy(), strategy):
        at = exact.targets.index(found.token_ids)
        made = matrix.produced[matrix.candidates.index(found.token_ids)] | (strategy == "thorough")
        joint = PRIORS * [np.exp(exact.tokens(pair).sum(1)[at]) for pair in pairs] * made
        assert [value is not None for value in found.passage_log_probs] == made.tolist()
        assert np.log(joint.sum()) == pytest.approx(found.log_prob, abs=1e-5)
        here = posterior.of_sequence(found.passage_log_probs, DOCS)
        np.testing.assert_allclose(here.numpy(), joint / joint.sum(), atol=1e-5)
        unscored += found.passage_log_probs.count(None)
    assert (unscored > 0) == (strategy == "fast")


def test_the_posterior_of_every_token_is_bayes_rule_over_the_passages(
    toy: Seq2SeqGenerator, questions: list[list[Pair]], exact: Any
) -> None:
    pairs, encodings = questions[0], Encodings(toy)
    pool = rag_token.decode(encodings, [pairs], DOCS.unsqueeze(0), num_beams=80, max_length=3)[0]
    assert len({len(found.token_ids) for found in pool}) > 1
    for found in pool:
        at, length = exact.targets.index(found.token_ids), len(found.token_ids)
        joint = PRIORS[None] * np.exp(np.stack([exact.tokens(pair)[at, :length] for pair in pairs], axis=1))
        here = posterior.of_tokens(encodings, pairs, found.token_ids, DOCS)
        assert here.shape == (length, 3)
        np.testing.assert_allclose(here.numpy(), joint / joint.sum(1, keepdims=True), atol=1e-5)
        assert np.log(joint.sum(1)).sum() == pytest.approx(found.log_prob, abs=1e-5)


def test_a_passage_that_was_not_scored_has_no_share() -> None:
    found = posterior.of_sequence((None, -1.0, None), DOCS)
    assert found.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("values", [(None, None, None), (-1.0, -2.0)])
def test_a_posterior_needs_a_log_prob_for_every_passage(values: tuple[float | None, ...]) -> None:
    with pytest.raises(ValueError, match="3 passages need as many log-probs, one scored"):
        posterior.of_sequence(values, DOCS)
