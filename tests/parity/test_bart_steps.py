"""The step loop against BartForConditionalGeneration's own forward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rag_lightning.generator import token_tree
from rag_lightning.generator.bart import BartSteps
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.generator.steps import Cache, Memory
from rag_lightning.generator.token_tree import TokenTree

SOURCES = [[2, 4, 5, 3, 6, 6, 3], [2, 5, 3], [2, 6, 4, 4, 3]]
P, W, T = len(SOURCES), 2, 4


@pytest.fixture
def padded() -> tuple[Tensor, Tensor]:
    width = max(map(len, SOURCES))
    ids = torch.tensor([[*s, *[0] * (width - len(s))] for s in SOURCES])
    return ids, (torch.arange(width) < torch.tensor([[len(s)] for s in SOURCES])).long()


@pytest.fixture
def inputs() -> Tensor:
    """[P, W, T] decoder inputs, the start token first."""
    tokens = torch.randint(3, 7, (P, W, T), generator=torch.Generator().manual_seed(0))
    tokens[..., 0] = 2
    return tokens


def steps_and_memory(toy: Seq2SeqGenerator, padded: tuple[Tensor, Tensor]) -> tuple[BartSteps, Memory]:
    steps = toy.steps()
    hidden = toy.model.model.encoder(input_ids=padded[0], attention_mask=padded[1]).last_hidden_state
    return steps, steps.memory(hidden, padded[1])


def forward(toy: Seq2SeqGenerator, source: list[int], tokens: Tensor) -> Tensor:
    """log-probs [T, V] of one unpadded source and one beam, by the whole model."""
    logits = toy.model(input_ids=torch.tensor([source]), decoder_input_ids=tokens.unsqueeze(0)).logits
    return torch.log_softmax(logits[0], dim=-1)


@torch.inference_mode()
def test_steps_equal_the_forward_of_each_unpadded_pair(
    toy: Seq2SeqGenerator, padded: tuple[Tensor, Tensor], inputs: Tensor
) -> None:
    steps, memory = steps_and_memory(toy, padded)
    cache = Cache([], [])
    found = []
    for t in range(T):
        states, cache = steps.step(inputs[..., t], memory, cache)
        assert cache.length == t + 1
        found.append(steps.vocabulary.log_probs(states))
    for p, source in enumerate(SOURCES):
        for w in range(W):
            wanted = forward(toy, source, inputs[p, w])
            torch.testing.assert_close(torch.stack([f[p, w] for f in found]), wanted, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_scores_of_a_tree_equal_the_forward_of_each_sequence(
    toy: Seq2SeqGenerator, padded: tuple[Tensor, Tensor]
) -> None:
    steps, memory = steps_and_memory(toy, padded)
    sequences = [(4, 5, 3), (4, 5, 6, 3), (3,), (6, 3), (4, 3), (4, 5, 3), (5, 5, 5, 5)]
    tree = TokenTree.of(sequences, toy.start_id)
    assert (len(tree.tokens), len(tree.edge_tokens)) == (8, 13), "shared prefixes are there once"
    asked = np.ones((P, len(sequences)), dtype=np.bool_)
    found = token_tree.score(steps, [tree], np.zeros(P, dtype=np.int64), memory, asked)
    assert found.dtype == torch.float32 and found.shape == (len(SOURCES), len(sequences))
    for p, source in enumerate(SOURCES):
        for c, sequence in enumerate(sequences):
            row = torch.tensor(sequence)
            log_probs = forward(toy, source, torch.cat([torch.tensor([toy.start_id]), row[:-1]]))
            wanted = log_probs.gather(-1, row.unsqueeze(-1)).sum()
            torch.testing.assert_close(found[p, c], wanted, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_packed_trees_are_scored_as_each_alone_and_only_where_asked(
    toy: Seq2SeqGenerator, padded: tuple[Tensor, Tensor]
) -> None:
    steps, memory = steps_and_memory(toy, padded)
    trees = [TokenTree.of(s, toy.start_id) for s in ([(4, 5, 3), (4, 5, 6, 3), (6, 3)], [(3,), (5, 3)])]
    owners = np.array([0, 1, 0])
    asked = np.array([[True, False, True], [True, True, False], [False, True, False]])
    found = token_tree.score(steps, trees, owners, memory, asked)
    np.testing.assert_array_equal(found.isnan().numpy(), ~asked)
    for p, own in enumerate(owners.tolist()):
        count = len(trees[own].paths)
        alone = token_tree.score(
            steps,
            [trees[own]],
            np.zeros(1, dtype=np.int64),
            memory.select(torch.tensor([p])),
            np.ones((1, count), dtype=np.bool_),
        )
        torch.testing.assert_close(
            found[p][torch.from_numpy(asked[p])], alone[0][torch.from_numpy(asked[p, :count])], atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("sequences", [[], [(4,), ()]])
def test_a_tree_of_nothing_is_refused(sequences: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        TokenTree.of(sequences, 2)


@torch.inference_mode()
def test_reordered_beams_continue_their_parents(
    toy: Seq2SeqGenerator, padded: tuple[Tensor, Tensor], inputs: Tensor
) -> None:
    steps, memory = steps_and_memory(toy, padded)
    _, cache = steps.step(inputs[..., 0], memory, Cache([], []))
    _, cache = steps.step(inputs[..., 1], memory, cache)
    parents = torch.tensor([[1, 1], [0, 0], [1, 0]])
    states, _ = steps.step(inputs[..., 2], memory, cache.reorder(parents))
    log_probs = steps.vocabulary.log_probs(states)
    for p, source in enumerate(SOURCES):
        for w in range(W):
            tokens = torch.cat([inputs[p, int(parents[p, w]), :2], inputs[p, w, 2:3]])
            torch.testing.assert_close(log_probs[p, w], forward(toy, source, tokens)[-1], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_selection_of_pairs_gives_their_rows(
    toy: Seq2SeqGenerator, padded: tuple[Tensor, Tensor], inputs: Tensor
) -> None:
    steps, memory = steps_and_memory(toy, padded)
    whole, _ = steps.step(inputs[..., 0], memory, Cache([], []))
    chosen = torch.tensor([2, 0])
    part, _ = steps.step(inputs[chosen][..., 0], memory.select(chosen), Cache([], []))
    torch.testing.assert_close(part, whole[chosen], atol=1e-6, rtol=0)


@torch.inference_mode()
def test_training_forward_equals_the_models(toy: Seq2SeqGenerator) -> None:
    targets = torch.tensor([[4, 5, 3], [6, 3, 0], [3, 0, 0]])
    gathered, vocabulary = toy.token_log_probs(SOURCES, targets, smooth=True)
    torch.testing.assert_close(toy.token_log_probs(SOURCES, targets), gathered, rtol=0, atol=0)
    scored = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    alone = toy.token_log_probs(SOURCES, targets, scored=scored)
    torch.testing.assert_close(alone, gathered.masked_fill(~scored, 0.0), rtol=0, atol=1e-6)
    for source, row, found, whole in zip(SOURCES, targets, gathered, vocabulary, strict=True):
        wanted = forward(toy, source, torch.cat([torch.tensor([toy.start_id]), row[:-1]]))
        torch.testing.assert_close(found, wanted.gather(-1, row.unsqueeze(-1)).squeeze(-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(whole, wanted, atol=1e-5, rtol=0)
