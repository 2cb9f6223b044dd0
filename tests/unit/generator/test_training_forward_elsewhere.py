"""The forward passes of training, on a device that is not there: nothing mixes devices, and nothing is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rag_lightning.generator.heads import ClassHead
from tests.fake_device import DEVICE, Elsewhere

SOURCES = [[2, 4, 5, 3], [2, 6, 3]]


@pytest.fixture
def there() -> Elsewhere:
    return Elsewhere(open_shapes=True)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("name", ["toy", "toy_llama"])
def test_log_probs_of_targets(there: Elsewhere, name: str, smooth: bool, request: pytest.FixtureRequest) -> None:
    generator: Any = there.module(request.getfixturevalue(name))
    with there.running():
        targets = torch.zeros((2, 3), dtype=torch.long, device=DEVICE)
        found = generator.token_log_probs(SOURCES, targets, smooth, torch.ones_like(targets, dtype=torch.bool))
        gathered = found[0] if smooth else found
    assert gathered.device == DEVICE and gathered.shape == (2, 3) and gathered.dtype == torch.float32


def test_log_probs_given_passages_read_together(there: Elsewhere, toy: Any) -> None:
    generator: Any = there.module(toy)
    with there.running():
        targets = torch.zeros((1, 3), dtype=torch.long, device=DEVICE)
        found = generator.fused_log_probs([SOURCES], targets, False, torch.ones_like(targets, dtype=torch.bool))
    assert found.device == DEVICE and found.shape == (1, 3)


def test_log_probs_of_classes(there: Elsewhere, new_reader: Callable[..., Any]) -> None:
    reader = new_reader().eval()
    reader.classes = ClassHead(["supports", "refutes"], 32)
    generator: Any = there.module(reader)
    with there.running():
        found = generator.class_log_probs(generator.classes, SOURCES, ["what is rome", "rome"])
    assert found.device == DEVICE and found.shape == (2, 2)
