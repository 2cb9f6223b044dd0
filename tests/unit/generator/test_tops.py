"""The best of many values against sorting all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rag_lightning.generator.vocabulary import BLOCK, Tops


def best_of(values: Tensor, slices: int, count: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    tops = Tops(*values.shape, values.device, dtype)
    for start in range(0, values.shape[1], slices * BLOCK):
        part = values[:, start : start + slices * BLOCK]
        torch.testing.assert_close(tops.add(start, part).amax(-1), part.amax(-1), rtol=0, atol=0, equal_nan=True)
    return tops.best(count)


@pytest.mark.parametrize("size", [1, 5, BLOCK, BLOCK + 1, 7 * BLOCK - 3])
@pytest.mark.parametrize("count", [1, 4, 100])
@pytest.mark.parametrize("slices", [1, 3])
def test_the_best_are_those_of_a_sort(size: int, count: int, slices: int) -> None:
    values = torch.randn((6, size), generator=torch.Generator().manual_seed(size))
    top, positions = best_of(values, slices, count)
    wanted = values.sort(dim=-1, descending=True)
    torch.testing.assert_close(top, wanted.values[:, :count], rtol=0, atol=0)
    torch.testing.assert_close(positions, wanted.indices[:, :count])


def test_the_best_may_share_a_block() -> None:
    values = torch.zeros((1, 9 * BLOCK)) - torch.arange(9.0 * BLOCK)
    values[0, 5 * BLOCK : 5 * BLOCK + 10] = torch.arange(10.0) + 1
    _, positions = best_of(values, 2, 10)
    assert positions[0].tolist() == list(range(5 * BLOCK + 9, 5 * BLOCK - 1, -1))


@pytest.mark.parametrize("at", [(0, 1), (0, 3 * BLOCK), (3 * BLOCK + 1, 3 * BLOCK + 2), (BLOCK - 1, 2 * BLOCK)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_equal_values_the_first_come_first_also_at_the_cut(at: tuple[int, int], count: int) -> None:
    values = -torch.arange(2 * 4.0 * BLOCK).view(2, -1) - 10
    values[0, list(at)] = 3.0
    _, positions = best_of(values, 1, count)
    wanted = values.sort(dim=-1, descending=True, stable=True)
    torch.testing.assert_close(positions, wanted.indices[:, :count])


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_many_ties_are_in_the_order_of_a_stable_sort(levels: int) -> None:
    values = torch.randint(0, levels, (8, 5 * BLOCK), generator=torch.Generator().manual_seed(levels)) - 2.0
    values[:, ::7] *= -1  # zeros of both signs are equal
    top, positions = best_of(values, 2, 12)
    wanted = values.sort(dim=-1, descending=True, stable=True)
    torch.testing.assert_close(positions, wanted.indices[:, :12])
    torch.testing.assert_close(top, wanted.values[:, :12])


def test_what_is_kept_in_bfloat16_comes_back_as_it_was() -> None:
    values = torch.randn((3, 4 * BLOCK), generator=torch.Generator().manual_seed(0)).bfloat16().float()
    top, _ = best_of(values, 2, 1, torch.bfloat16)
    torch.testing.assert_close(top.squeeze(-1), values.amax(-1), rtol=0, atol=0)


def test_no_rows_have_no_best() -> None:
    top, positions = best_of(torch.empty((0, 2 * BLOCK + 1)), 1, 3)
    assert (top.shape, positions.shape) == ((0, 3), (0, 3))


@pytest.mark.parametrize("count", [2, 3, 9])
def test_what_fills_a_block_up_is_never_a_position(count: int) -> None:
    _, positions = best_of(torch.tensor([[1.0, -torch.inf, 0.0], [3.0, 2.0, 1.0]]), 1, count)
    assert positions.tolist() == [[0, 2, 1][:count], [0, 1, 2][:count]]
    _, positions = best_of(torch.full((1, 3), -torch.inf), 1, count)
    assert positions.tolist() == [[0, 1, 2][:count]]


def test_numbers_that_are_none_have_positions() -> None:
    _, positions = best_of(torch.full((2, BLOCK + 3), -torch.nan), 1, 5)
    assert int(positions.max()) < BLOCK + 3
