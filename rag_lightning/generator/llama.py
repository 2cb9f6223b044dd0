"""Llama's decoder, one step at a time and all beams of a prompt together.

The keys and values of a prompt are computed once and stored once per (query, passage) pair; its W beams (or the nodes
of a token tree) attend them without a copy, beside their own short cache of generated positions. Only that short cache
is reordered. Works on the public submodules of `LlamaModel`; checked against its forward in tests/parity.

A prompt is stored as one vector a position: keys (rotated for their position) and values of all layers, so that it is
held, padded and selected as encoder states are.

Shapes: P pairs, W width (beams of a pair), S prompt tokens, T target tokens, L layers, H heads, G key/value heads,
C head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.steps import Cache, Memory, split_heads
from rag_lightning.generator.vocabulary import Vocabulary

ROPE_TYPES = ("default", "linear", "llama3")
"""Rotations that depend on the position alone, not on how long the sequence has become."""


@dataclass(frozen=True)
class PromptStates:
    """States of a batch of prompts: `last_hidden_state` [P, S, L * 2 * G * C], named as an encoder's output is."""

    last_hidden_state: Tensor


class PromptEncoder:
    """The forward pass over prompts.

    Args:
        model: LlamaModel, without its head.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> PromptStates:
        """Keys and values of right-padded prompts [P, S] with their mask [P, S], in float32."""
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=True)
        layers = [torch.stack([layer.keys, layer.values]) for layer in output.past_key_values.layers]
        packed = torch.stack(layers).permute(2, 4, 0, 1, 3, 5)  # [L, 2, P, G, S, C] -> [P, S, L, 2, G, C]
        return PromptStates(packed.flatten(2).float())


class LlamaSteps:
    """The step loop over a `LlamaForCausalLM`, in float32 and without dropout; the interface is BartSteps'.

    Args:
        model: The model, in eval mode.
        dtype: Type of the products over the vocabulary, and of no other.

    Raises:
        ConfigError: rotary positions that depend on the length of the sequence.
    """

    dtype = torch.float32

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        kind = (model.config.rope_parameters or {}).get("rope_type", "default")
        if kind not in ROPE_TYPES:
            raise ConfigError(f"generator: rope_type={kind!r} is not supported; known: {', '.join(ROPE_TYPES)}")
        self.model = model
        self.heads: int = model.config.num_attention_heads
        self.groups: int = model.config.num_key_value_heads
        self.vocabulary = Vocabulary(model.lm_head.weight, dtype=dtype)

    def memory(self, states: Tensor, mask: Tensor) -> Memory:
        """Prompt states [P, S, L * 2 * G * C] with their mask [P, S], for all steps and beams."""
        return Memory.of(states, mask)

    def states(self, inputs: Tensor, memory: Memory) -> Tensor:
        """Final states [P, W, T, D] of W continuations [P, W, T] per prompt."""
        return self._run(inputs, memory, Cache([], []))[0]

    def step(self, tokens: Tensor, memory: Memory, cache: Cache, pairs: Tensor | None = None) -> tuple[Tensor, Cache]:
        """Feed one token per beam.

        Args:
            tokens: [P, W] the last token of each beam.
            memory: Memory of the P prompts.
            cache: Cache of the positions generated before.
            pairs: [N] prompts whose states are returned, None for all.

        Returns:
            final states [N, W, D], and the cache one position longer.
        """
        hidden, grown = self._run(tokens.unsqueeze(-1), memory, cache)
        wanted = hidden if pairs is None else hidden[pairs]
        return wanted.squeeze(2), grown

    def tree_states(self, tokens: Tensor, depths: Tensor, visible: Tensor, memory: Memory) -> Tensor:
        """Final states [P, N, D] of a token tree per prompt; arguments as in BartSteps."""
        visible = visible[:, None, None, None]
        return self._run(tokens.unsqueeze(1), memory, Cache([], []), depths, visible)[0].squeeze(1)

    def _run(
        self,
        tokens: Tensor,
        memory: Memory,
        cache: Cache,
        depths: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> tuple[Tensor, Cache]:
        """Final states [P, W, T, D] of T new tokens per beam; they follow each other unless depths and visible say
        otherwise."""
        start, length = cache.length, tokens.shape[-1]
        if depths is None:
            depths = torch.arange(start, start + length, device=tokens.device)
        if visible is None:
            visible = torch.ones((length, start + length), dtype=torch.bool, device=tokens.device).tril(start)
        hidden = self.model.model.embed_tokens(tokens)
        prompt_length = (memory.bias[:, 0] == 0).sum(-1, keepdim=True)
        cos, sin = self.model.model.rotary_emb(hidden, position_ids=prompt_length + depths)
        turn = (cos[:, None, None], sin[:, None, None])  # [P, 1, 1, T, C]
        prompts = self._prompts(memory)
        grown = Cache([], [])
        for i, layer in enumerate(self.model.model.layers):
            past = (cache.keys[i], cache.values[i]) if cache.keys else None
            query, keys, values = self._projected(layer.self_attn, layer.input_layernorm(hidden), turn, past)
            grown.keys.append(keys)
            grown.values.append(values)
            mixed = _attend(query, (prompts[i, 0], prompts[i, 1]), (keys, values), memory.bias, visible)
            hidden = hidden + layer.self_attn.o_proj(mixed)
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        return self.model.model.norm(hidden), grown

    def _prompts(self, memory: Memory) -> Tensor:
        """[L, 2, P, G, S, C], a view of the memory."""
        pairs, length, _ = memory.states.shape
        layers = self.model.config.num_hidden_layers
        return memory.states.view(pairs, length, layers, 2, self.groups, -1).permute(2, 3, 0, 4, 1, 5)

    def _projected(
        self, attention: Any, hidden: Tensor, turn: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [P, W, H, T, C], keys and values [P, W, G, t, C] of all generated positions."""
        query = _rotate(split_heads(attention.q_proj(hidden), self.heads), turn)
        keys = _rotate(split_heads(attention.k_proj(hidden), self.groups), turn)
        values = split_heads(attention.v_proj(hidden), self.groups)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=3), torch.cat([past[1], values], dim=3)
        return query, keys, values


