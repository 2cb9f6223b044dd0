"""RAG-Token decoding: beam search on p'(y_i|x,y_<i) = sum_z p(z|x) p(y_i|x,z,y_<i) (paper section 2.5).

The passages of a question are coupled at every token, so the search depends on k; the encodings do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.decoding.beam import Finished, Moves, beam_search
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_steps import PairSteps
from rag_lightning.generator.inputs import Pair


@torch.inference_mode()
def decode(
    encodings: Encodings,
    questions: Sequence[Sequence[Pair]],
    doc_log_probs: Tensor,
    *,
    num_beams: int,
    max_length: int,
) -> list[list[Finished]]:
    """Decode a batch of questions; closed book is K = 1 with log p(z|x) = 0.

    Args:
        questions: B lists of at most K pairs.
        doc_log_probs: [B, K]; -inf where a question has fewer pairs.
        num_beams: 1 is greedy.
        max_length: tokens at most, end included.

    Returns:
        For each question its hypotheses, best first, with the true log p(y|x).
    """
    batch, k = doc_log_probs.shape
    filled = [[*pairs, *[pairs[0]] * (k - len(pairs))] for pairs in questions]
    keys, rows = encodings.keys([pair for pairs in filled for pair in pairs])
    memory = encodings.memory(keys, rows)
    priors = doc_log_probs.float().view(batch, k, 1, 1)
    search = PairSteps(encodings.steps, memory, together=k)

    def step(tokens: Tensor, moves: Moves | None) -> Tensor:
        nonlocal priors
        if moves is not None and moves.items is not None:
            priors = priors[moves.items]
        log_probs = search.step(tokens, moves)
        return torch.logsumexp(log_probs.view(-1, k, *log_probs.shape[1:]) + priors, dim=1)

    generator = encodings.generator
    return beam_search(
        step, batch, width=num_beams, max_length=max_length, start_id=generator.start_id, eos_id=generator.eos_id
    )
