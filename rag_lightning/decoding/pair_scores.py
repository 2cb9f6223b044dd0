"""The scores of Thorough: the candidates of a question under the passages that did not produce them.

Pairs of all questions are packed by the size of their token trees, so neither a small question nor a small k leaves the
processor waiting.

The decoder states of a batch of pairs while a beam search runs over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rag_lightning.decoding.beam import Moves
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator import token_tree
from rag_lightning.generator.seq2seq import token_batches
from rag_lightning.generator.steps import Cache, Memory, Steps
from rag_lightning.generator.token_tree import TokenTree

Candidate = tuple[int, ...]


@dataclass(frozen=True)
class Wanted:
    """A pair and the candidates of its question; two questions may share a pair.

    Attributes:
        key: Key of the pair.
        row: Its encoded input ids.
        candidates: Token sequences.
    """

    key: str
    row: Sequence[int]
    candidates: tuple[Candidate, ...]


def complete(
    encodings: Encodings, wanted: Sequence[Wanted], scores: dict[str, dict[Candidate, float]], store: PairStore
) -> None:
    """Compute log p(y|x,z) of what is wanted and not in `scores` yet, and add it there and to the store.

    Args:
        encodings: Encodings of the generator.
        wanted: Pairs in any order.
        scores: Pair -> its scores computed so far; extended in place.
        store: Receives the new scores too.
    """
    short = [to_score for w in wanted if (to_score := _short(w, scores[w.key])).candidates]
    start = encodings.generator.start_id
    trees = {candidates: TokenTree.of(candidates, start) for candidates in {w.candidates for w in short}}
    sizes = [len(trees[w.candidates].tokens) for w in short]
    for group in token_batches(sizes, token_tree.POSITIONS):
        here = [short[i] for i in group]
        for pair, new in zip(here, _scored(encodings, here, trees, scores), strict=True):
            store.add_scores(pair.key, new)
            scores[pair.key] = new | scores[pair.key]


def _short(w: Wanted, scored: Mapping[Candidate, float]) -> Wanted:
    """The pair with a tree's candidates: all, which the pairs of a question share, or where few are missing those."""
    missing = tuple(c for c in w.candidates if c not in scored)
    return w if 2 * len(missing) > len(w.candidates) else replace(w, candidates=missing)


def _scored(
    encodings: Encodings,
    pairs: Sequence[Wanted],
    trees: Mapping[tuple[Candidate, ...], TokenTree],
    scores: Mapping[str, Mapping[Candidate, float]],
) -> list[dict[Candidate, float]]:
    """The missing scores of each pair."""
    own = list(dict.fromkeys(w.candidates for w in pairs))
    number = {candidates: i for i, candidates in enumerate(own)}
    asked = np.zeros((len(pairs), max(map(len, own))), dtype=np.bool_)
    for row, w in zip(asked, pairs, strict=True):
        row[: len(w.candidates)] = [c not in scores[w.key] for c in w.candidates]
    memory = encodings.memory([w.key for w in pairs], [w.row for w in pairs])
    owners = np.array([number[w.candidates] for w in pairs])
    found = token_tree.score(encodings.steps, [trees[c] for c in own], owners, memory, asked).tolist()
    return [
        {c: value for c, value, new in zip(w.candidates, values, row, strict=False) if new}
        for w, values, row in zip(pairs, found, asked.tolist(), strict=True)
    ]


SHRINK_AT = 0.75
"""Keys and values of pairs that have left are let go once this share or less is live: copying them is not free."""


class PairSteps:
    """Steps of N * K pairs, K of them (those of one question) moving together.

    Args:
        steps: Step loop of the generator.
        memory: Memory of the N * K pairs.
        together: Pairs of a question, K.
    """

    def __init__(self, steps: Steps, memory: Memory, together: int = 1) -> None:
        self._steps, self._memory, self._together = steps, memory, together
        self._cache = Cache([], [])
        self._rows = torch.arange(memory.pairs, device=memory.states.device)

    def step(self, tokens: Tensor, moves: Moves | None) -> Tensor:
        """Last tokens [N, W] -> states under each pair [N, K, W, D]; the vocabulary reads the next token from them."""
        if moves is not None:
            self._move(moves)
        fed = tokens.new_zeros((self._memory.pairs, tokens.shape[1]))
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
            self._rows = torch.arange(self._memory.pairs, device=parents.device)
        width = parents.shape[1]
        if width > 1:
            everyone = parents.new_zeros((self._memory.pairs, width))
            everyone[self._rows] = parents
            self._cache = self._cache.reorder(everyone)
