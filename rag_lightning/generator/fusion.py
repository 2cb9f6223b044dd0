"""Fusion in decoder, FiD (Izacard and Grave 2020, https://arxiv.org/abs/2007.01282): p(y | x, z_1, ..., z_K).

Every (query, passage) pair is encoded by itself, as in RAG; the decoder attends to the encoder states of all pairs of a
question in a row. There is no p(z|x), so no posterior over passages and no gradient for a retriever. Padding is left
out, not only masked: the states of a question are its tokens.

Shapes: B questions, P pairs, S source tokens of a pair, L tokens of a question, D state size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rag_lightning.core.errors import ConfigError


def fused_lengths(sources: Sequence[Sequence[Sequence[int]]], limit: int) -> list[int]:
    """Tokens of each question, all of its pairs together.

    Args:
        sources: Rows of ids of the pairs of each question.
        limit: `generator.max_fused_length`.

    Raises:
        ConfigError: a question has more tokens than the limit.
    """
    lengths = [sum(map(len, rows)) for rows in sources]
    if lengths and max(lengths) > limit:
        at = max(range(len(lengths)), key=lengths.__getitem__)
        raise ConfigError(
            f"generator.max_fused_length={limit}: a question has {lengths[at]} tokens in {len(sources[at])} passages "
            "together; lower k (train.k, decoding.k) or generator.max_source_length, or raise it"
        )
    return lengths


def fuse(states: Tensor, lengths: Sequence[int], counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """States of pairs, one question after the other, to states of questions.

    Args:
        states: [P, S, D] encoder states, padded.
        lengths: Tokens of each of the P pairs.
        counts: Pairs of each of B questions, together P.

    Returns:
        [B, L, D] states of a question's tokens in the order of its pairs, zeros after the last; and their mask [B, L].
    """
    sizes = np.array(lengths)
    questions = np.add.reduceat(sizes, np.cumsum([0, *counts[:-1]]))
    kept, real = (np.arange(n.max()) < n[:, None] for n in (questions, sizes))
    there, here = (torch.from_numpy(np.flatnonzero(at)).to(states.device) for at in (kept, real))
    fused = states.new_zeros((kept.size, states.shape[-1]))
    fused[there] = states[:, : real.shape[1]].flatten(0, 1)[here]
    return fused.view(*kept.shape, -1), torch.from_numpy(kept).to(states.device).long()
