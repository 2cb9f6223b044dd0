"""Opens generators by the model type of their folder, and starts a warm-started decoder so that it can copy.

A folder holds a BART (or a BERT that becomes one) or a Llama.

An encoder that was trained for sentence vectors no longer holds its tokens in the space of the word embeddings, and a
decoder whose cross-attention was copied from self-attention needs hundreds of steps to find the way back. That way is
nearly linear: a ridge regression from encoder states to the embeddings of their tokens. It becomes the value and output
projection of the last cross-attention, so that the decoder writes the tokens it attends to from its first step on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rag_lightning.checkpoints.rag_layout import model_type
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.generator.inputs import Pair, pad_ids
from rag_lightning.generator.seq2seq import Seq2SeqGenerator, token_batches

Writer = Seq2SeqGenerator | CausalGenerator


def create_generator(config: GeneratorConfig, source: str | Path) -> Writer:
    """A generator before any training.

    Raises:
        AssetError: not there, unreadable, or only as pickle.
        ConfigError: another kind of model, or settings it cannot have.
    """
    if config.init != "warm_start" and model_type(source) == "llama":
        return CausalGenerator.load(source, config)
    return Seq2SeqGenerator.create(config, source)


def load_generator(folder: Path, config: GeneratorConfig) -> Writer:
    """A generator that was saved by its `save`."""
    family = CausalGenerator if model_type(folder) == "llama" else Seq2SeqGenerator
    return family.load(folder, config)


RIDGE = 1e-4
"""Penalty for each fitted state: enough to keep the solution finite."""
TOKENS_PER_FORWARD = 8192


@torch.no_grad()
def start_copying(generator: Seq2SeqGenerator, pairs: Sequence[Pair], scale: float) -> float:
    """Set the last decoder layer's cross-attention so that it writes the tokens it attends to.

    Args:
        generator: The generator, changed in place; its dropout is off while states are computed.
        pairs: Texts the map is fitted on; the last tenth only measures it.
        scale: Factor of the output projection.

    Returns:
        The share of held-out tokens that the map alone gives back, 0 to 1.
    """
    states, tokens = _states(generator, pairs)
    states, tokens = states.cpu(), tokens.cpu()  # float64 is slow on a GPU, or not there
    embeddings = generator.model.model.shared.weight.cpu().double()
    wanted = embeddings - embeddings.mean(dim=0)
    ones = torch.ones(len(states), 1, dtype=torch.float64, device=states.device)
    inputs = torch.cat([states.double(), ones], dim=1)
    fitted = max(len(inputs) * 9 // 10, 1)
    solution = ridge(inputs[:fitted], wanted[tokens[:fitted]])
    attention = generator.model.model.decoder.layers[-1].encoder_attn
    attention.v_proj.weight.copy_(solution[:-1].T.float())
    attention.v_proj.bias.copy_(solution[-1].float())
    attention.out_proj.weight.copy_(torch.eye(len(solution) - 1, device=states.device) * scale)
    attention.out_proj.bias.zero_()
    unit = torch.nn.functional.normalize(wanted, dim=-1)
    hits = ((inputs[fitted:] @ solution) @ unit.T).argmax(dim=-1) == tokens[fitted:]
    return float(hits.double().mean()) if len(hits) else 0.0


def ridge(inputs: Tensor, outputs: Tensor) -> Tensor:
    """[N, I] and [N, O] -> [I, O] that minimises the squared error plus RIDGE * N times the squared weights."""
    penalty = RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
    solution: Tensor = torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ outputs)
    return solution


def _states(generator: Seq2SeqGenerator, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Encoder states [N, D] of all ordinary tokens of the pairs, and the tokens [N]."""
    was_training = generator.training
    generator.eval()
    rows = generator.source_ids(pairs)
    device = generator.model.device
    special = torch.tensor(generator.tokenizer.all_special_ids, device=device)
    states, tokens = [], []
    for group in token_batches([len(row) for row in rows], TOKENS_PER_FORWARD):
        ids, mask = pad_ids([rows[i] for i in group], generator.pad_id, device)
        hidden = generator.model.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        kept = mask.bool() & ~torch.isin(ids, special)
        states.append(hidden[kept])
        tokens.append(ids[kept])
    generator.train(was_training)
    return torch.cat(states), torch.cat(tokens)
