"""The step loop of decoder-only models against LlamaForCausalLM's own forward and generate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rag_lightning.core.records import Passage
from rag_lightning.decoding import rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.rag_sequence import matrices
from rag_lightning.generator import token_tree
from rag_lightning.generator.causal import CausalGenerator
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.steps import Cache, Memory
from rag_lightning.generator.token_tree import TokenTree

PAIRS = [
    Pair("a b", Passage("0", "", "a b c b")),
    Pair("c", None),
    Pair("b a a", Passage("1", "c", "b a c c a b a")),
]
P, W, T = len(PAIRS), 2, 4


@pytest.fixture
def inputs(toy_llama: CausalGenerator) -> Tensor:
    """[P, W, T] what is fed, the prompt's last token first."""
    tokens = torch.randint(3, 7, (P, W, T), generator=torch.Generator().manual_seed(0))
    tokens[..., 0] = toy_llama.start_id
    return tokens


@pytest.fixture
def memory(toy_llama: CausalGenerator) -> Memory:
    encodings = Encodings(toy_llama)
    return encodings.memory(*encodings.keys(PAIRS))


def forward(toy: CausalGenerator, source: list[int], tokens: Tensor) -> Tensor:
    """log-probs [T, V] of one unpadded prompt and one beam, by the whole model."""
    whole = torch.tensor([[*source, *tokens.tolist()]])
    return torch.log_softmax(toy.model(input_ids=whole).logits[0, len(source) :], dim=-1)


@torch.inference_mode()
def test_steps_equal_the_forward_of_each_unpadded_pair(
    toy_llama: CausalGenerator, memory: Memory, inputs: Tensor
) -> None:
    cache, found, steps = Cache([], []), [], toy_llama.steps()
    for t in range(T):
        states, cache = steps.step(inputs[..., t], memory, cache)
        assert cache.length == t + 1
        found.append(steps.vocabulary.log_probs(states))
    for p, source in enumerate(toy_llama.source_ids(PAIRS)):
        for w in range(W):
            wanted = forward(toy_llama, source, inputs[p, w])
            torch.testing.assert_close(torch.stack([f[p, w] for f in found]), wanted, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_whole_continuations_equal_single_steps(toy_llama: CausalGenerator, memory: Memory, inputs: Tensor) -> None:
    states = toy_llama.steps().states(inputs, memory)
    found = torch.log_softmax(toy_llama.model.lm_head(states), dim=-1)
    for p, source in enumerate(toy_llama.source_ids(PAIRS)):
        for w in range(W):
            torch.testing.assert_close(found[p, w], forward(toy_llama, source, inputs[p, w]), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_scores_of_a_tree_equal_the_forward_of_each_sequence(toy_llama: CausalGenerator, memory: Memory) -> None:
    sequences = [(4, 5, 3), (4, 5, 6, 3), (3,), (6, 3), (4, 3), (5, 5, 5, 5)]
    tree, asked = TokenTree.of(sequences, toy_llama.start_id), np.ones((P, len(sequences)), dtype=np.bool_)
    found = token_tree.score(toy_llama.steps(), [tree], np.zeros(P, dtype=np.int64), memory, asked)
    assert found.dtype == torch.float32 and found.shape == (P, len(sequences))
    for p, source in enumerate(toy_llama.source_ids(PAIRS)):
        for c, sequence in enumerate(sequences):
            row = torch.tensor(sequence)
            log_probs = forward(toy_llama, source, torch.cat([torch.tensor([toy_llama.start_id]), row[:-1]]))
            wanted = log_probs.gather(-1, row.unsqueeze(-1)).sum()
            torch.testing.assert_close(found[p, c], wanted, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_reordered_and_selected_beams_continue_their_parents(
    toy_llama: CausalGenerator, memory: Memory, inputs: Tensor
) -> None:
    steps = toy_llama.steps()
    _, cache = steps.step(inputs[..., 0], memory, Cache([], []))
    _, cache = steps.step(inputs[..., 1], memory, cache)
    parents, chosen = torch.tensor([[1, 1], [0, 0], [1, 0]]), torch.tensor([2, 0])
    moved = cache.reorder(parents).select(chosen)
    states, _ = steps.step(inputs[chosen][..., 2], memory.select(chosen), moved)
    log_probs = steps.vocabulary.log_probs(states)
    sources = toy_llama.source_ids(PAIRS)
    for row, p in enumerate(chosen.tolist()):
        for w in range(W):
            tokens = torch.cat([inputs[p, int(parents[p, w]), :2], inputs[p, w, 2:3]])
            wanted = forward(toy_llama, sources[p], tokens)[-1]
            torch.testing.assert_close(log_probs[row, w], wanted, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_training_forward_equals_the_models(toy_llama: CausalGenerator) -> None:
    targets, sources = torch.tensor([[4, 5, 3], [6, 3, 0], [3, 0, 0]]), toy_llama.source_ids(PAIRS)
    gathered, vocabulary = toy_llama.token_log_probs(sources, targets, smooth=True)
    torch.testing.assert_close(toy_llama.token_log_probs(sources, targets), gathered, rtol=0, atol=0)
    scored = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    alone = toy_llama.token_log_probs(sources, targets, scored=scored)
    torch.testing.assert_close(alone, gathered.masked_fill(~scored, 0.0), rtol=0, atol=1e-6)
    for source, row, found, whole in zip(sources, targets, gathered, vocabulary, strict=True):
        wanted = forward(toy_llama, source, torch.cat([torch.tensor([toy_llama.start_id]), row[:-1]]))
        torch.testing.assert_close(found, wanted.gather(-1, row.unsqueeze(-1)).squeeze(-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(whole, wanted, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_greedy_writes_what_generate_writes_on_unpadded_prompts(toy_llama: CausalGenerator) -> None:
    pools = rag_token.decode(
        Encodings(toy_llama), [[pair] for pair in PAIRS], torch.zeros(P, 1), num_beams=1, max_length=6
    )
    for source, pool in zip(toy_llama.source_ids(PAIRS), pools, strict=True):
        prompt = torch.tensor([[*source, toy_llama.start_id]])
        mask = torch.ones_like(prompt)
        made = toy_llama.model.generate(prompt, attention_mask=mask, do_sample=False, max_new_tokens=6)
        assert pool[0].token_ids == tuple(made[0, prompt.shape[1] :].tolist())


def test_thorough_scores_every_candidate_under_every_passage(toy_llama: CausalGenerator) -> None:
    (matrix,) = matrices(Encodings(toy_llama), [PAIRS], PairStore(), num_beams=2, max_length=3)
    sources = toy_llama.source_ids(PAIRS)
    for c, candidate in enumerate(matrix.candidates):
        found = toy_llama.token_log_probs(sources, torch.tensor([candidate] * P)).sum(-1)
        torch.testing.assert_close(torch.from_numpy(matrix.log_probs[c]), found.detach(), atol=1e-5, rtol=0)
