"""log p of targets against torch's own log-softmax and autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rag_lightning.generator.likelihoods import smoothed_log_probs, target_log_probs

PAD = 0
TARGETS = torch.tensor([[3, 5, 2, PAD], [4, 2, PAD, PAD], [6, 6, 6, 2]])


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """States [3, 4, 8], the output layer's weight [7, 8] and bias [7], all with gradient."""
    draw = torch.Generator().manual_seed(0)
    shapes = (3, 4, 8), (7, 8), (7,)
    states, weight, bias = (torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes)
    return states.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


def test_values_and_gradients_are_those_of_autograd() -> None:
    scored = TARGETS.ne(PAD)
    factors = torch.randn(TARGETS.shape, generator=torch.Generator().manual_seed(1))
    found, wanted = drawn(), drawn()
    ours = target_log_probs(found[0], TARGETS, scored, found[1], found[2])
    plain = F.linear(*wanted).log_softmax(-1).gather(-1, TARGETS.unsqueeze(-1)).squeeze(-1).masked_fill(~scored, 0.0)
    torch.testing.assert_close(ours, plain.float())
    assert ours.dtype == torch.float32
    (ours * factors).sum().backward()  # type: ignore[no-untyped-call]
    (plain * factors).sum().backward()  # type: ignore[no-untyped-call]
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)
    assert not found[0].grad[~scored].any(), "padding has no gradient"  # type: ignore[index]


def test_gradients_come_in_the_type_of_the_products() -> None:
    states, weight, _ = (part.detach().to(torch.bfloat16).requires_grad_() for part in drawn())
    found = target_log_probs(states, TARGETS, TARGETS.ne(PAD), weight, None)
    assert found.dtype == torch.float32
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    assert states.grad.dtype == torch.bfloat16


def test_a_second_backward_pass_is_refused() -> None:
    states, weight, bias = drawn()
    loss = target_log_probs(states, TARGETS, TARGETS.ne(PAD), weight, bias).sum()
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]


def test_extreme_logits_stay_finite() -> None:
    states = torch.tensor([[[1e4, -1e4]]], requires_grad=True)
    found = target_log_probs(states, torch.tensor([[1]]), torch.tensor([[True]]), torch.eye(2), None)
    assert found.item() == -2e4
    found.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(states.grad, torch.tensor([[[-1.0, 1.0]]]))


def test_smoothing_reads_the_same_values() -> None:
    states, weight, bias = drawn()
    scored = TARGETS.ne(PAD)
    gathered, everything = smoothed_log_probs(states, TARGETS, weight, bias)
    torch.testing.assert_close(everything.exp().sum(-1), torch.ones(TARGETS.shape))
    torch.testing.assert_close(gathered[scored], target_log_probs(states, TARGETS, scored, weight, bias)[scored])
