"""When a training has a resume point: by steps, by time, on SIGTERM; and the bar of one that goes on."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rag_lightning.core.errors import Terminated
from rag_lightning.training import fitting
from rag_lightning.training.batches import Lesson
from rag_lightning.training.callbacks import RESUME
from tests.dying_reader import ITEMS, Killed, Reader, config, fit, same, weights

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


def test_a_resume_point_has_its_time(
    new_module: Callable[..., Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 1000)
    settings = config()
    whole = new_module(settings)
    fit(whole, tmp_path / "whole", settings)
    for seconds, saved in ((3600.0, False), (0.0, True)):
        monkeypatch.setattr(fitting, "SAVE_AFTER", seconds)
        with pytest.raises(Killed):
            fit(new_module(settings, 3), tmp_path / "killed", settings)
        assert (tmp_path / "killed" / RESUME).exists() == saved
    assert torch.load(tmp_path / "killed" / RESUME, weights_only=True)["global_step"] == 3
    again = new_module(settings)
    fit(again, tmp_path / "killed", settings)
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_sigterm_ends_a_training_after_its_batch_and_it_goes_on(
    new_module: Callable[..., Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 1000)
    settings = config(trainer={"accumulate_grad_batches": accumulate})
    whole, told = new_module(settings), new_module(settings)
    fit(whole, tmp_path / "whole", settings)
    told.told_at = 3
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as ended:
        fit(told, tmp_path / "told", settings)
    assert ended.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    assert (tmp_path / "told" / RESUME).exists() == (accumulate == 1)
    again = new_module(settings)
    fit(again, tmp_path / "told", settings)
    assert same(weights(again), weights(whole))
