"""Posterior over passages of a finished hypothesis: p(z|x,y), and p(z|x,y_i) of every token (paper, Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.decoding.beam import Moves
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_scores import PairSteps
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import sequence_posterior, token_posterior


def of_sequence(passage_log_probs: Sequence[float | None], doc_log_probs: Tensor) -> Tensor:
    """p(z|x,y) of one RAG-Sequence hypothesis.

    Args:
        passage_log_probs: K log p(y|x,z); None is a passage whose p(y|x,z) counts as 0.
        doc_log_probs: [K] log p(z|x).

    Returns:
        [K], sums to 1; 0 for a None.

    Raises:
        ValueError: not K values, or none that was scored.
    """
    if len(passage_log_probs) != len(doc_log_probs) or all(value is None for value in passage_log_probs):
        raise ValueError(f"{len(doc_log_probs)} passages need as many log-probs, one scored; got {passage_log_probs}")
    given = [-torch.inf if value is None else value for value in passage_log_probs]
    values = torch.tensor(given, device=doc_log_probs.device)
    return sequence_posterior(values.unsqueeze(0), doc_log_probs.unsqueeze(0))[0]


@torch.inference_mode()
def of_tokens(encodings: Encodings, pairs: Sequence[Pair], token_ids: Sequence[int], doc_log_probs: Tensor) -> Tensor:
    """p(z|x,y_i,y_<i) of every token of one RAG-Token hypothesis.

    Args:
        encodings: Encodings of the generator; the pairs' states are reused if the search has just made them.
        pairs: K pairs of one query.
        token_ids: T tokens y, the end token included, without the start token.
        doc_log_probs: [K] log p(z|x).

    Returns:
        [T, K] on the host; every row sums to 1.
    """
    token_log_probs = _token_log_probs(encodings, pairs, token_ids)
    priors = doc_log_probs.to(token_log_probs.device)
    return token_posterior(token_log_probs.unsqueeze(0), priors.unsqueeze(0))[0].T.cpu()


def _token_log_probs(encodings: Encodings, pairs: Sequence[Pair], token_ids: Sequence[int]) -> Tensor:
    """log p(y_i|x,z,y_<i) [K, T], the hypothesis fed token by token."""
    search = PairSteps(encodings.steps, encodings.memory(*encodings.keys(pairs)), together=len(pairs))
    fed = torch.tensor([encodings.generator.start_id, *token_ids[:-1]], device=encodings.device).view(-1, 1, 1)
    stay = Moves(None, torch.zeros((1, 1), dtype=torch.long, device=encodings.device))
    found = []
    for at, token in enumerate(token_ids):
        states = search.step(fed[at], stay if at else None)[0, :, 0]
        found.append(encodings.steps.vocabulary.of(states, [token])[:, 0])
    return torch.stack(found, dim=-1)
