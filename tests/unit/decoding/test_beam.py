"""The search against enumeration and against a plain one with lists and sorts."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rag_lightning.decoding.beam import Finished, Moves, beam_search
from rag_lightning.generator.vocabulary import Continuations

END, START = 0, 1


class Table:
    """Next-token log-probs of N made-up distributions, looked up by the whole prefix of a beam."""

    def __init__(self, seed: int, batch: int, vocabulary: int, levels: int = 0) -> None:
        self.seed, self.batch, self.vocabulary, self.levels = seed, batch, vocabulary, levels
        self.prefixes: list[list[tuple[int, ...]]] = []
        self.live: list[int] = []
        self.fed: list[int] = []

    def row(self, item: int, prefix: tuple[int, ...]) -> Tensor:
        """[V]; with `levels`, only so many different logits, so that ties are common."""
        random = np.random.default_rng([self.seed, item, *prefix, 99])
        logits = (
            random.integers(0, self.levels, self.vocabulary) if self.levels else random.normal(0, 2, self.vocabulary)
        )
        return torch.log_softmax(torch.as_tensor(logits, dtype=torch.float32), -1)

    def step(self, tokens: Tensor, moves: Moves | None, count: int) -> Continuations:
        """The callback of `beam_search`; keeps prefixes as a model keeps its cache."""
        width = tokens.shape[1]
        if moves is None:
            self.live = list(range(self.batch))
            self.prefixes = [[()] * width for _ in range(self.batch)]
            assert (tokens == START).all()
        else:
            if moves.items is not None:
                self.live = [self.live[n] for n in moves.items.tolist()]
                self.prefixes = [self.prefixes[n] for n in moves.items.tolist()]
            self.prefixes = [
                [(*old[p], t) for p, t in zip(line, last, strict=True)]
                for old, line, last in zip(self.prefixes, moves.parents.tolist(), tokens.tolist(), strict=True)
            ]
        self.fed.append(len(self.live))
        rows = zip(self.live, self.prefixes, strict=True)
        return Continuations.of(torch.stack([torch.stack([self.row(i, p) for p in line]) for i, line in rows]), count)

    def search(self, width: int, max_length: int) -> list[list[Finished]]:
        return beam_search(self.step, self.batch, width=width, max_length=max_length, start_id=START, eos_id=END)

    def all(self, item: int, max_length: int) -> list[tuple[float, tuple[int, ...]]]:
        """Every hypothesis with its log-prob, best first."""
        found = []
        for length in range(1, max_length + 1):
            for tokens in itertools.product(range(self.vocabulary), repeat=length):
                if END in tokens[:-1] or (tokens[-1] != END and length < max_length):
                    continue
                total = sum(float(self.row(item, tokens[:i])[t]) for i, t in enumerate(tokens))
                found.append((total, tokens))
        return sorted(found, key=lambda pair: -pair[0])


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_as_wide_as_the_space_finds_the_true_n_best(seed: int) -> None:
    table = Table(seed, batch=2, vocabulary=4)
    for item, pool in enumerate(table.search(width=64, max_length=3)):
        wanted = table.all(item, 3)[:64]
        assert [h.token_ids for h in pool] == [tokens for _, tokens in wanted]
        np.testing.assert_allclose([h.log_prob for h in pool], [p for p, _ in wanted], atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("levels", [0, 2])
def test_width_one_takes_the_best_token_of_every_step(seed: int, levels: int) -> None:
    table = Table(seed, batch=3, vocabulary=5, levels=levels)
    for item, pool in enumerate(table.search(width=1, max_length=4)):
        tokens: tuple[int, ...] = ()
        total = 0.0
        while len(tokens) < 4 and END not in tokens:
            row = table.row(item, tokens).tolist()
            tokens, total = (*tokens, row.index(max(row))), total + max(row)
        (found,) = pool
        assert found.token_ids == tokens
        assert found.log_prob == pytest.approx(total, abs=1e-5)


def _plain_beam(table: Table, item: int, width: int, max_length: int) -> list[tuple[float, tuple[int, ...]]]:
    """The documented search with lists and sorts; ties to the lower beam, then the lower token."""
    live: list[tuple[Tensor, tuple[int, ...]]] = [(torch.tensor(0.0), ())]
    pool: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, max_length + 1):
        grown = [(s + p, (*t, v)) for s, t in live for v, p in enumerate(table.row(item, t))]
        grown.sort(key=lambda pair: -float(pair[0]))
        pool += [(float(s), t) for s, t in grown[:width] if t[-1] == END]
        pool = sorted(pool, key=lambda pair: -pair[0])[:width]
        live = [pair for pair in grown if pair[1][-1] != END][:width]
        if len(pool) == width and pool[-1][0] >= float(live[0][0]):
            return pool
        if length == max_length:
            pool = sorted([*pool, *((float(s), t) for s, t in live)], key=lambda pair: -pair[0])[:width]
    return pool


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 999), width=st.integers(1, 5), levels=st.sampled_from([0, 2, 3]), length=st.integers(1, 4))
def test_the_search_is_the_documented_one(seed: int, width: int, levels: int, length: int) -> None:
    table = Table(seed, batch=3, vocabulary=4, levels=levels)
    for item, pool in enumerate(table.search(width, length)):
        assert [(h.log_prob, h.token_ids) for h in pool] == _plain_beam(table, item, width, length)


def test_a_batch_is_its_items_one_by_one() -> None:
    whole = Table(5, batch=4, vocabulary=6).search(width=3, max_length=4)
    for item in range(4):
        table = Table(5, batch=1, vocabulary=6)
        row = table.row
        table.row = lambda _, prefix, row=row, item=item: row(item, prefix)  # type: ignore[method-assign,misc]
        assert table.search(width=3, max_length=4) == [whole[item]]


def test_a_finished_item_leaves_the_batch() -> None:
    table = Table(5, batch=8, vocabulary=6)
    pools = table.search(width=1, max_length=12)
    lengths = [len(pool[0].token_ids) for pool in pools]
    assert len(set(lengths)) > 2
    assert table.fed == [sum(length > step for length in lengths) for step in range(max(lengths))]


def test_ties_go_to_the_lower_token() -> None:
    def level(tokens: Tensor, moves: Moves | None, count: int) -> Continuations:
        return Continuations.of(torch.full((*tokens.shape, 6), 1 / 6).log(), count)

    (greedy,) = beam_search(level, 1, width=1, max_length=2, start_id=START, eos_id=5)
    assert greedy[0].token_ids == (0, 0)
    (pool,) = beam_search(level, 1, width=3, max_length=1, start_id=START, eos_id=5)
    assert [h.token_ids for h in pool] == [(0,), (1,), (2,)]


def test_a_search_ends_once_nothing_live_can_be_better() -> None:
    calls = []

    def certain(tokens: Tensor, moves: Moves | None, count: int) -> Continuations:
        calls.append(tokens)
        return Continuations.of(torch.tensor([0.9, 0.1]).log().expand(*tokens.shape, 2), count)

    (pool,) = beam_search(certain, 1, width=1, max_length=50, start_id=START, eos_id=END)
    assert [h.token_ids for h in pool] == [(END,)] and len(calls) == 1


def test_impossible_continuations_are_no_hypotheses() -> None:
    def step(tokens: Tensor, moves: Moves | None, count: int) -> Continuations:
        return Continuations.of(torch.tensor([0.0, 1.0, 0.0]).log().expand(*tokens.shape, 3), count)

    (pool,) = beam_search(step, 1, width=3, max_length=2, start_id=START, eos_id=END)
    assert pool == [Finished(0.0, (1, 1))] and [h.token_ids for h in pool] == [(1, 1)]


@pytest.mark.parametrize(("width", "max_length"), [(0, 3), (3, 0)])
def test_nonsense_sizes_are_refused(width: int, max_length: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Table(0, 1, 3).search(width, max_length)


def test_finished_sorts_by_log_prob_only() -> None:
    wanted: Callable[[float, int], Finished] = lambda p, t: Finished(p, (t,))  # noqa: E731
    pool = sorted([wanted(-1, 5), wanted(-3, 1), wanted(-1, 2)], reverse=True)
    assert [h.token_ids for h in pool] == [(5,), (2,), (1,)]
