"""The interface between decoding and a generator, seq2seq or decoder-only: what the step loop reads and what it keeps.

Shapes: P pairs, W width (beams or candidates of a pair), S source tokens, T target tokens, H heads, C head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.generator.heads import Classes
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.vocabulary import Vocabulary


@dataclass
class Memory:
    """Encoder states [P, S, D] and the additive mask [P, 1, S]."""

    states: Tensor
    bias: Tensor

    @classmethod
    def of(cls, states: Tensor, mask: Tensor) -> Memory:
        """The memory of states [P, S, D] with their mask [P, S] (1 = token)."""
        bias = torch.zeros(mask.shape, dtype=states.dtype, device=states.device)
        return cls(states, bias.masked_fill(mask == 0, torch.finfo(states.dtype).min).unsqueeze(1))

    @property
    def pairs(self) -> int:
        """Number of pairs P."""
        return self.states.shape[0]

    def select(self, pairs: Tensor) -> Memory:
        """The memory of some pairs."""
        return Memory(self.states[pairs], self.bias[pairs])


@dataclass
class Cache:
    """Self-attention keys and values per layer, each [P, W, H, t, C]; grows by one position a step."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def length(self) -> int:
        """Number of positions stored."""
        return self.keys[0].shape[3] if self.keys else 0

    def select(self, pairs: Tensor) -> Cache:
        """The cache of some pairs."""
        return Cache([k[pairs] for k in self.keys], [v[pairs] for v in self.values])

    def reorder(self, parents: Tensor) -> Cache:
        """Beam w continues beam parents[p, w] of the same pair; parents [P, W']."""
        row = torch.arange(parents.shape[0], device=parents.device).unsqueeze(1)
        return Cache([k[row, parents] for k in self.keys], [v[row, parents] for v in self.values])


class Steps(Protocol):
    """The step loop of a model family; shapes as in BartSteps.

    Attributes:
        dtype: Type of memories.
        vocabulary: Reads the distribution of the next token from states.
    """

    dtype: torch.dtype
    vocabulary: Vocabulary

    def memory(self, states: Tensor, mask: Tensor) -> Memory:
        """The memory that all steps and beams of P pairs read, from states [P, S, …] and their mask [P, S]."""

    def states(self, inputs: Tensor, memory: Memory) -> Tensor:
        """Final states [P, W, T, D] of inputs [P, W, T]."""

    def step(self, tokens: Tensor, memory: Memory, cache: Cache, pairs: Tensor | None = None) -> tuple[Tensor, Cache]:
        """One token per beam [P, W] -> states [L, W, D], and the longer cache."""

    def tree_states(self, tokens: Tensor, depths: Tensor, visible: Tensor, memory: Memory) -> Tensor:
        """States [P, N, D] of a token tree per pair."""


class Generator(Protocol):
    """p(y | x, z).

    Attributes:
        model: The transformers model.
        tokenizer: Its tokenizer.
        config: Template and lengths.
        start_id: Start token, fed first and never scored.
        eos_id: End token of a target, scored.
        pad_id: Padding, never attended.
        classes: Label tokens or class head of a classification task, None where it writes text.
    """

    model: Any
    tokenizer: Any
    config: GeneratorConfig
    start_id: int
    eos_id: int
    pad_id: int
    classes: Classes | None

    def source_ids(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """Encoded input of each pair."""

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Scored tokens of each target."""

    def token_log_probs(
        self, sources: Sequence[Sequence[int]], targets: Tensor, smooth: bool = False, scored: Tensor | None = None
    ) -> Any:
        """Teacher-forced log p(y_t | x, z, y_<t) [P, T], with gradient, where a token is scored."""

    def steps(self, dtype: torch.dtype) -> Steps:
        """Its step loop, in the given type where the model family supports it."""

    def frozen_encoder(self, dtype: torch.dtype) -> Any:
        """The encoder from source ids to the states that `Steps.memory` takes, without gradient."""

    def eval(self) -> Any:
        """Turn dropout off."""


def split_heads(states: Tensor, heads: int) -> Tensor:
    """[..., T, D] -> [..., H, T, C]."""
    return states.view(*states.shape[:-1], heads, -1).transpose(-2, -3)
