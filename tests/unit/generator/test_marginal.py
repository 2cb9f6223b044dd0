"""Both likelihoods against sums in probability space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rag_lightning.generator import likelihoods

B, K, T = 3, 4, 5


@pytest.fixture
def case() -> tuple[Tensor, Tensor, Tensor]:
    """token_log_probs [B, K, T], doc_log_probs [B, K] with missing passages, mask [B, T] of unequal lengths."""
    random = torch.Generator().manual_seed(3)
    tokens = torch.rand(B, K, T, generator=random).mul(0.9).add(0.05).log()
    scores = torch.randn(B, K, generator=random) * 2
    scores[1, 3] = -torch.inf
    scores[2, 1:] = -torch.inf
    mask = torch.arange(T) < torch.tensor([[5], [3], [1]])
    return tokens, likelihoods.doc_log_probs(scores), mask


def brute_force(tokens: Tensor, docs: Tensor, mask: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Both likelihoods in probability space, with loops."""
    p, z, m = tokens.double().exp().numpy(), docs.double().exp().numpy(), mask.numpy()
    sequence, token = np.zeros(B), np.ones(B)
    for b in range(B):
        for k in range(K):
            product = z[b, k]
            for t in range(T):
                product *= p[b, k, t] if m[b, t] else 1.0
            sequence[b] += product
        for t in range(T):
            token[b] *= sum(z[b, k] * p[b, k, t] for k in range(K)) if m[b, t] else 1.0
    return np.log(sequence), np.log(token)


def test_both_likelihoods_are_the_sums_of_the_paper(case: tuple[Tensor, Tensor, Tensor]) -> None:
    sequence, token = brute_force(*case)
    np.testing.assert_allclose(likelihoods.rag_sequence(*case).numpy(), sequence, atol=1e-5)
    np.testing.assert_allclose(likelihoods.rag_token(*case).numpy(), token, atol=1e-5)
    assert abs(sequence[0] - token[0]) > 1e-2, "the case must tell the formulations apart"


def test_a_target_of_one_token_is_the_same_in_both(case: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, docs, _ = case
    mask = torch.arange(T).expand(B, T) == 0
    torch.testing.assert_close(likelihoods.rag_sequence(tokens, docs, mask), likelihoods.rag_token(tokens, docs, mask))


def test_one_passage_is_the_plain_likelihood(case: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, _, mask = case
    plain = tokens[:, 0].masked_fill(~mask, 0.0).sum(-1)
    for likelihood in (likelihoods.rag_sequence, likelihoods.rag_token):
        torch.testing.assert_close(likelihood(tokens[:, :1], torch.zeros(B, 1), mask), plain)


def test_a_missing_passage_changes_nothing(case: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, docs, mask = case
    other = tokens.clone()
    other[1, 3], other[2, 1:] = -0.01, -9.0
    for likelihood in (likelihoods.rag_sequence, likelihoods.rag_token):
        torch.testing.assert_close(likelihood(other, docs, mask), likelihood(tokens, docs, mask), rtol=0, atol=0)


def test_tokens_outside_the_mask_change_nothing(case: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, docs, mask = case
    other = torch.where(mask.unsqueeze(1), tokens, torch.tensor(-7.0))
    for likelihood in (likelihoods.rag_sequence, likelihoods.rag_token):
        torch.testing.assert_close(likelihood(other, docs, mask.long()), likelihood(tokens, docs, mask))


@pytest.mark.parametrize("likelihood", [likelihoods.rag_sequence, likelihoods.rag_token])
def test_the_gradient_is_finite_where_passages_are_missing(
    likelihood: object, case: tuple[Tensor, Tensor, Tensor]
) -> None:
    tokens = case[0].clone().requires_grad_()
    scores = torch.randn(B, K)
    scores[1, 3] = scores[2, 2] = -torch.inf
    scores.requires_grad_()
    assert callable(likelihood)
    likelihood(tokens, likelihoods.doc_log_probs(scores), case[2]).sum().backward()
    assert tokens.grad is not None and scores.grad is not None
    assert tokens.grad.isfinite().all() and scores.grad.isfinite().all()
    assert scores.grad[0].abs().sum() > 0
    assert scores.grad[1, 3] == 0 and (tokens.grad[2, 2] == 0).all()


def test_the_gradient_of_the_prior_is_posterior_minus_prior(case: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, _, mask = case
    scores = torch.randn(B, K, requires_grad=True)
    docs = likelihoods.doc_log_probs(scores)
    likelihoods.rag_sequence(tokens, docs, mask).sum().backward()
    sums = tokens.masked_fill(~mask.unsqueeze(1), 0.0).sum(-1)
    torch.testing.assert_close(scores.grad, (likelihoods.sequence_posterior(sums, docs) - docs.exp()).detach())


def test_posteriors_are_bayes_rule_and_sum_to_one(case: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, docs, _ = case
    sequence = likelihoods.sequence_posterior(tokens.sum(-1), docs)
    token = likelihoods.token_posterior(tokens, docs)
    torch.testing.assert_close(sequence.sum(-1), torch.ones(B))
    torch.testing.assert_close(token.sum(1), torch.ones(B, T))
    joint = docs.exp().unsqueeze(-1) * tokens.exp()
    torch.testing.assert_close(token, joint / joint.sum(1, keepdim=True))
    joint = docs.exp() * tokens.exp().prod(-1)
    torch.testing.assert_close(sequence, joint / joint.sum(-1, keepdim=True))
    assert (sequence[2, 1:] == 0).all()


def test_doc_log_probs_are_float32_and_normalised_over_what_was_found() -> None:
    found = likelihoods.doc_log_probs(torch.tensor([[1.0, 2.0, -torch.inf]], dtype=torch.bfloat16))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.exp().numpy(), [[1 / (1 + np.e), np.e / (1 + np.e), 0]], atol=1e-6)


def test_half_precision_inputs_are_summed_in_float32() -> None:
    tokens = torch.full((1, 1, 300), -1.0, dtype=torch.bfloat16)
    mask = torch.ones(1, 300, dtype=torch.bool)
    for likelihood in (likelihoods.rag_sequence, likelihoods.rag_token):
        assert likelihood(tokens, torch.zeros(1, 1), mask).item() == -300.0


def test_the_probability_of_a_class_is_the_sum_over_passages(case: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, docs, _ = case
    classes = tokens.log_softmax(-1)
    p, z = classes.double().exp().numpy(), docs.double().exp().numpy()
    wanted = [[sum(z[b, k] * p[b, k, c] for k in range(K)) for c in range(T)] for b in range(B)]
    found = likelihoods.rag_class(classes, docs)
    np.testing.assert_allclose(found.exp().numpy(), wanted, rtol=1e-5)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(B))
    one = torch.ones(B, 1, dtype=torch.bool)
    for c in range(T):  # a target of one symbol
        torch.testing.assert_close(found[:, c], likelihoods.rag_sequence(classes[..., c : c + 1], docs, one))
        torch.testing.assert_close(found[:, c], likelihoods.rag_token(classes[..., c : c + 1], docs, one))
