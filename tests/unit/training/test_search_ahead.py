"""Passages one step ahead: whose they are, what is live, and that a killed run ends like another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.retrieval.questions import RandomRetriever
from rag_lightning.training import fitting
from rag_lightning.training import rag as rag_module
from rag_lightning.training.batches import Item, Lesson, Share, StepBatches, TrainingData
from rag_lightning.training.callbacks import RESUME
from rag_lightning.training.live_retrieval import SearchAhead
from rag_lightning.training.rag import FOUND_AHEAD, RagModule
from rag_lightning.training.scaled_retrieval import FixedRetrieval

pytestmark = [
    # Lightning 2.6 with torch 2.13
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    # the module moves its own batches, the data module has nothing to move
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
]
ITEMS = [Item(f"what is {c} in the city", f"rome {c}") for c in "abcdefgh7"]
STEPS, K = 6, 2
Make = Callable[..., "Watched"]


class Killed(RuntimeError):
    """The process ends here."""


class Watched(RagModule):
    """Keeps what every batch read, and the query encoder it was trained with; may end in a step; plain descent."""

    dies_at = -1

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.seen: list[tuple[int, Sequence[Item], list[list[str]], Any]] = []
        self.gradients: list[dict[str, Tensor]] = []

    def training_step(self, batch: Sequence[Item], index: int) -> Tensor:
        if self.global_step == self.dies_at:
            raise Killed
        encoder = copy.deepcopy(self.retrieval.encoder)
        loss = super().training_step(batch, index)
        read = [[passage.passage_id for passage in found if passage] for found in self._read]
        self.seen.append((self.global_step, batch, read, encoder))
        return loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.gradients.append({n: p.grad.clone() for n, p in self.named_parameters() if p.grad is not None})

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.settings.lr)


@pytest.fixture(scope="module")
def make(world: Any, new_reader: Callable[..., Seq2SeqGenerator]) -> Make:
    def new(dropout: float = 0.0, **settings: Any) -> Watched:
        config = TrainConfig(
            **{
                "steps": STEPS,
                "batch_size": 2,
                "k": K,
                "lr": 0.3,
                "warmup": 0,
                "eval_every": 0,
                "dtype": "float32",
                "retrieve_ahead": True,
                **settings,
            }
        )
        return Watched("rag_token", new_reader(dropout=dropout), world.new_retrieval(), config, seed=5)

    return new


def fit(module: Watched, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    lesson = Lesson(ITEMS, module.settings.batch_size)
    fitting.fit(module, [lesson], module.settings, folder, seed=5, progress=False)


def found_by(encoder: Any, world: Any, batch: Sequence[Item]) -> list[list[str]]:
    """Ids of the K passages of the largest inner product, by plain arithmetic."""
    scores = encoder.encode_texts([item.query for item in batch]) @ world.vectors.T
    return [[f"p{row}" for row in rows] for rows in (-scores).argsort(axis=1)[:, :K].tolist()]


@pytest.mark.parametrize("parts", [1, 2])
def test_passages_are_those_of_the_query_encoder_one_step_earlier(
    make: Make, world: Any, tmp_path: Path, parts: int
) -> None:
    module = make(lr=2.0, trainer={"accumulate_grad_batches": parts})
    fit(module, tmp_path)
    encoders = {step: encoder for step, _, _, encoder in module.seen}
    stale = 0
    for step, batch, read, encoder in module.seen:
        assert read == found_by(encoders[max(step - 1, 0)], world, batch)
        stale += read != found_by(encoder, world, batch)
    assert stale > 0, "no passage shows which encoder found it"
    assert len(module.seen) == parts * STEPS


def test_scores_are_those_of_the_step_itself(make: Make, world: Any, tmp_path: Path) -> None:
    """A frozen retriever finds the same one step ahead: losses, gradients and weights are equal bit for bit."""
    ahead, live = (make(retriever_lr=0.0, scale_lr=1e-3, retrieve_ahead=on) for on in (True, False))
    for module, name in ((ahead, "ahead"), (live, "live")):
        fit(module, tmp_path / name)
    assert [read for _, _, read, _ in ahead.seen] == [read for _, _, read, _ in live.seen]
    for mine, wanted in zip(ahead.gradients, live.gradients, strict=True):
        assert mine.keys() == wanted.keys() and all(torch.equal(mine[name], wanted[name]) for name in mine)
    scale = "retrieval.log_scale"
    assert all(float(gradients[scale]) != 0 for gradients in ahead.gradients)


def test_the_gradient_reaches_the_query_encoder_that_did_not_find_them(make: Make, tmp_path: Path) -> None:
    module = make()
    fit(module, tmp_path)
    for gradients in module.gradients:
        assert any(value.abs().sum() > 0 for name, value in gradients.items() if name.startswith("retrieval.encoder"))


def dropping(make: Make, parts: int) -> Watched:
    return make(dropout=0.1, trainer={"accumulate_grad_batches": parts})


@pytest.fixture(scope="module")
def whole_of(make: Make, tmp_path_factory: Any) -> Callable[[int], Watched]:
    """A module whose training nothing ended, by the number of batches of a step."""

    @cache
    def run(parts: int) -> Watched:
        whole = dropping(make, parts)
        fit(whole, tmp_path_factory.mktemp("whole"))
        return whole

    return run


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("dies_at", [3, 4])
def test_a_killed_run_ends_with_the_same_weights(
    make: Make,
    whole_of: Callable[[int], Watched],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: int,
    dies_at: int,
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    whole, killed, again = whole_of(parts), dropping(make, parts), dropping(make, parts)
    killed.dies_at = dies_at
    with pytest.raises(Killed):
        fit(killed, tmp_path / "killed")
    saved = torch.load(tmp_path / "killed" / RESUME, weights_only=True)
    assert [rows.shape for rows in saved[FOUND_AHEAD]] == [(2, K)] * parts
    fit(again, tmp_path / "killed")
    wanted = whole.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in again.state_dict().items())
    assert [read for _, _, read, _ in again.seen] == [read for _, _, read, _ in whole.seen][-len(again.seen) :]
    assert len(again.seen) == (STEPS - saved["global_step"]) * parts


def test_a_resume_point_without_what_was_found_is_refused(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    module = make(retrieve_ahead=False)
    module.dies_at = 3
    with pytest.raises(Killed):
        fit(module, tmp_path)
    with pytest.raises(ArtifactError, match=r"but this trains .*retrieve_ahead=true"):
        fit(make(), tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_every_process_takes_up_its_own(make: Make, monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    module = make(trainer={"accumulate_grad_batches": 2, "devices": 2})
    rows = [torch.full((2, K), number) for number in range(4)]
    own = Share(rank, 2, 2)
    data = TrainingData([Lesson(ITEMS, 2)], seed=5, start=1, accumulate=2)
    monkeypatch.setattr(data, "_place", lambda: (rank, 2))
    monkeypatch.setattr(RagModule, "global_rank", rank)
    monkeypatch.setattr(RagModule, "trainer", type("T", (), {"datamodule": data}))
    monkeypatch.setattr(rag_module, "gather_items", lambda mine: [*mine, "of the other process"])
    module.on_load_checkpoint({FOUND_AHEAD: rows})
    module.on_fit_start()
    kept: dict[str, Any] = {}
    module.on_save_checkpoint(kept)
    *mine, other = kept[FOUND_AHEAD]
    assert [int(part[0, 0]) for part in mine] == [2 * rank, 2 * rank + 1] and other == "of the other process"
    assert next(data.next_steps()) == next(iter(StepBatches([Lesson(ITEMS, 2)], seed=5, start=2, share=own)))


def test_accumulation_equals_the_larger_batch(make: Make, tmp_path: Path) -> None:
    whole = make(batch_size=4, lr=1e-2)
    parted = make(batch_size=2, lr=1e-2, trainer={"accumulate_grad_batches": 2})
    for module, name in ((whole, "whole"), (parted, "parted")):
        fit(module, tmp_path / name)
    for one, two in zip(whole.gradients, parted.gradients, strict=True):
        largest = max(float(gradient.abs().max()) for gradient in one.values())
        for name, gradient in one.items():
            torch.testing.assert_close(two[name], gradient, rtol=0, atol=1e-6 * max(largest, 1.0), msg=name)


def test_bfloat16_keeps_the_gradient_of_the_query_encoder(make: Make, tmp_path: Path) -> None:
    """Autocast keeps the weights it has cast; those cast without gradient must not be among them."""
    module = make(dtype="bfloat16")
    fit(module, tmp_path)
    for gradients in module.gradients:
        encoder = [name for name in gradients if name.startswith("retrieval.encoder") and name.endswith("weight")]
        assert all(gradients[name].abs().sum() > 0 for name in encoder if "attention" in name)


def test_what_the_other_thread_raises_ends_the_step(make: Make) -> None:
    def broken() -> Any:
        raise RuntimeError("the index is gone")

    ahead = SearchAhead(iter([["a"], ["b"]]), lambda queries: broken, parts=1)
    assert ahead.rows(lambda: torch.zeros((1, K), dtype=torch.int64).numpy()).shape == (1, K)
    with pytest.raises(RuntimeError, match="the index is gone"):
        ahead.rows(broken)


def test_a_vector_that_is_no_number_is_told_before_it_is_searched_for(world: Any) -> None:
    retrieval = world.new_retrieval()
    with torch.no_grad():
        next(retrieval.encoder.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="a query vector is not finite"):
        retrieval._prepare(["what is a"], K)


def test_retrieval_without_query_encoder_is_refused(world: Any, new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    fixed = FixedRetrieval(RandomRetriever(0, len(world.store)), world.store, 1.0, "random score_scale")
    with pytest.raises(ConfigError, match="retrieve_ahead=true: this retrieval has no query encoder"):
        RagModule("rag_token", new_reader(), fixed, TrainConfig(retrieve_ahead=True), seed=0)
