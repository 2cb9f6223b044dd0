"""When a training has a resume point: by steps, by time, on SIGTERM; and the bar of one that goes on."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rag_lightning.core.errors import Terminated
from rag_lightning.core.records import Example
from rag_lightning.training import callbacks, fitting
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.callbacks import RESUME
from tests.dying_reader import DEV, ITEMS, Killed, Reader, Weights, config, fit, same, weights

pytestmark = [
    # Lightning 2.6 with torch 2.13
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    # the module moves its own batches, the data module has nothing to move
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
    # a resumed run goes on in the folder of the run before
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
]


def test_the_bar_of_a_resumed_run_knows_its_steps(
    new_module: Callable[..., Reader],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    monkeypatch.setattr(fitting, "is_terminal", lambda: True)
    settings, lesson = config(steps=20), [Lesson(ITEMS, 2)]
    with pytest.raises(Killed):
        fitting.fit(new_module(settings, 11), lesson, settings, tmp_path, seed=5)
    shown = capsys.readouterr().err
    assert "10/20" in shown
    fitting.fit(new_module(settings), lesson, settings, tmp_path, seed=5)
    shown = capsys.readouterr().err
    steps = [int(step) for step in re.findall(r"(\d+)/20 ", shown)]
    assert steps and min(steps) == 10 and "/?" not in shown.split("training:")[-1]
    assert not shown.split("\r")[-1].strip(), "the bar is gone when the training is done"


@pytest.mark.parametrize(
    ("seconds", "cost", "saved"),
    [
        (1.0, 0.0, 5),  # every five seconds
        (3.0, 0.0, 6),
        (3.0, 0.5, 6),  # every ten: writing takes a twentieth
        (3.0, 1.0, 2),
        (40.0, 60.0, 7),  # two minutes apart, whatever it takes
        (0.5, 0.0, None),  # a training of four seconds has none
    ],
)
def test_a_short_training_has_resume_points_by_time(
    new_module: Callable[..., Reader],
    whole_weights: Callable[[int], Weights],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    cost: float,
    saved: int | None,
) -> None:
    whole, now = whole_weights(1), [0.0]
    monkeypatch.setattr(callbacks, "perf_counter", lambda: now[0])

    def replace_file(written: Path, path: Path) -> None:
        now[0] += cost
        written.rename(path)

    def train(module: Reader, folder: Path) -> None:
        step = module.training_step

        def timed(batch: list[Item], batch_idx: int) -> Tensor:
            now[0] += seconds
            return step(batch, batch_idx)

        monkeypatch.setattr(module, "training_step", timed)
        fit(module, folder, settings)

    monkeypatch.setattr(callbacks, "replace_file", replace_file)
    settings = config()
    again = new_module(settings)
    with pytest.raises(Killed):
        train(new_module(settings, 7), tmp_path / "killed")
    point = tmp_path / "killed" / RESUME
    assert (torch.load(point, weights_only=True)["global_step"] if point.exists() else None) == saved
    train(again, tmp_path / "killed")
    assert same(weights(again), whole)


def test_sigterm_ends_an_evaluation_after_its_batch_and_it_is_done_again(
    new_module: Callable[..., Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 1)
    settings = config(eval_every=4)
    whole, told, again = (new_module(settings) for _ in range(3))
    whole.follow({4: 0.5, 8: 0.6})
    fit(whole, tmp_path / "whole", settings, DEV)
    scored: list[int] = []

    def score(batch: Sequence[Example]) -> list[float]:
        scored.append(len(batch))
        os.kill(os.getpid(), signal.SIGTERM)
        return [0.5] * len(batch)

    told.evaluator = lambda: score
    with pytest.raises(Terminated):
        fit(told, tmp_path / "told", settings, DEV)
    assert scored == [2], "one of two batches"
    again.follow({4: 0.5, 8: 0.6})
    fit(again, tmp_path / "told", settings, DEV)
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_sigterm_ends_a_training_after_its_batch_and_it_goes_on(
    new_module: Callable[..., Reader],
    whole_weights: Callable[[int], Weights],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    accumulate: int,
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 1000)
    settings = config(trainer={"accumulate_grad_batches": accumulate})
    told = new_module(settings)
    told.told_at = 3
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as ended:
        fit(told, tmp_path / "told", settings)
    assert ended.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    assert (tmp_path / "told" / RESUME).exists() == (accumulate == 1)
    again = new_module(settings)
    fit(again, tmp_path / "told", settings)
    assert same(weights(again), whole_weights(accumulate))
