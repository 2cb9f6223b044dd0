"""A step is the same, in one batch or in parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.training.batches import Item, Lesson, Share, StepBatches
from rag_lightning.training.fitting import fit
from rag_lightning.training.module import rate_factor
from rag_lightning.training.rag import RagModule

pytestmark = [
    # Lightning 2.6 with torch 2.13
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    # the module moves its own batches, the data module has nothing to move
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
]
ITEMS = [Item(f"what is {c} in the city", f"rome {c}") for c in "abcdefgh7"]


class Recorded(RagModule):
    """Keeps the gradient of every step before it is clipped, and its rate; plain descent, which magnifies no noise."""

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.gradients: list[dict[str, Tensor]] = []
        self.rates: list[float] = []

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.gradients.append({n: p.grad.clone() for n, p in self.named_parameters() if p.grad is not None})
        self.rates.append(optimizer.param_groups[0]["lr"])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.settings.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, self.settings))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@pytest.mark.parametrize(
    ("formulation", "spread"), [("rag_token", "none"), ("rag_sequence", "none"), ("rag_sequence", "spread_all")]
)
def test_accumulation_equals_the_larger_batch(
    formulation: Any, spread: Any, world: Any, new_reader: Callable[..., Any], tmp_path: Path
) -> None:
    trained = {}
    for parts in (1, 2):
        config = TrainConfig(
            steps=3,
            batch_size=4 // parts,
            k=2,
            lr=1e-2,
            warmup=2,
            eval_every=0,
            dtype="float32",
            distractor_loss=spread,
            trainer={"accumulate_grad_batches": parts},
        )
        module = Recorded(formulation, new_reader(), world.new_retrieval(), config, seed=5)
        folder = tmp_path / str(parts)
        folder.mkdir()
        result = fit(module, [Lesson(ITEMS, config.batch_size)], config, folder, seed=5, progress=False)
        assert result["steps"] == 3 and module.rates == [0.005, 0.01, 0.01]
        trained[parts] = module
    for whole, parted in zip(trained[1].gradients, trained[2].gradients, strict=True):
        assert whole.keys() == parted.keys()
        largest = max(float(gradient.abs().max()) for gradient in whole.values())
        for name, gradient in whole.items():
            torch.testing.assert_close(parted[name], gradient, rtol=0, atol=1e-6 * max(largest, 1.0), msg=name)
    for name, weight in trained[1].state_dict().items():
        torch.testing.assert_close(trained[2].state_dict()[name], weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 2), (2, 1), (2, 2)])
def test_the_parts_of_a_step_are_the_items_of_the_large_one(world_size: int, accumulate: int) -> None:
    parts = world_size * accumulate
    large = iter(StepBatches([Lesson(ITEMS, 2 * parts)], seed=3, start=1))
    shares = [
        iter(StepBatches([Lesson(ITEMS, 2)], seed=3, start=1, share=Share(rank, world_size, accumulate)))
        for rank in range(world_size)
    ]
    for _ in range(5):
        step = next(large)
        batches = [next(share) for _ in range(accumulate) for share in shares]
        assert {len(batch) for batch in batches} == {2}
        assert sorted(i.target for batch in batches for i in batch) == sorted(i.target for i in step)  # type: ignore[attr-defined]


def test_lessons_count_steps_not_parts() -> None:
    lessons = [Lesson(ITEMS[:4], 2, steps=2), Lesson(ITEMS[4:], 2)]
    stream = iter(StepBatches(lessons, seed=3, share=Share(accumulate=2)))
    first = {item.target for _ in range(4) for item in next(stream)}  # type: ignore[attr-defined]
    assert first == {item.target for item in ITEMS[:4]}
    assert {item.target for _ in range(2) for item in next(stream)} <= {i.target for i in ITEMS[4:]}  # type: ignore[attr-defined]


def test_fewer_examples_than_a_step_takes_are_refused() -> None:
    with pytest.raises(ConfigError, match="9 training examples are fewer than a step takes: batch_size=5 times 2"):
        next(iter(StepBatches([Lesson(ITEMS, 5)], seed=3, share=Share(accumulate=2))))
    assert len(next(iter(StepBatches([Lesson(ITEMS, 10)], seed=3)))) == 9  # one short batch trains


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="no training example"):
        Lesson([], 4)
