"""Activation checkpointing: memory of a training step for a second forward pass (https://arxiv.org/abs/1604.06174)."""

from __future__ import annotations

from rag_lightning.generator.opening import Writer
from rag_lightning.generator.seq2seq import Seq2SeqGenerator


def checkpoint_encoder(generator: Writer) -> None:
    """From now on, while it trains, each encoder layer keeps its input only, and is computed again going backward.

    Of a decoder-only generator, whose layers read the input themselves, each of its layers. Dropout is drawn again as
    it was: loss and gradients are the same, bit for bit.

    Args:
        generator: Changed in place.
    """
    reader = generator.model.get_encoder() if isinstance(generator, Seq2SeqGenerator) else generator.model.model
    reader.activation_checkpointing_enable({"use_reentrant": False})
    reader.disable_input_require_grads()  # transformers would have frozen embeddings take part in the backward pass
