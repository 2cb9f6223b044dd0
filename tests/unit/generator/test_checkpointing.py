"""Activation checkpointing: the same numbers, of which less is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.generator import trained_part
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.generator.trained_part import checkpoint_encoder

SOURCES = [list(range(5, 45)), list(range(5, 25))]
TARGETS = torch.tensor([[7, 8, 3], [9, 3, 0]])


def trained(generator: Any, sources: list[list[int]], targets: Tensor, bfloat16: bool) -> tuple[Any, int]:
    """Loss and gradients of a step, and the bytes that autograd keeps for its backward pass, shared ones once."""
    kept: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        kept[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    generator.train().zero_grad()
    torch.manual_seed(3)
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved),
        torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext(),
    ):
        loss = -generator.token_log_probs(sources, targets).sum()
    loss.backward()
    gradients = {name: p.grad for name, p in generator.named_parameters() if p.grad is not None}
    return (loss.detach(), gradients), sum(kept.values())


def check_same_and_less(generator: Any, sources: list[list[int]], targets: Tensor, bfloat16: bool) -> float:
    """Returns the share of the bytes that is kept with checkpointing."""
    other = copy.deepcopy(generator)
    checkpoint_encoder(other)
    (loss, gradients), whole = trained(generator, sources, targets, bfloat16)
    (again, recomputed), kept = trained(other, sources, targets, bfloat16)
    assert torch.equal(again, loss)
    assert recomputed.keys() == gradients.keys()
    assert all(torch.equal(recomputed[name], gradient) for name, gradient in gradients.items())
    assert any(gradient.abs().sum() > 0 for gradient in gradients.values())
    return kept / whole


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_step_is_the_same_bit_for_bit_and_keeps_less(
    new_reader: Callable[..., Seq2SeqGenerator], dropout: float, bfloat16: bool
) -> None:
    assert check_same_and_less(new_reader(dropout), SOURCES, TARGETS, bfloat16) < 0.5


@pytest.mark.parametrize("bfloat16", [False, True])
def test_of_a_decoder_only_generator_its_layers(toy_llama: CausalGenerator, bfloat16: bool) -> None:
    sources = [[4, 5, 6] * 10, [5, 4] * 6]
    assert check_same_and_less(copy.deepcopy(toy_llama), sources, torch.tensor([[4, 5, 3], [6, 3, 0]]), bfloat16) < 0.5


def test_a_frozen_encoder_stays_out_of_the_backward_pass(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    generator = new_reader()
    trained_part.select(generator, GeneratorConfig(train="decoder"), seed=0)
    checkpoint_encoder(generator)
    assert generator._states(SOURCES, TARGETS).grad_fn is not None
    ids = torch.tensor(SOURCES[:1])
    assert generator.model.get_encoder()(input_ids=ids).last_hidden_state.requires_grad is False


def test_decoding_is_not_touched(toy: Seq2SeqGenerator) -> None:
    generator = copy.deepcopy(toy)
    checkpoint_encoder(generator)
    ids = torch.tensor([[2, 4, 5, 6, 3]])
    with torch.inference_mode():
        found, wanted = (g.frozen_encoder(torch.float32)(input_ids=ids).last_hidden_state for g in (generator, toy))
    assert torch.equal(found, wanted)
