"""Batches are a function of (seed, step) alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lightning.core.records import Passage
from rag_lightning.training.batches import Item, Lesson, StepBatches, TrainingData, batch_plan, seed_step

ITEMS = [Item("q" * (1 + i % 7), str(i)) for i in range(23)]


@settings(deadline=None, max_examples=100)
@given(
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=120),
    batch_size=st.integers(1, 5),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
)
def test_each_item_is_in_one_full_batch_or_the_short_rest(
    sizes: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    plan = batch_plan(sizes, batch_size, seed, epoch)
    used = [i for batch in plan for i in batch]
    assert len(used) == len(set(used)) and set(used) <= set(range(len(sizes)))
    if len(sizes) < batch_size:
        assert sorted(used) == list(range(len(sizes)))
    else:
        assert {len(batch) for batch in plan} == {batch_size}
        assert len(sizes) - len(used) == len(sizes) % batch_size
    assert plan == batch_plan(sizes, batch_size, seed, epoch)


def test_the_order_depends_on_seed_and_epoch() -> None:
    plans = [batch_plan([1] * 40, 4, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert plans[0] != plans[1] and plans[0] != plans[2] and plans[1] != plans[2]


def test_batches_hold_items_of_similar_size() -> None:
    sizes = [(i * 37) % 64 for i in range(64)]
    for batch in batch_plan(sizes, 4, 0, 0):
        assert max(sizes[i] for i in batch) - min(sizes[i] for i in batch) == 3


def test_batches_of_sorted_items_come_in_random_order() -> None:
    means = [sum(batch) / 4 for batch in batch_plan(list(range(64)), 4, 0, 0)]
    assert means != sorted(means)


@pytest.mark.parametrize("start", [1, 4, 5, 6, 11, 17])
def test_a_start_continues_where_the_whole_run_would_be(start: int) -> None:
    whole = iter(StepBatches([Lesson(ITEMS, 4)], seed=3))
    wanted = [next(whole) for _ in range(start + 8)][start:]
    later = iter(StepBatches([Lesson(ITEMS, 4)], seed=3, start=start))
    assert [next(later) for _ in range(8)] == wanted


@pytest.mark.parametrize("start", [0, 2, 3, 4, 9])
def test_lessons_follow_each_other_wherever_a_run_is_resumed(start: int) -> None:
    lessons = [Lesson(ITEMS[:6], 2, steps=3), Lesson(ITEMS[6:], 4)]
    stream = iter(StepBatches(lessons, seed=3, start=start))
    found = [next(stream) for _ in range(6)]
    alone = [iter(StepBatches([lesson], seed=3)) for lesson in lessons]
    wanted = [next(alone[0]) for _ in range(3)] + [next(alone[1]) for _ in range(12)]
    assert found == wanted[start : start + 6]


def test_every_epoch_begins_anew() -> None:
    stream = iter(StepBatches([Lesson(ITEMS, 4)], seed=3))
    epochs = [[item.target for _ in range(5) for item in next(stream)] for _ in range(3)]
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_the_loader_hands_batches_over_as_they_are() -> None:
    data = TrainingData([Lesson(ITEMS, 4)], seed=3, start=2, dev=[["a"], ["b", "c"]])
    stream = iter(StepBatches([Lesson(ITEMS, 4)], seed=3, start=2))
    found = iter(data.train_dataloader())
    assert [next(found) for _ in range(3)] == [next(stream) for _ in range(3)]
    assert list(data.val_dataloader()) == [["a"], ["b", "c"]]
    assert TrainingData([Lesson(ITEMS, 4)], seed=3).val_dataloader() == []


def test_size_counts_query_and_passage() -> None:
    assert Item("abc", "t").size == 3
    assert Item("abc", "t", Passage("1", "title", "12345")).size == 8


def test_a_step_has_its_own_random_numbers() -> None:
    def drawn(seed: int, step: int) -> list[float]:
        seed_step(seed, step)
        found: list[float] = torch.rand(3).tolist()
        return found

    assert drawn(0, 5) == drawn(0, 5)
    assert drawn(0, 5) != drawn(0, 6) and drawn(0, 5) != drawn(1, 5)
