"""A length penalty as a way to rank finished hypotheses; scores stay true log-probabilities."""

from __future__ import annotations

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
    return sorted(pool, key=lambda h: h.log_prob / len(h.token_ids) ** length_penalty, reverse=True)
