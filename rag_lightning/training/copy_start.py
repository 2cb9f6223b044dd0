"""A warm-started decoder that can write what it attends to from its first step on.

An encoder that was trained for sentence vectors no longer holds its tokens in the space of the word embeddings, and a
decoder whose cross-attention was copied from self-attention needs hundreds of steps to find the way back. That way is
nearly linear: a ridge regression from encoder states to the embeddings of their tokens. It becomes the value and output
projection of the last cross-attention, so that attending to a position writes its token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.generator.inputs import Pair, pad_ids
from rag_lightning.generator.seq2seq import Seq2SeqGenerator, token_batches

RIDGE = 1e-4
"""Penalty for each fitted state: enough to keep the solution finite."""
TOKENS_PER_FORWARD = 8192


@torch.no_grad()
def start_copying(generator: Seq2SeqGenerator, pairs: Sequence[Pair], scale: float) -> float:
    """Set the last decoder layer's cross-attention so that it writes the tokens it attends to.

    Args:
        generator: changed in place; its dropout is off while states are computed.
        pairs: texts the map is fitted on; the last tenth only measures it.
        scale: factor on what is written.

    Returns:
        The share of held-out tokens that the map alone gives back, 0 to 1.
    """
    states, tokens = _states(generator, pairs)
    embeddings = generator.model.model.shared.weight.double()
    wanted = embeddings - embeddings.mean(dim=0)
    inputs = torch.cat([states.double(), torch.ones(len(states), 1, dtype=torch.float64)], dim=1)
    fitted = max(len(inputs) * 9 // 10, 1)
    solution = ridge(inputs[:fitted], wanted[tokens[:fitted]])
    attention = generator.model.model.decoder.layers[-1].encoder_attn
    attention.v_proj.weight.copy_(solution[:-1].T)
    attention.v_proj.bias.copy_(solution[-1])
    attention.out_proj.weight.copy_(torch.eye(len(solution) - 1) * scale)
    attention.out_proj.bias.zero_()
    unit = torch.nn.functional.normalize(wanted, dim=-1)
    hits = ((inputs[fitted:] @ solution) @ unit.T).argmax(dim=-1) == tokens[fitted:]
    return float(hits.double().mean()) if len(hits) else 0.0


def ridge(inputs: Tensor, outputs: Tensor) -> Tensor:
    """[N, I] and [N, O] -> [I, O] that minimises the squared error plus RIDGE * N times the squared weights."""
    penalty = RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    solution: Tensor = torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ outputs)
    return solution


def _states(generator: Seq2SeqGenerator, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Encoder states [N, D] of all ordinary tokens of the pairs, and the tokens [N]."""
    was_training = generator.training
    generator.eval()
    rows = generator.source_ids(pairs)
    special = torch.tensor(generator.tokenizer.all_special_ids)
    states, tokens = [], []
    for group in token_batches([len(row) for row in rows], TOKENS_PER_FORWARD):
        ids, mask = pad_ids([rows[i] for i in group], generator.pad_id)
        hidden = generator.model.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        kept = mask.bool() & ~torch.isin(ids, special)
        states.append(hidden[kept])
        tokens.append(ids[kept])
    generator.train(was_training)
    return torch.cat(states), torch.cat(tokens)
