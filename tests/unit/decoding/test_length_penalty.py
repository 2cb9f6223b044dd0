"""A penalty orders what was found and changes no score."""

from __future__ import annotations

import pytest

from rag_lightning.decoding.beam import Finished, rank

POOL = [Finished(-1.0, (3,)), Finished(-1.5, (4, 5, 3)), Finished(-3.0, (4, 4, 4, 4, 4, 3)), Finished(-3.0, (5, 3))]


@pytest.mark.parametrize(
    ("penalty", "order"), [(0.0, [0, 1, 2, 3]), (1.0, [1, 2, 0, 3]), (2.0, [2, 1, 3, 0]), (-1.0, [0, 1, 3, 2])]
)
def test_the_ranking_is_log_prob_over_tokens_to_the_penalty(penalty: float, order: list[int]) -> None:
    found = rank(POOL, penalty)
    assert [POOL.index(h) if h.log_prob != -3.0 else 2 + (len(h.token_ids) == 2) for h in found] == order
    assert sorted(id(h) for h in found) == sorted(map(id, POOL)), "the very hypotheses, log-probs and all"


def test_equal_ones_keep_their_order() -> None:
    twins = [Finished(-2.0, (4, 3)), Finished(-2.0, (5, 3)), Finished(-1.0, (3,))]
    assert [h.token_ids for h in rank(twins, 1.0)] == [(4, 3), (5, 3), (3,)]


@pytest.mark.parametrize("penalty", [1e9, 2000.0, -2000.0, -1e308])
def test_no_penalty_is_too_large(penalty: float) -> None:
    longest, shortest = POOL[2], POOL[0]
    assert rank(POOL, penalty)[0] == (longest if penalty > 0 else shortest)


def test_a_certain_hypothesis_comes_first() -> None:
    assert rank([*POOL, Finished(0.0, (4, 3))], 1.0)[0].log_prob == 0.0
