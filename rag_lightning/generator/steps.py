"""What decoding asks of any generator, seq2seq or decoder-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.generator.bart import Cache, Memory
from rag_lightning.generator.heads import Classes
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.vocabulary import Vocabulary


class Steps(Protocol):
    """The step loop of a model family; shapes as in BartSteps.

    Attributes:
        dtype: Of memories.
        vocabulary: Reads the distribution of the next token from states.
    """

    dtype: torch.dtype
    vocabulary: Vocabulary

    def memory(self, states: Tensor, mask: Tensor) -> Memory:
        """What all steps and beams of P pairs read, from states [P, S, …] and their mask [P, S]."""

    def states(self, inputs: Tensor, memory: Memory) -> Tensor:
        """Final states [P, W, T, D] of inputs [P, W, T]."""

    def step(self, tokens: Tensor, memory: Memory, cache: Cache, pairs: Tensor | None = None) -> tuple[Tensor, Cache]:
        """One token per beam [P, W] -> states [L, W, D], and the longer cache."""

    def tree_states(self, tokens: Tensor, depths: Tensor, visible: Tensor, memory: Memory) -> Tensor:
        """States [P, N, D] of a token tree per pair."""


class Generator(Protocol):
    """p(y | x, z).

    Attributes:
        model: Of transformers.
        tokenizer: Its tokenizer.
        config: Template and lengths.
        start_id: Fed first, never scored.
        eos_id: Ends a target, scored.
        pad_id: Fills rows; never attended.
        classes: How it says a label, None where it writes text.
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
        """Its step loop, in the given type where the family's can be."""

    def frozen_encoder(self, dtype: torch.dtype) -> Any:
        """What turns source ids into the states `Steps.memory` takes, without gradient."""

    def eval(self) -> Any:
        """Turn dropout off."""
