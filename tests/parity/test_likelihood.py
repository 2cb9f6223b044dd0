"""Both likelihoods against the negative log-likelihood of transformers' RAG.

transformers feeds `labels` as decoder input unshifted and scores labels[:, 1:] and a pad, which is our targets with the
start token in front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rag_lightning.generator import likelihoods
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.training.rag import MARGINALS

TARGETS = torch.tensor([[4, 6, 5, 3], [5, 3, 0, 0]])
END_ONLY = torch.tensor([[3], [3]])


def token_log_probs(toy: Seq2SeqGenerator, case: Any, targets: Tensor) -> Tensor:
    """[B, K, T] by our training forward."""
    sources = toy.source_ids([pair for pairs in case.questions for pair in pairs])
    k = case.doc_scores.shape[1]
    return toy.token_log_probs(sources, targets.repeat_interleave(k, 0)).unflatten(0, (-1, k))


def labels(toy: Seq2SeqGenerator, targets: Tensor) -> Tensor:
    return torch.cat([torch.full_like(targets[:, :1], toy.start_id), targets], dim=1)


@torch.no_grad()
@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_likelihood_equals_that_of_transformers(
    toy: Seq2SeqGenerator, case: Any, transformers_rag: Callable[..., Any], formulation: str
) -> None:
    theirs = transformers_rag(formulation)(**case.inputs, labels=labels(toy, TARGETS)).loss
    docs = likelihoods.doc_log_probs(case.doc_scores)
    ours = MARGINALS[formulation][0](token_log_probs(toy, case, TARGETS), docs, TARGETS.ne(toy.pad_id))
    assert theirs.shape == (2,)
    torch.testing.assert_close(ours, -theirs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_target_of_one_token_keeps_its_prior_in_rag_token(
    toy: Seq2SeqGenerator, case: Any, transformers_rag: Callable[..., Any]
) -> None:
    theirs = transformers_rag("rag_token")(**case.inputs, labels=labels(toy, END_ONLY)).loss
    docs = likelihoods.doc_log_probs(case.doc_scores)
    ours = likelihoods.rag_token(token_log_probs(toy, case, END_ONLY), docs, END_ONLY.ne(toy.pad_id))
    torch.testing.assert_close(ours, -theirs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_target_of_one_token_loses_its_prior_in_transformers_rag_sequence(
    toy: Seq2SeqGenerator, case: Any, transformers_rag: Callable[..., Any]
) -> None:
    theirs = transformers_rag("rag_sequence")(**case.inputs, labels=labels(toy, END_ONLY)).loss
    docs = likelihoods.doc_log_probs(case.doc_scores)
    tokens = token_log_probs(toy, case, END_ONLY)
    ours = likelihoods.rag_sequence(tokens, docs, END_ONLY.ne(toy.pad_id))
    direct = (docs.exp() * tokens.squeeze(-1).exp()).sum(1).log()
    torch.testing.assert_close(ours, direct, atol=1e-5, rtol=0)
    # theirs adds log p(z) at the second target position, which here is padding and masked
    torch.testing.assert_close(-theirs, tokens.squeeze(-1).logsumexp(1), atol=1e-5, rtol=0)
    assert (ours + theirs).abs().min() > 0.5, "the difference is not rounding"


@torch.no_grad()
@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_label_smoothing_equals_that_of_transformers(
    toy: Seq2SeqGenerator, case: Any, transformers_rag: Callable[..., Any], formulation: str
) -> None:
    epsilon = 0.2
    theirs = transformers_rag(formulation, epsilon)(**case.inputs, labels=labels(toy, TARGETS)).loss
    sources = toy.source_ids([pair for pairs in case.questions for pair in pairs])
    tokens, vocabulary = toy.token_log_probs(sources, TARGETS.repeat_interleave(3, 0), smooth=True)
    docs, mask = likelihoods.doc_log_probs(case.doc_scores), TARGETS.ne(toy.pad_id)
    likelihood, smoothing = MARGINALS[formulation]
    plain = likelihood(tokens.unflatten(0, (-1, 3)), docs, mask)
    smooth = smoothing(vocabulary.unflatten(0, (-1, 3)), docs, mask)
    loss = -((1 - epsilon) * plain + epsilon / vocabulary.shape[-1] * smooth)
    torch.testing.assert_close(loss, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_gradients_equal_those_of_transformers(
    toy: Seq2SeqGenerator, case: Any, transformers_rag: Callable[..., Any], formulation: str
) -> None:
    model = transformers_rag(formulation)
    scores = case.doc_scores.clone().requires_grad_()
    model(**{**case.inputs, "doc_scores": scores}, labels=labels(toy, TARGETS)).loss.sum().backward()
    own = case.doc_scores.clone().requires_grad_()
    tokens = token_log_probs(toy, case, TARGETS)
    toy.zero_grad()
    MARGINALS[formulation][0](tokens, likelihoods.doc_log_probs(own), TARGETS.ne(toy.pad_id)).sum().neg().backward()
    assert scores.grad is not None and own.grad is not None
    torch.testing.assert_close(own.grad, scores.grad, atol=1e-5, rtol=0)
    theirs = dict(model.rag.generator.named_parameters())
    for name, parameter in toy.model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, atol=1e-4, rtol=1e-4)
    toy.zero_grad()
