"""Many target sequences as one tree: what two of them share at their beginning is computed once.

A node is a prefix (the root is the start token alone), an edge the token that is scored after it. N nodes are fed to
the decoder as one sequence in which each attends to its ancestors only, so nothing is padded.

log p(y|x,z) of many target sequences under many pairs, those of several questions in one packed forward.

Every pair has the token tree of its question. The decoder runs over all nodes; the vocabulary, which costs more than
the decoder, only over nodes that a sequence asked for passes through. Trees, and which of their nodes are used, are
known to the host (numpy); states and log-probs are on the model's device, which is asked for nothing but the scores.

Shapes: P pairs, G trees, N nodes, E edges and C sequences of the largest tree, D state size, S source tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rag_lightning.generator.steps import Memory, Steps

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TokenTree:
    """C sequences with N distinct proper prefixes and E distinct prefixes of length one and more.

    Attributes:
        tokens: [N] what is fed at each node.
        depths: [N] its position, 0 for the root.
        ancestors: [N, N] true where the column is the row's node or one before it.
        edge_nodes: [E] the node an edge leaves.
        edge_tokens: [E] the token scored there.
        paths: [C, E] 1 where the edge belongs to the sequence, else 0; float32.
    """

    tokens: Ints
    depths: Ints
    ancestors: NDArray[np.bool_]
    edge_nodes: Ints
    edge_tokens: Ints
    paths: NDArray[np.float32]

    @classmethod
    def of(cls, sequences: Sequence[tuple[int, ...]], start_id: int) -> TokenTree:
        """The tree of sequences of at least one token each.

        Raises:
            ValueError: no sequences, or an empty one.
        """
        if not sequences or not all(sequences):
            raise ValueError("a token tree needs sequences of at least one token")
        prefixes = list(dict.fromkeys(s[:length] for s in sequences for length in range(len(s))))
        edges = list(dict.fromkeys(s[:length] for s in sequences for length in range(1, len(s) + 1)))
        node_of = {prefix: i for i, prefix in enumerate(prefixes)}
        edge_of = {edge: i for i, edge in enumerate(edges)}
        ancestors = np.zeros((len(prefixes), len(prefixes)), dtype=np.bool_)
        for i, prefix in enumerate(prefixes):
            ancestors[i, [node_of[prefix[:length]] for length in range(len(prefix) + 1)]] = True
        paths = np.zeros((len(sequences), len(edges)), dtype=np.float32)
        for i, sequence in enumerate(sequences):
            paths[i, [edge_of[sequence[:length]] for length in range(1, len(sequence) + 1)]] = 1.0
        return cls(
            tokens=np.array([prefix[-1] if prefix else start_id for prefix in prefixes]),
            depths=np.array([len(prefix) for prefix in prefixes]),
            ancestors=ancestors,
            edge_nodes=np.array([node_of[edge[:-1]] for edge in edges]),
            edge_tokens=np.array([edge[-1] for edge in edges]),
            paths=paths,
        )


POSITIONS = 1024
"""Approximate number of nodes in one forward pass, so that its activations stay in the processor's cache."""


def score(steps: Steps, trees: Sequence[TokenTree], owners: Ints, memory: Memory, asked: NDArray[np.bool_]) -> Tensor:
    """Score sequences under pairs.

    Args:
        steps: Step loop of the generator.
        trees: G trees.
        owners: [P] the tree of each pair.
        memory: Memory of the P pairs.
        asked: [P, C] true where the score of a sequence is computed.

    Returns:
        [P, C] float32 on the device of the memory, NaN where not asked for.
    """

    def there(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(memory.states.device)

    tokens, depths, ancestors, paths = (_stacked(trees, name) for name in ("tokens", "depths", "ancestors", "paths"))
    edge_nodes, edge_tokens = (_stacked(trees, name)[owners] for name in ("edge_nodes", "edge_tokens"))
    ancestors |= np.eye(ancestors.shape[-1], dtype=np.bool_)  # what fills a tree up sees itself, or it were NaN
    of_pair = there(owners)
    fed, at, seen = (there(part)[of_pair] for part in (tokens, depths, ancestors))
    states = steps.tree_states(fed, at, seen, memory)
    wanted = np.matmul(asked[:, None].astype(np.float32), paths[owners])[:, 0] > 0
    pairs, edges = wanted.nonzero()
    nodes = edge_nodes[pairs, edges]
    used = np.zeros(states.shape[:2], dtype=np.bool_)
    used[pairs, nodes] = True
    number = np.cumsum(used).reshape(used.shape) - 1  # of a used node among those used
    sums = steps.vocabulary.logsumexp(states[tuple(map(there, used.nonzero()))])
    asked_of = there(edge_tokens[pairs, edges]).unsqueeze(-1)
    logits = steps.vocabulary.logits(states[there(pairs), there(nodes)], asked_of).squeeze(-1)
    log_probs = torch.zeros(wanted.shape, device=states.device)
    log_probs[there(pairs), there(edges)] = logits - sums[there(number[pairs, nodes])]
    return torch.einsum("pe,pce->pc", log_probs, there(paths)[of_pair]).masked_fill(there(~asked), torch.nan)


def _stacked(trees: Sequence[TokenTree], name: str) -> NDArray[Any]:
    """One field of all trees, filled up with 0 to the largest."""
    fields: list[NDArray[Any]] = [getattr(tree, name) for tree in trees]
    sizes = [max(lengths) for lengths in zip(*(field.shape for field in fields), strict=True)]
    stacked = np.zeros((len(fields), *sizes), dtype=fields[0].dtype)
    for row, field in zip(stacked, fields, strict=True):
        row[tuple(slice(size) for size in field.shape)] = field
    return stacked
