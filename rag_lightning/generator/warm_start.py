"""A BART whose weights come from a BERT-family encoder.

Encoder layers are copied; decoder layers are copies of evenly spaced encoder layers, their cross-attention starts from
the same self-attention; token type 0 is added into the positions. BERT and BART have the same post-norm block, so the
encoder computes the BERT's function, up to LayerNorm's epsilon: BART's code fixes it at 1e-5, BERT's is 1e-12.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, BartConfig, BartForConditionalGeneration

from rag_lightning.checkpoints.opening import checked_settings, open_model
from rag_lightning.core.errors import ConfigError

POSITION_OFFSET = 2
"""Rows BART's position table has in front of position 0."""


def bart_from_bert(source: str | Path, tokenizer: Any, decoder_layers: int, dropout: float) -> Any:
    """Build the model.

    Args:
        source: Folder or hub name of a BERT-family checkpoint in safetensors.
        tokenizer: Its tokenizer; CLS starts the decoder, SEP ends it.
        decoder_layers: At most the number of encoder layers.
        dropout: Dropout of hidden states while training (attention has none).

    Raises:
        AssetError: not there, damaged, or only as pickle.
        ConfigError: the source is not of the BERT family, or has fewer layers than asked for.
    """
    kind = checked_settings(source, "generator.encoder").get("model_type")
    if kind != "bert":
        raise ConfigError(f"generator.encoder={source!s}: a {kind} cannot warm-start a BART; use a BERT")
    bert = open_model(AutoModel, source, "generator.encoder", "pooler")
    total = bert.config.num_hidden_layers
    if not 1 <= decoder_layers <= total:
        raise ConfigError(
            f"generator.decoder_layers={decoder_layers}: the encoder has {total} layers; use 1 to {total}"
        )
    model = BartForConditionalGeneration(_bart_config(bert.config, tokenizer, decoder_layers, dropout))
    with torch.no_grad():
        _copy_embeddings(bert, model)
        for source_layer, target in zip(bert.encoder.layer, model.model.encoder.layers, strict=True):
            _copy_block(source_layer, target)
        for target, at in zip(model.model.decoder.layers, spaced_layers(total, decoder_layers), strict=True):
            _copy_block(bert.encoder.layer[at], target)
            _copy_attention(bert.encoder.layer[at], target.encoder_attn, target.encoder_attn_layer_norm)
    model.tie_weights()
    return model


def spaced_layers(total: int, count: int) -> list[int]:
    """`count` evenly spaced layer numbers, the last one included: spaced_layers(6, 3) == [1, 3, 5]."""
    return [round((i + 1) * total / count) - 1 for i in range(count)]


def _bart_config(bert: Any, tokenizer: Any, decoder_layers: int, dropout: float) -> BartConfig:
    return BartConfig(
        vocab_size=bert.vocab_size,
        max_position_embeddings=bert.max_position_embeddings,
        d_model=bert.hidden_size,
        encoder_layers=bert.num_hidden_layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=bert.num_attention_heads,
        decoder_attention_heads=bert.num_attention_heads,
        encoder_ffn_dim=bert.intermediate_size,
        decoder_ffn_dim=bert.intermediate_size,
        activation_function=bert.hidden_act,
        dropout=dropout,
        attention_dropout=0.0,
        activation_dropout=0.0,
        init_std=bert.initializer_range,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        decoder_start_token_id=tokenizer.cls_token_id,
        forced_eos_token_id=None,
    )


def _copy_embeddings(bert: Any, model: Any) -> None:
    embeddings = bert.embeddings
    positions = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
    model.model.shared.weight.copy_(embeddings.word_embeddings.weight)
    for side in (model.model.encoder, model.model.decoder):
        side.embed_tokens.weight.copy_(embeddings.word_embeddings.weight)
        side.embed_positions.weight[:POSITION_OFFSET].zero_()  # never read, and not to be left to chance
        side.embed_positions.weight[POSITION_OFFSET:].copy_(positions)
        _copy_linear(embeddings.LayerNorm, side.layernorm_embedding)


def _copy_block(source: Any, target: Any) -> None:
    _copy_attention(source, target.self_attn, target.self_attn_layer_norm)
    _copy_linear(source.intermediate.dense, target.fc1)
    _copy_linear(source.output.dense, target.fc2)
    _copy_linear(source.output.LayerNorm, target.final_layer_norm)


def _copy_attention(source: Any, attention: Any, norm: Any) -> None:
    _copy_linear(source.attention.self.query, attention.q_proj)
    _copy_linear(source.attention.self.key, attention.k_proj)
    _copy_linear(source.attention.self.value, attention.v_proj)
    _copy_linear(source.attention.output.dense, attention.out_proj)
    _copy_linear(source.attention.output.LayerNorm, norm)


def _copy_linear(source: Any, target: Any) -> None:
    target.weight.copy_(source.weight)
    target.bias.copy_(source.bias)
