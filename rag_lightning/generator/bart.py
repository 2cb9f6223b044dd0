"""BART's decoder, one step at a time and all beams of a passage together.

transformers' beam search copies the cached cross-attention keys and values of every beam whenever beams move. Here a
(query, passage) pair keeps nothing but its encoder states; the W beams (or candidates) of a pair are a dimension of the
attention's queries. Only the short self-attention cache is reordered. Works on the public submodules of `BartDecoder`;
checked against its forward in tests/parity.

Keys and values are never computed. With h the encoder states, q . (K h) = (K' q) . h, and sum_s a_s V h_s =
V sum_s a_s h_s; the key's bias moves all scores of a query alike and drops out of the softmax, the value's is added
once. Projecting S states costs as much as S / heads of such steps, and answers are shorter than that.

Shapes: P pairs, W width (beams or candidates of a pair), S source tokens, T target tokens, H heads, C head size.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rag_lightning.generator.steps import Cache, Memory, split_heads
from rag_lightning.generator.vocabulary import Vocabulary

POSITION_OFFSET = 2


class BartSteps:
    """The step loop over a `BartForConditionalGeneration`, without dropout.

    Args:
        model: The model, in eval mode.
        dtype: Type of the forward pass and of memories; other than float32 it runs on a copy of the decoder. Returned
            states are float32.
    """

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        self.model, self.dtype = model, dtype
        decoder = model.model.decoder
        self.decoder = decoder if dtype == torch.float32 else copy.deepcopy(decoder).to(dtype)
        self.heads = model.config.decoder_attention_heads
        self.vocabulary = Vocabulary(model.lm_head.weight, model.final_logits_bias, dtype)

    def memory(self, states: Tensor, mask: Tensor) -> Memory:
        """Encoder states [P, S, D] with their mask [P, S], for all steps and beams."""
        return Memory.of(states, mask)

    def states(self, inputs: Tensor, memory: Memory) -> Tensor:
        """Decoder states [P, W, T, D] of W decoder inputs [P, W, T] per pair."""
        return self._run(inputs, memory, Cache([], []))[0].float()

    def step(self, tokens: Tensor, memory: Memory, cache: Cache, pairs: Tensor | None = None) -> tuple[Tensor, Cache]:
        """Feed one token per beam.

        Args:
            tokens: [P, W] the last token of each beam.
            memory: Memory of the P pairs.
            cache: Cache of the positions before.
            pairs: [L] pairs whose states are returned, None for all.

        Returns:
            decoder states [L, W, D], and the cache one position longer.
        """
        hidden, grown = self._run(tokens.unsqueeze(-1), memory, cache)
        wanted = hidden if pairs is None or len(pairs) == len(hidden) else hidden[pairs]
        return wanted.squeeze(2).float(), grown

    def tree_states(self, tokens: Tensor, depths: Tensor, visible: Tensor, memory: Memory) -> Tensor:
        """Decoder states [P, N, D] of a token tree per pair.

        Args:
            tokens: [P, N] input token of each node.
            depths: [P, N] position of each.
            visible: [P, N, N] true where the row's node attends to the column's.
            memory: Memory of the P pairs.
        """
        tokens, depths, visible = tokens.unsqueeze(1), depths.unsqueeze(1), visible[:, None, None]
        return self._run(tokens, memory, Cache([], []), depths, visible)[0].squeeze(1).float()

    def _run(
        self,
        tokens: Tensor,
        memory: Memory,
        cache: Cache,
        depths: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, Cache]:
        """Decoder states [P, W, T, D] of T new tokens per beam; they follow each other unless depths and visible say
        otherwise."""
        start, length = cache.length, tokens.shape[-1]
        at = torch.arange(start, start + length, device=tokens.device) if depths is None else depths
        embedded = self.decoder.embed_tokens(tokens) + self.decoder.embed_positions.weight[at + POSITION_OFFSET]
        hidden = self.decoder.layernorm_embedding(embedded)
        grown = Cache([], [])
        for i, layer in enumerate(self.decoder.layers):
            past = (cache.keys[i], cache.values[i]) if cache.keys else None
            attended, keys, values = self._self_attention(layer.self_attn, hidden, past, visible)
            grown.keys.append(keys)
            grown.values.append(values)
            hidden = layer.self_attn_layer_norm(hidden + attended)
            crossed = self._cross_attention(layer.encoder_attn, hidden, memory)
            hidden = layer.encoder_attn_layer_norm(hidden + crossed)
            hidden = layer.final_layer_norm(hidden + layer.fc2(layer.activation_fn(layer.fc1(hidden))))
        return hidden, grown

    def _self_attention(
        self, attention: Any, hidden: Tensor, past: tuple[Tensor, Tensor] | None, visible: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        query, keys, values = (
            split_heads(f(hidden), self.heads) for f in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=3), torch.cat([past[1], values], dim=3)
        causal = past is None and visible is None and query.shape[3] > 1
        mixed = _attend(query, keys, values, visible, causal)
        return attention.out_proj(_merge(mixed)), keys, values

    def _cross_attention(self, attention: Any, hidden: Tensor, memory: Memory) -> Tensor:
        pairs, width, length, size = hidden.shape
        query = attention.q_proj(hidden).view(pairs, width * length, self.heads, -1)
        keys, values = (f.weight.view(self.heads, -1, size) for f in (attention.k_proj, attention.v_proj))
        asked = torch.einsum("plhc,hcd->plhd", query, keys).reshape(pairs, -1, size)
        scores = torch.baddbmm(memory.bias, asked, memory.states.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
        read = torch.bmm(scores.softmax(dim=-1), memory.states).view(pairs, -1, self.heads, size)
        mixed = torch.einsum("plhd,hcd->plhc", read, values).reshape(pairs, width, length, size)
        projected: Tensor = attention.out_proj(mixed + attention.v_proj.bias)
        return projected


def _attend(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None, causal: bool) -> Tensor:
    """Attention of [P, W, H, T, C]; torch's fused kernel takes four dimensions only."""
    mask = None if visible is None else visible.expand(*query.shape[:2], 1, *visible.shape[-2:]).flatten(0, 1)
    flat, flat_keys, flat_values = (part.flatten(0, 1) for part in (query, keys, values))
    mixed = F.scaled_dot_product_attention(flat, flat_keys, flat_values, attn_mask=mask, is_causal=causal)
    return mixed.view_as(query)


def _merge(states: Tensor) -> Tensor:
    """[..., H, T, C] -> [..., T, D]."""
    return states.transpose(-2, -3).flatten(-2)
