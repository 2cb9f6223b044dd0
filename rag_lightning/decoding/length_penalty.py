"""A length penalty as a way to rank finished hypotheses; scores stay true log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rag_lightning.decoding.beam import Finished


def rank(pool: Sequence[Finished], length_penalty: float) -> list[Finished]:
    """Order hypotheses by log p(y|x) / T ** length_penalty, the largest first; T counts the end token.

    Log-probabilities are negative, so a positive penalty favours long hypotheses and a negative one short ones; 1 ranks
    by the mean log-prob of a token. Only what the search has found is ranked: the search itself, and each `log_prob`,
    stay as they are, so a pool of one is never changed. Equal ones keep their order; 0 keeps all.
    """
    if not length_penalty:
        return list(pool)
    return sorted(pool, key=lambda h: _cost(h, length_penalty))


def _cost(hypothesis: Finished, length_penalty: float) -> float:
    """log(-log p / T ** penalty): the same order, and no power that is beyond all numbers."""
    if hypothesis.log_prob >= 0:
        return -math.inf
    return math.log(-hypothesis.log_prob) - length_penalty * math.log(len(hypothesis.token_ids))
