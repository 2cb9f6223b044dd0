"""FiD's loss is the plain likelihood given all passages found, and its retriever stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.training import fusion
from rag_lightning.training.fusion import FusionModule
from tests.unit.training.test_losses import BATCH, K, loss_of


def fid(world: Any, generator: Any, **settings: Any) -> FusionModule:
    config = TrainConfig(**{"k": K, "steps": 2, "retriever_lr": 1e-3, "scale_lr": 1e-2, **settings})
    return FusionModule(generator, world.new_retrieval(), config, seed=0)


@torch.no_grad()
def direct(world: Any, module: FusionModule, epsilon: float) -> float:
    """The mean loss of BATCH: every pair encoded by itself, unpadded, then one decoder over all their states."""
    losses = []
    for item in BATCH:
        rows, _ = module.retrieval.search([item.query], K)
        pairs = [Pair(item.query, world.store[int(row)]) for row in rows[0]]
        bart = module.generator.model
        states = [
            bart.get_encoder()(torch.tensor([ids])).last_hidden_state for ids in module.generator.source_ids(pairs)
        ]
        tokens = torch.tensor(module.generator.target_ids([item.target])[0])
        inputs = torch.tensor([[module.generator.start_id, *tokens[:-1]]])
        read = BaseModelOutput(last_hidden_state=torch.cat(states, dim=1))
        whole = bart(encoder_outputs=read, decoder_input_ids=inputs).logits[0].double().log_softmax(-1)
        own = whole.gather(-1, tokens.unsqueeze(-1)).sum()
        losses.append(-((1 - epsilon) * own + epsilon * whole.mean(-1).sum()))
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("budget", [4096, 1])
def test_the_loss_is_the_likelihood_given_all_passages(
    world: Any,
    new_reader: Callable[..., Seq2SeqGenerator],
    monkeypatch: pytest.MonkeyPatch,
    epsilon: float,
    budget: int,
) -> None:
    monkeypatch.setattr(fusion, "TOKENS_PER_FORWARD", budget)
    module = fid(world, new_reader(), label_smoothing=epsilon)
    loss = loss_of(module, BATCH, monkeypatch)
    assert loss.item() == pytest.approx(direct(world, module, epsilon), rel=1e-5)
    loss.backward()
    assert all(p.grad is not None for p in module.generator.model.get_encoder().layers[0].parameters())
    assert not any(p.requires_grad or p.grad is not None for p in module.retrieval.parameters())
    trained = {id(p) for group in module.parameter_groups() for p in group["params"]}
    assert trained == {id(p) for p in module.generator.parameters()}
    assert [len(found["passages"]) for found in module.describe(BATCH)] == [K] * len(BATCH)
    assert module.meter.pairs == K * len(BATCH)


def test_more_tokens_than_fit_are_refused_in_one_line(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = new_reader()
    generator.config = replace(generator.config, max_fused_length=30)
    with pytest.raises(ConfigError, match=r"max_fused_length=30: a question has \d\d tokens in 3 passages together"):
        loss_of(fid(world, generator), BATCH, monkeypatch)


def test_a_generator_that_cannot_read_together_is_refused(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], toy_llama: CausalGenerator
) -> None:
    with pytest.raises(ConfigError, match="fid needs a seq2seq generator"):
        fid(world, toy_llama)
    labelled = new_reader()
    labelled.config = replace(labelled.config, head="class_head")
    with pytest.raises(ConfigError, match=r"predicts labels; use generator\.head=none"):
        fid(world, labelled.set_classes(["yes", "no"]))
