"""log p(y|x,z) of many target sequences under many pairs, those of several questions in one packed forward.

Every pair has the token tree of its question. The decoder runs over all nodes; the vocabulary, which costs more than
the decoder, only over nodes that a sequence asked for passes through.

Shapes: P pairs, G trees, N nodes, E edges and C sequences of the largest tree, D state size, S source tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.generator.bart_steps import Memory
from rag_lightning.generator.protocol import Steps
from rag_lightning.generator.token_tree import TokenTree

POSITIONS = 1024
"""Nodes of all pairs in one forward pass, about: what is computed of them then stays in the processor's cache."""


def score(steps: Steps, trees: Sequence[TokenTree], owners: Tensor, memory: Memory, asked: Tensor) -> Tensor:
    """Score sequences under pairs.

    Args:
        steps: Of the generator.
        trees: G trees.
        owners: [P] the tree of each pair.
        memory: Of the P pairs.
        asked: [P, C] true where the score of a sequence is wanted.

    Returns:
        [P, C] float32, NaN where not asked for.
    """
    tokens, depths, ancestors = (_stacked(trees, name) for name in ("tokens", "depths", "ancestors"))
    edge_nodes, edge_tokens, paths = (_stacked(trees, name)[owners] for name in ("edge_nodes", "edge_tokens", "paths"))
    ancestors |= torch.eye(ancestors.shape[-1], dtype=torch.bool)  # what fills a tree up sees itself, or it were NaN
    states = steps.tree_states(tokens[owners], depths[owners], ancestors[owners], memory)
    wanted = torch.einsum("pc,pce->pe", asked.float(), paths) > 0
    pairs, edges = wanted.nonzero(as_tuple=True)
    nodes = edge_nodes[pairs, edges]
    used = torch.zeros(states.shape[:2], dtype=torch.bool)
    used[pairs, nodes] = True
    sums = torch.zeros(used.shape)
    sums[used] = steps.vocabulary.logsumexp(states[used])
    log_probs = torch.zeros(wanted.shape)
    logits = steps.vocabulary.logits(states[pairs, nodes], edge_tokens[pairs, edges].unsqueeze(-1))
    log_probs[pairs, edges] = logits.squeeze(-1) - sums[pairs, nodes]
    return torch.einsum("pe,pce->pc", log_probs, paths).masked_fill(~asked, torch.nan)


def _stacked(trees: Sequence[TokenTree], name: str) -> Tensor:
    """One field of all trees, filled up with 0 to the largest."""
    fields: list[Tensor] = [getattr(tree, name) for tree in trees]
    sizes = [max(lengths) for lengths in zip(*(field.shape for field in fields), strict=True)]
    stacked = torch.zeros((len(fields), *sizes), dtype=fields[0].dtype)
    for row, field in zip(stacked, fields, strict=True):
        row[tuple(slice(size) for size in field.shape)] = field
    return stacked
