"""A loss or gradient that is no number ends the training, and shows its batch; a resume point of another is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ArtifactError, TrainingError
from rag_lightning.training import fitting
from rag_lightning.training.batches import Item, Lesson
from rag_lightning.training.callbacks import RESUME
from rag_lightning.training.rag import RagModule

pytestmark = [
    # Lightning 2.6 with torch 2.13
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    # the module moves its own batches, the data module has nothing to move
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
]
ITEMS = [Item(f"what is {c}", f"rome {c}") for c in "abcdefgh"]
CONFIG = TrainConfig(steps=4, batch_size=2, k=2, lr=1e-3, warmup=1, eval_every=0, dtype="float32")


class Diverging(RagModule):
    """At its third step the loss, a gradient or a query vector is no number."""

    breaks = ""

    def log_likelihood(self, batch: Any) -> tuple[Tensor, Tensor]:
        if self.global_step == 2 and self.breaks == "query vector":
            with torch.no_grad():
                next(self.retrieval.encoder.parameters()).fill_(torch.nan)
        likelihood, smooth = super().log_likelihood(batch)
        if self.global_step == 2 and self.breaks == "loss":
            likelihood = likelihood / 0
        if self.global_step == 2 and self.breaks == "gradient":
            likelihood = likelihood + torch.sqrt(0 * self.retrieval.log_scale)  # 0, whose slope is no number
        return likelihood, smooth


@pytest.fixture
def new_module(world: Any, new_reader: Callable[..., Any]) -> Callable[..., Diverging]:
    def make(breaks: str = "", formulation: Any = "rag_token") -> Diverging:
        module = Diverging(formulation, new_reader(), world.new_retrieval(), CONFIG, seed=5)
        module.breaks = breaks
        return module

    return make


def fit(module: Any, folder: Path, told: list[str] | None = None) -> dict[str, Any]:
    announce = (told if told is not None else []).append
    lesson = Lesson(ITEMS, CONFIG.batch_size)
    return fitting.fit(module, [lesson], CONFIG, folder, seed=5, progress=False, announce=announce)


@pytest.mark.parametrize("breaks", ["loss", "gradient", "query vector"])
def test_a_number_that_is_none_ends_the_training(
    new_module: Callable[..., Diverging], tmp_path: Path, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    with pytest.raises(TrainingError, match=rf"{breaks} is not finite at step 2.*failed_batch\.json"):
        fit(new_module(breaks), tmp_path)
    failed = json.loads((tmp_path / "failed_batch.json").read_text())
    assert failed["step"] == 2 and len(failed["batch"]) == 2
    for item in failed["batch"]:
        assert item["query"].startswith("what is") and item["target"].startswith("rome")
        assert len(item["passages"]) == (0 if breaks == "query vector" else 2)
        assert all(passage["text"] for passage in item["passages"])
    saved = torch.load(tmp_path / RESUME, weights_only=True)
    assert saved["global_step"] == 2
    assert all(torch.isfinite(value).all() for value in saved["state_dict"].values())
    assert not (tmp_path / "history.jsonl").exists()
    assert fit(new_module(), tmp_path)["steps"] == 4  # once the cause is gone, it goes on
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.jsonl"]


def test_every_step_logs_the_gradient_into_the_query_encoder(
    new_module: Callable[..., Diverging], tmp_path: Path
) -> None:
    result = fit(new_module(), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and all(row["query_gradient_norm"] > 0 for row in rows)
    assert 0 < result["training"]["padding_waste"] < 1
    assert 0 < result["training"]["retrieval_share"] < 1
    assert result["training"]["pairs_per_second"] > 0


@pytest.fixture
def stopped(new_module: Callable[..., Diverging], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a resume point of step 2."""
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    with pytest.raises(TrainingError):
        fit(new_module("loss"), tmp_path)
    return tmp_path


def test_a_resume_point_of_another_formulation_is_refused(new_module: Callable[..., Diverging], stopped: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"resume\.ckpt: is a resume point of .*formulation=rag_token.*rag_sequence"
    ):
        fit(new_module(formulation="rag_sequence"), stopped)
    assert (stopped / RESUME).exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [("generator.model.lm_head.weight", "only this model has"), ("retrieval.log_scale", r"is \(3,\) there")],
)
def test_a_resume_point_of_another_architecture_is_refused(
    new_module: Callable[..., Diverging], stopped: Path, name: str, says: str
) -> None:
    saved = torch.load(stopped / RESUME, weights_only=True)
    if "only" in says:
        del saved["state_dict"][name]
    else:
        saved["state_dict"][name] = torch.zeros(3)
    torch.save(saved, stopped / RESUME)
    with pytest.raises(ArtifactError, match=f"another architecture: .*{says}"):
        fit(new_module(), stopped)


def test_a_resume_point_that_is_cut_short_is_announced_and_begun_anew(
    new_module: Callable[..., Diverging], stopped: Path
) -> None:
    whole = (stopped / RESUME).read_bytes()
    (stopped / RESUME).write_bytes(whole[: len(whole) // 2])
    told: list[str] = []
    assert fit(new_module(), stopped, told)["steps"] == 4
    assert len(told) == 1 and "resume.ckpt: the resume point is cut short" in told[0] and "begins anew" in told[0]
    rows = [json.loads(line) for line in (stopped / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
