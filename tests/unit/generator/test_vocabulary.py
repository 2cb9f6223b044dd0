"""The vocabulary read in slices against log_softmax over the whole of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rag_lightning.generator import vocabulary
from rag_lightning.generator.vocabulary import Continuations, Vocabulary
from rag_lightning.largest import best

N, K, W, D, V = 3, 4, 2, 16, 50


@pytest.fixture(autouse=True)
def narrow_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four slices of two blocks, the last of them cut, of a vocabulary of 50; two states at once."""
    monkeypatch.setattr(vocabulary, "SLICE", 16)
    monkeypatch.setattr(vocabulary, "ROWS", 2)
    monkeypatch.setattr(vocabulary, "BLOCK", 8)


def random(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def made(bias: bool = True, dtype: torch.dtype = torch.float32) -> tuple[Vocabulary, Tensor]:
    """The vocabulary, and what it is to say of `random(N, K, W, D)`: [N, K, W, V]."""
    weight, offset = random(V, D), random(V) if bias else None
    logits = random(N, K, W, D) @ weight.T + (0 if offset is None else offset)
    return Vocabulary(weight, offset, dtype), logits.log_softmax(-1)


def same(found: Continuations, log_probs: Tensor, count: int, atol: float = 1e-5) -> None:
    values, tokens = log_probs.sort(dim=-1, descending=True, stable=True)
    torch.testing.assert_close(found.tokens, tokens[..., :count])
    torch.testing.assert_close(found.log_probs, values[..., :count], atol=atol, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [1, 3, 20, V, V + 5])
def test_the_best_tokens_are_those_of_the_whole(bias: bool, count: int) -> None:
    read, wanted = made(bias)
    same(read.best(random(N, K, W, D), count), wanted, count)
    torch.testing.assert_close(read.log_probs(random(N, K, W, D)), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 3, 20, V + 5])
def test_the_best_of_the_marginal_are_those_of_logsumexp(count: int) -> None:
    read, log_probs = made()
    docs = random(N, K).log_softmax(-1)
    docs[1] = torch.tensor([0.0, 0.0, -torch.inf, -torch.inf]).log_softmax(-1)
    found = read.marginal_best(random(N, K, W, D), docs, count)
    assert found.faint is not None and not found.faint
    same(found, (log_probs + docs[..., None, None]).logsumexp(1), count)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_single_tokens_are_theirs_of_the_whole(dtype: torch.dtype) -> None:
    read, wanted = made(dtype=dtype)
    states, atol = random(N, K, W, D).flatten(0, 2), 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(read.of(states, [7, 49, 0]), wanted.flatten(0, 2)[:, [7, 49, 0]], atol=atol, rtol=0)
    tokens = torch.arange(len(states)).unsqueeze(-1)
    found = read.logits(states, tokens).squeeze(-1) - read.logsumexp(states)
    torch.testing.assert_close(found, wanted.flatten(0, 2).gather(-1, tokens).squeeze(-1), atol=atol, rtol=0)


def test_rounded_products_find_the_same_best_and_do_not_round_their_log_probs() -> None:
    """Logits near 100 are 0.5 apart in bfloat16: without those computed again every row would hold ties."""
    states, weight = random(N, K, W, D), random(V, D)
    bias = torch.full((V,), 100.0)
    read, exact = Vocabulary(weight, bias, torch.bfloat16), (states @ weight.T).log_softmax(-1)
    found, docs = read.best(states, 2), random(N, K).log_softmax(-1)
    same(found, exact, 2, atol=0.05)
    apart = exact.sort(dim=-1, descending=True).values
    ours = found.log_probs[..., 0] - found.log_probs[..., 1]
    torch.testing.assert_close(ours, apart[..., 0] - apart[..., 1], atol=1e-4, rtol=0)
    marginal = (exact + docs[..., None, None]).logsumexp(1)
    same(read.marginal_best(states, docs, 2), marginal, 2, atol=0.05)


def test_ties_go_to_the_lower_token_across_slices() -> None:
    weight = random(V, D)
    weight[[3, 20, 21, 40, 49]] = 5 * random(D)
    states = random(D).expand(2, 3, 1, D)
    read = Vocabulary(weight)
    assert read.best(states, 3).tokens.unique(dim=1).flatten(0, 2)[0].tolist() == [3, 20, 21]
    assert read.marginal_best(states, torch.zeros(2, 3), 4).tokens[0, 0].tolist() == [3, 20, 21, 40]


def test_marginals_below_the_smallest_float_are_ordered_too() -> None:
    weight, states = torch.eye(V, D), torch.zeros(1, 1, 1, D)
    states[..., :4] = torch.tensor([300.0, 40.0, 30.0, 20.0])
    rough = Vocabulary(weight).marginal_best(states, torch.zeros(1, 1), 4)
    assert rough.faint is not None and bool(rough.faint) and rough.again is not None
    found = rough.again()
    assert found.tokens.flatten().tolist() == [0, 1, 2, 3]
    assert found.log_probs.flatten().tolist() == [0.0, -260.0, -270.0, -280.0]


VALUES = st.lists(st.sampled_from([-float("inf"), -2.0, -1.5, -1.0, 0.0, 0.5]), min_size=4, max_size=4)


@settings(deadline=None, max_examples=200)
@given(rows=st.lists(VALUES, min_size=1, max_size=4), repeat=st.integers(1, 3), count=st.integers(1, 15))
def test_best_is_a_stable_sort(rows: list[list[float]], repeat: int, count: int) -> None:
    values = torch.tensor(rows).repeat(1, repeat)
    top, at = best(values.clone(), count)
    for row, found, places in zip(values.tolist(), top.tolist(), at.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda i: -row[i])[:count]
        missing = count - len(order)
        assert places == [*order, *[0] * missing]
        assert found == [*(row[i] for i in order), *[-float("inf")] * missing]


def test_best_of_many_ties_beyond_the_cut() -> None:
    values = torch.zeros(2, 1000)
    values[1, 700] = 1.0
    top, at = best(values, 3)
    assert at.tolist() == [[0, 1, 2], [700, 0, 1]]
    assert top.tolist() == [[0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("forbidden", [slice(16, 32), slice(49, 50), slice(3, 4)])
def test_a_token_forbidden_by_its_bias_is_never_among_the_best(forbidden: slice, dtype: torch.dtype) -> None:
    weight, bias = random(V, D), random(V)
    bias[forbidden] = -torch.inf
    found = Vocabulary(weight, bias, dtype).best(random(6, D), 4)
    same(found, (random(6, D) @ weight.T + bias).log_softmax(-1), 4, 0.05 if dtype == torch.bfloat16 else 1e-5)
    assert found.log_probs.isfinite().all()
