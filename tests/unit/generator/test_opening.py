"""The ridge map from encoder states back to tokens, and the cross-attention made of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rag_lightning.core.records import Passage
from rag_lightning.generator.inputs import Pair, pad_ids
from rag_lightning.generator.opening import RIDGE, ridge, start_copying
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

WORDS = ["b0a", "b1e", "b2i", "b3o", "b4u", "b5a", "b6e", "b7i"]


def pairs(generator: Seq2SeqGenerator, count: int) -> list[Pair]:
    random = np.random.default_rng(0)
    words = [
        w for w in generator.tokenizer.get_vocab() if w.isalnum() and w not in generator.tokenizer.all_special_tokens
    ]
    texts = [" ".join(random.choice(sorted(words), 12)) for _ in range(count)]
    return [Pair("who", Passage(str(i), "", text)) for i, text in enumerate(texts)]


def test_ridge_is_the_minimum_of_its_objective() -> None:
    torch.manual_seed(0)
    inputs, outputs = torch.randn(50, 4, dtype=torch.float64), torch.randn(50, 3, dtype=torch.float64)
    solution = ridge(inputs, outputs).requires_grad_()
    loss = ((inputs @ solution - outputs) ** 2).sum() + RIDGE * 50 * (solution**2).sum()
    (gradient,) = torch.autograd.grad(loss, solution)
    assert float(gradient.abs().max()) < 1e-9


def test_attending_to_one_position_writes_its_token(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    generator = new_reader()
    found = pairs(generator, 200)
    share = start_copying(generator, found, scale=3.0)
    vocabulary = generator.model.config.vocab_size
    assert share > 10 / vocabulary
    generator.eval()
    ids, mask = pad_ids(generator.source_ids(found[:8]), generator.pad_id)
    attention = generator.model.model.decoder.layers[-1].encoder_attn
    with torch.inference_mode():
        hidden = generator.model.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        written = attention.out_proj(attention.v_proj(hidden))
        table = generator.model.model.shared.weight
        scores = written @ torch.nn.functional.normalize(table - table.mean(0), dim=-1).T
    ordinary = mask.bool() & ~torch.isin(ids, torch.tensor(generator.tokenizer.all_special_ids))
    assert float((scores.argmax(-1) == ids)[ordinary].double().mean()) > 10 / vocabulary


def test_scale_multiplies_what_is_written(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    one, other = new_reader(), new_reader()
    assert start_copying(one, pairs(one, 40), 1.0) == start_copying(other, pairs(other, 40), 2.0)
    weights = [g.model.model.decoder.layers[-1].encoder_attn.out_proj.weight for g in (one, other)]
    assert torch.equal(2 * weights[0], weights[1])


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_left_as_it_was(new_reader: Callable[..., Seq2SeqGenerator], training: bool) -> None:
    generator = new_reader().train(training)
    start_copying(generator, pairs(generator, 20), 1.0)
    assert generator.training is training
