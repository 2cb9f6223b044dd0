"""Training that is interrupted ends where an uninterrupted one does, with the best weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.decoding.encodings import Encodings, Loaded
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.training import callbacks, fitting
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.callbacks import RESUME
from rag_lightning.training.rag import RagModule
from tests.dying_reader import DEV, ITEMS, STEPS, Killed, Reader, Weights, config, fit, outcome, same, weights

pytestmark = [
    # Lightning 2.6 with torch 2.13
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    # the module moves its own batches, the data module has nothing to move
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
    # a resumed run goes on in the folder of the run before
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
]


@pytest.fixture(autouse=True)
def save_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("dies_at", "dies_in", "accumulate"),
    [([1], 0, 1), ([4], 0, 1), ([5], 0, 1), ([3, 6], 0, 1), ([5], 1, 2), ([4], 0, 2)],
)
def test_a_killed_run_ends_with_the_same_weights(
    new_module: Callable[..., Reader],
    whole_weights: Callable[[int], Weights],
    tmp_path: Path,
    dies_at: list[int],
    dies_in: int,
    accumulate: int,
) -> None:
    settings = config(trainer={"accumulate_grad_batches": accumulate})
    for step in dies_at:
        dying = new_module(settings, step)
        dying.dies_in = dies_in
        with pytest.raises(Killed):
            fit(dying, tmp_path / "killed", settings)
        assert (tmp_path / "killed" / RESUME).exists() == (step > 2)
    again = new_module(settings)
    fit(again, tmp_path / "killed", settings)
    assert same(weights(again), whole_weights(accumulate))
    assert [p.name for p in (tmp_path / "killed").iterdir()] == ["history.jsonl"]


@pytest.mark.parametrize(
    "value", [{"nonsense": 1}, {"precision": "nonsense"}, {"strategy": "nonsense"}, {"callbacks": []}]
)
def test_a_trainer_value_that_lightning_refuses_is_named(
    value: dict[str, Any], new_module: Callable[..., Reader], tmp_path: Path
) -> None:
    config = TrainConfig(steps=1, batch_size=3, warmup=0, eval_every=0, dtype="float32", trainer=value)
    with pytest.raises(ConfigError, match=f"trainer=.*{next(iter(value))}"):
        fitting.fit(new_module(config), [Lesson(ITEMS, 3)], config, tmp_path, seed=0, progress=False)


def test_dropout_and_order_depend_on_the_seed(new_module: Callable[..., Reader], tmp_path: Path) -> None:
    settings = config()
    one, other = new_module(settings), new_module(settings)
    other.seed = 6
    fit(one, tmp_path / "one", settings)
    fit(other, tmp_path / "other", settings)
    assert not same(weights(one), weights(other))


SCRIPT = {2: 0.25, 4: 0.75, 6: 0.5, 8: 0.0}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_weights_of_the_best_dev_score_are_kept(
    new_module: Callable[..., Reader], tmp_path: Path, accumulate: int
) -> None:
    settings = config(eval_every=2, trainer={"accumulate_grad_batches": accumulate})
    module = new_module(settings)
    seen = module.follow(SCRIPT)
    result = fit(module, tmp_path, settings, DEV)
    assert outcome(result) == (STEPS, 0.75)
    assert sorted(seen) == [2, 4, 6, 8]
    assert same(weights(module), seen[4]) and not same(seen[4], seen[8])
    scored = [(row["step"], row["dev_score"]) for row in history(tmp_path) if "dev_score" in row]
    assert scored == list(SCRIPT.items())


@pytest.mark.parametrize(("patience", "last"), [(1, 6), (2, 8), (0, 8)])
def test_training_ends_where_the_dev_score_has_not_risen_for_long(
    new_module: Callable[..., Reader], tmp_path: Path, patience: int, last: int
) -> None:
    settings = config(eval_every=2, patience=patience)
    module = new_module(settings)
    seen = module.follow(SCRIPT)
    assert outcome(fit(module, tmp_path, settings, DEV)) == (last, 0.75)
    assert max(seen) == last and same(weights(module), seen[4])


@pytest.fixture(scope="module")
def whole_of(new_module: Callable[..., Reader], tmp_path_factory: Any) -> Callable[[int], tuple[Weights, Any]]:
    """The best weights and the history of a run that nothing ended, by the step of its best dev score."""

    @cache
    def run(best: int) -> tuple[Weights, Any]:
        settings, folder = config(eval_every=2), tmp_path_factory.mktemp("whole")
        whole = new_module(settings)
        seen = whole.follow(best_at(best))
        fit(whole, folder, settings, DEV)
        return seen[best], history(folder)

    return run


def best_at(best: int) -> dict[int, float]:
    return {step: 0.9 if step == best else 0.1 for step in SCRIPT}


@pytest.mark.parametrize(
    ("best", "dies_at", "dies_evaluating"),
    [(2, 5, -1), (4, 5, -1), (4, 4, -1), (4, -1, 4), (2, 7, -1), (6, 7, -1), (8, -1, 8)],
)
def test_a_killed_run_keeps_the_same_best_weights(
    new_module: Callable[..., Reader],
    whole_of: Callable[[int], tuple[Weights, Any]],
    tmp_path: Path,
    best: int,
    dies_at: int,
    dies_evaluating: int,
) -> None:
    settings, script = config(eval_every=2), best_at(best)
    wanted, rows = whole_of(best)
    killed = new_module(settings, dies_at)
    killed.follow(script, dies_evaluating)
    with pytest.raises(Killed):
        fit(killed, tmp_path / "killed", settings, DEV)
    again = new_module(settings)
    again.follow(script)
    result = fit(again, tmp_path / "killed", settings, DEV)
    assert outcome(result) == (STEPS, pytest.approx(0.9))
    assert same(weights(again), wanted)
    assert history(tmp_path / "killed") == rows


def test_dev_score_is_the_mean_over_questions_not_batches(new_module: Callable[..., Reader], tmp_path: Path) -> None:
    settings = config(steps=2, eval_every=2)
    module = new_module(settings)
    module.evaluator = lambda: lambda batch: [float(e.example_id == "3") for e in batch]
    assert fit(module, tmp_path, settings, DEV)["dev_score"] == pytest.approx(1 / 3)


def test_evaluating_without_an_evaluator_is_refused(new_module: Callable[..., Reader], tmp_path: Path) -> None:
    settings = config(steps=2, eval_every=2)
    with pytest.raises(RuntimeError, match="set `evaluator`"):
        fit(new_module(settings), tmp_path, settings, DEV)


def test_training_learns_its_targets(new_module: Callable[..., Reader], tmp_path: Path) -> None:
    settings = config(steps=30, batch_size=9, warmup=3)
    fit(new_module(settings), tmp_path, settings)
    losses = [row["loss"] for row in history(tmp_path)]
    assert len(losses) == 3 and losses[-1] < 0.8 * losses[0]


def test_rag_trains_the_retriever_and_resumes(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(steps=4, k=2, retriever_lr=1e-2, scale_lr=1e-2)

    def make() -> RagModule:
        return RagModule("rag_token", new_reader(dropout=0.1), world.new_retrieval(), settings, seed=5)

    whole = make()
    start = weights(whole)
    fit(whole, tmp_path / "whole", settings)
    after = weights(whole)
    changed = {".".join(name.split(".")[:2]) for name in start if not torch.equal(start[name], after[name])}
    assert changed == {"generator.model", "retrieval.encoder", "retrieval.log_scale"}
    killed = make()
    step = killed.training_step

    def dies(batch: list[Item], batch_idx: int) -> Tensor:
        if killed.global_step == 3:
            raise Killed
        return step(batch, batch_idx)

    monkeypatch.setattr(killed, "training_step", dies)
    with pytest.raises(Killed):
        fit(killed, tmp_path / "killed", settings)
    again = make()
    fit(again, tmp_path / "killed", settings)
    assert same(weights(again), weights(whole))


def test_a_training_takes_the_memory_of_models_kept_for_predictions(
    new_module: Callable[..., Reader], new_reader: Callable[..., Seq2SeqGenerator], tmp_path: Path, monkeypatch: Any
) -> None:
    """What was encoded before goes; free memory is returned every few batches."""
    Loaded.clear()
    kept = [Loaded.encodings(name, lambda: Encodings(new_reader(dropout=0.0))) for name in "abca"]
    assert kept[0] is not kept[3], "the oldest of three has left"
    assert Loaded.encodings("c", lambda: kept[0]) is kept[2]
    returned: list[int] = []
    monkeypatch.setattr(callbacks, "return_free_memory", lambda: returned.append(1))
    fit(new_module(config()), tmp_path / "one", config())
    assert len(returned) == STEPS / callbacks.TRIM_EVERY
    assert Loaded.encodings("c", lambda: kept[1]) is kept[1], "none is left"
    Loaded.clear()
