"""The decoder states of a batch of pairs while a beam search runs over them."""

from __future__ import annotations

import torch
from torch import Tensor

from rag_lightning.decoding.beam import Moves
from rag_lightning.generator.bart_steps import Cache, Memory
from rag_lightning.generator.protocol import Steps

SHRINK_AT = 0.75
"""Keys and values of pairs that have left are let go once this share or less is live: copying them is not free."""


class PairSteps:
    """Steps of N * K pairs, K of them (those of one question) moving together.

    Args:
        steps: of the generator.
        memory: of the N * K pairs.
        together: K.
    """

    def __init__(self, steps: Steps, memory: Memory, together: int = 1) -> None:
        self._steps, self._memory, self._together = steps, memory, together
        self._cache = Cache([], [])
        self._rows = torch.arange(memory.pairs)

    def step(self, tokens: Tensor, moves: Moves | None) -> Tensor:
        """Last tokens [N, W] -> states under each pair [N, K, W, D]; the vocabulary reads the next token from them."""
        if moves is not None:
            self._move(moves)
        fed = torch.zeros((self._memory.pairs, tokens.shape[1]), dtype=torch.long)
        fed[self._rows] = tokens.repeat_interleave(self._together, dim=0)
        states, self._cache = self._steps.step(fed, self._memory, self._cache, self._rows)
        return states.view(-1, self._together, *states.shape[1:])

    def _move(self, moves: Moves) -> None:
        if moves.items is not None:
            self._rows = self._rows.view(-1, self._together)[moves.items].flatten()
        parents = moves.parents.repeat_interleave(self._together, dim=0)
        if len(self._rows) <= SHRINK_AT * self._memory.pairs:
            self._memory = self._memory.select(self._rows)
            self._cache = self._cache.select(self._rows)
            self._rows = torch.arange(self._memory.pairs)
        width = parents.shape[1]
        if width > 1:
            everyone = torch.zeros((self._memory.pairs, width), dtype=torch.long)
            everyone[self._rows] = parents
            self._cache = self._cache.reorder(everyone)
