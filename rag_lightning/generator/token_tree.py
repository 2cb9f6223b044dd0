"""Many target sequences as one tree: what two of them share at their beginning is computed once.

A node is a prefix (the root is the start token alone), an edge the token that is scored after it. N nodes are fed to
the decoder as one sequence in which each attends to its ancestors only, so nothing is padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


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

    tokens: Tensor
    depths: Tensor
    ancestors: Tensor
    edge_nodes: Tensor
    edge_tokens: Tensor
    paths: Tensor

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
        ancestors = torch.zeros((len(prefixes), len(prefixes)), dtype=torch.bool)
        for i, prefix in enumerate(prefixes):
            ancestors[i, [node_of[prefix[:length]] for length in range(len(prefix) + 1)]] = True
        paths = torch.zeros((len(sequences), len(edges)))
        for i, sequence in enumerate(sequences):
            paths[i, [edge_of[sequence[:length]] for length in range(1, len(sequence) + 1)]] = 1.0
        return cls(
            tokens=torch.tensor([prefix[-1] if prefix else start_id for prefix in prefixes]),
            depths=torch.tensor([len(prefix) for prefix in prefixes]),
            ancestors=ancestors,
            edge_nodes=torch.tensor([node_of[edge[:-1]] for edge in edges]),
            edge_tokens=torch.tensor([edge[-1] for edge in edges]),
            paths=paths,
        )
