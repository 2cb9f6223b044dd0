"""What of a generator is trained, and that nothing of LoRA is left once it is merged."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.generator.trained_part import merge, merged, select, trained_parameters

PAIRS = [Pair("what is the capital", None), Pair("the city of paris", None)]


def log_probs(generator: Any) -> torch.Tensor:
    ids = [torch.tensor(row) for row in generator.target_ids(["rome", "in porto novo"])]
    targets = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    found: torch.Tensor = generator.token_log_probs(generator.source_ids(PAIRS), targets)
    return found


def trained(generator: Any) -> set[str]:
    return {name for name, parameter in generator.named_parameters() if parameter.requires_grad}


def test_decoder_leaves_all_that_encodes_the_input(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    generator = new_reader()
    everything = trained(generator)
    select(generator, replace(generator.config, train="decoder"), seed=0)
    kept = trained(generator)
    encoder = {id(parameter) for parameter in generator.model.get_encoder().parameters()}
    assert kept and not {id(p) for name, p in generator.named_parameters() if name in kept} & encoder
    assert all(name in kept for name in everything if ".decoder.layers." in name)
    assert trained_parameters(generator) == sum(p.numel() for n, p in generator.named_parameters() if n in kept)


def test_a_decoder_only_generator_has_no_encoder_to_leave(toy_llama: CausalGenerator) -> None:
    with pytest.raises(ConfigError, match="has no encoder; use all or lora"):
        select(toy_llama, replace(toy_llama.config, train="decoder"), seed=0)


def test_lora_without_peft_says_how_to_get_it(
    new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = new_reader()
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(AssetError, match=r"needs peft .*pip install .*\[lora\]"):
        select(generator, replace(generator.config, train="lora"), seed=0)


@pytest.mark.parametrize("changes", [{"lora_rank": 0}, {"lora_alpha": 0.0}, {"lora_alpha": float("nan")}])
def test_a_rank_or_alpha_that_trains_nothing_is_named(
    new_reader: Callable[..., Seq2SeqGenerator], changes: dict[str, Any]
) -> None:
    generator = new_reader()
    (name,) = changes
    with pytest.raises(ConfigError, match=rf"generator\.{name}="):
        select(generator, replace(generator.config, train="lora", **changes), seed=0)


def test_lora_starts_as_the_model_trains_beside_it_and_merges_into_it(
    new_reader: Callable[..., Seq2SeqGenerator], tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="the extra `lora` is not installed")
    generator = new_reader()
    before = log_probs(generator).detach()
    names = set(generator.state_dict())
    select(generator, replace(generator.config, train="lora", lora_rank=2, lora_alpha=4.0), seed=3)
    kept = trained(generator)
    assert kept and all("lora_" in name and ("q_proj" in name or "v_proj" in name) for name in kept)
    assert torch.equal(log_probs(generator).detach(), before), "B starts at 0"
    frozen = {n: p.clone() for n, p in generator.named_parameters() if n not in kept}
    optimizer = torch.optim.SGD([p for p in generator.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (-log_probs(generator).mean()).backward()
        optimizer.step()
    assert all(torch.equal(p, frozen[n]) for n, p in generator.named_parameters() if n in frozen)
    after = log_probs(generator).detach()
    assert (after - before).abs().max() > 1e-3
    copy = merged(generator)
    assert trained(generator) == kept, "training goes on with the matrices"
    assert set(copy.state_dict()) == names
    torch.testing.assert_close(log_probs(copy).detach(), after, atol=1e-5, rtol=1e-5)
    merge(generator).save(tmp_path)
    loaded = Seq2SeqGenerator.load(tmp_path, generator.config)
    torch.testing.assert_close(log_probs(loaded).detach(), after, atol=1e-5, rtol=1e-5)
    assert not any("adapter" in path.name for path in tmp_path.iterdir())


def test_the_first_matrices_depend_on_the_seed_alone(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    pytest.importorskip("peft", reason="the extra `lora` is not installed")

    def first(seed: int) -> torch.Tensor:
        generator = new_reader()
        state = torch.random.get_rng_state()
        select(generator, replace(generator.config, train="lora"), seed)
        assert torch.equal(torch.random.get_rng_state(), state)
        return torch.cat([p.flatten() for n, p in generator.named_parameters() if "lora_A" in n])

    assert torch.equal(first(1), first(1)) and not torch.equal(first(1), first(2))


def test_a_generator_without_lora_decodes_as_it_is(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    generator = new_reader()
    assert merged(generator) is generator is merge(generator)
