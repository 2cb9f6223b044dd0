"""States are computed once, bounded in memory, and independent of batching."""

from __future__ import annotations

import torch

from rag_lightning.core.records import Passage
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.generator.steps import Cache

PAIRS = [Pair("a b", Passage(str(i), "", text)) for i, text in enumerate(["a b c", "c", "b b a a c", "a"])]


def states(encodings: Encodings, pairs: list[Pair]) -> list[torch.Tensor]:
    """What decoding attends to, one unpadded [S, D] per pair."""
    memory = encodings.memory(*encodings.keys(pairs))
    lengths = [len(row) for row in encodings.keys(pairs)[1]]
    return [state[:n] for state, n in zip(memory.states, lengths, strict=True)]


def assert_same(left: list[torch.Tensor], right: list[torch.Tensor]) -> None:
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_each_pair_is_encoded_once(toy: Seq2SeqGenerator) -> None:
    encodings = Encodings(toy)
    first = states(encodings, PAIRS)
    assert (encodings.encoded, encodings.reused) == (4, 0)
    assert_same(states(encodings, PAIRS[::-1])[::-1], first)
    assert (encodings.encoded, encodings.reused) == (4, 4)


def test_an_emptied_memory_is_of_the_same_model_and_its_own(toy: Seq2SeqGenerator) -> None:
    encodings = Encodings(toy)
    first = states(encodings, PAIRS)
    other = encodings.emptied()
    assert_same(states(other, PAIRS[:2]), first[:2])
    assert other.encoded - encodings.encoded == 2
    states(encodings, PAIRS)
    assert (encodings.encoded, encodings.reused) == (4, 4)


def test_two_passages_of_one_text_are_one_pair(toy: Seq2SeqGenerator) -> None:
    encodings = Encodings(toy)
    twins = [
        Pair("a b", Passage("1", "a", "b")),
        Pair("a b", Passage("2", "a", "b")),
        Pair("a b", Passage("3", "a", "c")),
    ]
    keys, _ = encodings.keys(twins)
    assert keys[0] == keys[1] != keys[2]
    states(encodings, twins)
    assert (encodings.encoded, encodings.reused) == (2, 1)


def test_a_batch_of_any_budget_gives_the_unpadded_states(toy: Seq2SeqGenerator) -> None:
    alone = [states(Encodings(toy), [pair])[0] for pair in PAIRS]
    for budget in (1, 16, 8192):
        assert_same(states(Encodings(toy, tokens_per_batch=budget), PAIRS), alone)


def test_the_memory_is_bounded_and_results_do_not_depend_on_it(toy: Seq2SeqGenerator) -> None:
    wanted = states(Encodings(toy), PAIRS)
    sizes = [len(row) * 16 * 4 for row in Encodings(toy).keys(PAIRS)[1]]
    bound = sum(sizes[1:3])
    tight = Encodings(toy, max_bytes=bound)
    for _ in range(3):
        assert_same(states(tight, PAIRS), wanted)
        held = sum(state.nbytes for state in tight._states.values())
        assert held == tight._bytes <= bound
    assert tight.encoded > len(PAIRS), "states that left are computed again"
    one = Encodings(toy, max_bytes=0)
    assert_same(states(one, PAIRS), wanted)
    assert len(one._states) == 1


def test_the_least_recently_used_leaves_first(toy: Seq2SeqGenerator) -> None:
    sizes = [len(row) * 16 * 4 for row in Encodings(toy).keys(PAIRS)[1]]
    encodings = Encodings(toy, max_bytes=sizes[0] + sizes[1] + sizes[3])
    for pair in (PAIRS[0], PAIRS[1], PAIRS[0], PAIRS[3]):
        states(encodings, [pair])
    assert (encodings.encoded, encodings.reused) == (3, 1)
    small = Pair("a b", Passage("new", "", "b"))
    states(encodings, [small])
    keys, _ = encodings.keys([*PAIRS, small])
    assert list(encodings._states) == [keys[0], keys[3], keys[4]], "1 was not used for the longest time"


def test_padding_is_not_attended(toy: Seq2SeqGenerator) -> None:
    memory = Encodings(toy).memory(*Encodings(toy).keys(PAIRS[:2]))
    lengths = [len(row) for row in Encodings(toy).keys(PAIRS[:2])[1]]
    assert ((memory.bias[:, 0] == 0).sum(-1)).tolist() == lengths
    assert memory.bias.min() == torch.finfo(torch.float32).min


def test_bfloat16_runs_on_copies_and_stays_near_float32(toy: Seq2SeqGenerator) -> None:
    encodings = Encodings(toy, dtype="bfloat16")
    found = states(encodings, PAIRS)
    assert {s.dtype for s in [*found, *encodings._states.values()]} == {torch.bfloat16}
    assert {p.dtype for p in toy.parameters()} == {torch.float32}
    for a, b in zip(found, states(Encodings(toy), PAIRS), strict=True):
        assert 0 < (a.float() - b).abs().mean() < 0.1


@torch.inference_mode()
def test_bfloat16_decodes_to_float32_log_probs_near_those_of_float32(toy: Seq2SeqGenerator) -> None:
    found = []
    for dtype in ("bfloat16", "float32"):
        encodings = Encodings(toy, dtype=dtype)
        memory = encodings.memory(*encodings.keys(PAIRS))
        fed, _ = encodings.steps.step(torch.full((len(PAIRS), 1), toy.start_id), memory, Cache([], []))
        found.append(encodings.steps.vocabulary.of(fed.squeeze(1), range(7)))
    lower, exact = found
    assert lower.dtype == torch.float32
    assert 0 < (lower - exact).abs().mean() < 0.1
