"""The trained part of a generator: all of it, all but its encoder, or low-rank matrices beside it.

LoRA (https://arxiv.org/abs/2106.09685): W + (alpha / r) B A at query and value projections, A and B trained, W frozen.
They are merged into W where the model decodes or is saved, so that nothing else knows of them.

Activation checkpointing: memory of a training step for a second forward pass (https://arxiv.org/abs/1604.06174).
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.generator.opening import Writer
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

PROJECTIONS = ["q_proj", "v_proj"]
"""Names of the query and value projections in BART and Llama."""


def select(generator: Writer, config: GeneratorConfig, seed: int) -> None:
    """Freeze, in place, the parameters that config.train does not train, and add LoRA's where it is chosen.

    Args:
        generator: A generator as it was loaded; its class head is always trained.
        config: train, lora_rank, lora_alpha.
        seed: Seed of LoRA's initial matrices.

    Raises:
        ConfigError: `decoder` of a decoder-only generator, or a rank or alpha that trains nothing.
        AssetError: LoRA without peft.
    """
    if config.train == "decoder":
        if not isinstance(generator, Seq2SeqGenerator):
            raise ConfigError("generator.train=decoder: a decoder-only generator has no encoder; use all or lora")
        generator.model.get_encoder().requires_grad_(False)  # and with it the token embeddings that both share
    if config.train == "lora":
        _add_lora(generator.model, config, seed)


def _add_lora(model: nn.Module, config: GeneratorConfig, seed: int) -> None:
    if config.lora_rank < 1 or not 0 < config.lora_alpha < float("inf"):
        raise ConfigError(
            f"generator.lora_rank={config.lora_rank} must be at least 1, and "
            f"generator.lora_alpha={config.lora_alpha} a finite number above 0"
        )
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise AssetError(
            f"generator.train=lora needs peft ({error}): pip install -c constraints.txt -e '.[lora]'"
        ) from error
    adapter = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=PROJECTIONS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(adapter, model)


def merge(generator: Writer) -> Writer:
    """Add low-rank matrices to the weights they stand beside, in place; nothing to do without any. Returns it."""
    for name, module in list(generator.model.named_modules()):
        if hasattr(module, "lora_A") and hasattr(module, "get_base_layer"):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(generator.model.get_submodule(parent), leaf, module.get_base_layer())
    return generator


def merged(generator: Writer) -> Writer:
    """The generator that decodes: itself, or a merged copy where training continues with low-rank matrices."""
    adapted = any(hasattr(module, "lora_A") for module in generator.model.modules())
    return merge(copy.deepcopy(generator)) if adapted else generator


def trained_parameters(generator: nn.Module) -> int:
    """Number of parameters that training updates."""
    return sum(parameter.numel() for parameter in generator.parameters() if parameter.requires_grad)


def checkpoint_encoder(generator: Writer) -> None:
    """Checkpoint the activations of each encoder layer: training keeps its input only and computes it again backward.

    A decoder-only generator, whose layers all read the input, has every layer checkpointed. Dropout is drawn again as
    it was: loss and gradients are equal, bit for bit.

    Args:
        generator: Changed in place.
    """
    reader = generator.model.get_encoder() if isinstance(generator, Seq2SeqGenerator) else generator.model.model
    reader.activation_checkpointing_enable({"use_reentrant": False})
    reader.disable_input_require_grads()  # transformers would have frozen embeddings take part in the backward pass