def _attend(
    query: Tensor, prompt: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor], bias: Tensor, visible: Tensor
) -> Tensor:
    """One softmax over a prompt all beams share and each beam's own positions.

    Args:
        query: [P, W, H, T, C].
        prompt: keys and values [P, G, S, C].
        own: keys and values [P, W, G, t, C].
        bias: [P, 1, S] additive, of the prompt.
        visible: [T, t], or [P, 1, 1, 1, T, t]: which own positions each new one sees.

    Returns:
        [P, W, T, H * C].
    """
    pairs, width, heads, length, size = query.shape
    groups = prompt[0].shape[1]
    asked = query.view(pairs, width, groups, heads // groups, length, size) * size**-0.5
    to_prompt = torch.einsum("pwgrtc,pgsc->pwgrts", asked, prompt[0]) + bias[:, :, None, None, None]
    to_own = torch.einsum("pwgrtc,pwguc->pwgrtu", asked, own[0]).masked_fill(~visible, -torch.inf)
    weights = torch.cat([to_prompt, to_own], dim=-1).softmax(dim=-1)
    read, kept = torch.split(weights, [to_prompt.shape[-1], to_own.shape[-1]], dim=-1)
    mixed = torch.einsum("pwgrts,pgsc->pwgrtc", read, prompt[1]) + torch.einsum("pwgrtu,pwguc->pwgrtc", kept, own[1])
    return mixed.reshape(pairs, width, heads, length, size).transpose(2, 3).flatten(3)


def _rotate(states: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (Su et al. 2021), the halves of a head paired as Llama pairs them."""
    left, right = states.chunk(2, dim=-1)
    return states * turn[0] + torch.cat([-right, left], dim=-1) * turn[1]
