"""Training and prediction on a device that is full, of another kind than its peers', or not where a file was saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.predictor import GridPredictor, Predictor
from rag_lightning.decoding.question import Question
from rag_lightning.retrieval.embed import embed_corpus
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.training import fitting, module
from rag_lightning.training.batches import Lesson
from rag_lightning.training.callbacks import RESUME
from tests.dying_reader import ITEMS, Killed, Reader, config, fit, same, weights

pytestmark = [
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:You have overridden `transfer_batch_to_device`:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
]
QUESTIONS = [Question(Example(f"e{i}", f"what is {c}", ("x",)), (i, i + 1), (2.0, 1.0)) for i, c in enumerate("abcde")]


class Small(Encodings):
    """Encodings on a device that has room for so many pairs at once."""

    room = 4

    def memory(self, keys: Any, rows: Any) -> Any:
        if len(keys) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
        return super().memory(keys, rows)


@pytest.mark.parametrize(("formulation", "strategy"), [("rag_token", "greedy"), ("rag_sequence", "thorough")])
def test_predictions_that_do_not_fit_are_made_in_smaller_batches(
    new_reader: Callable[..., Any], world: Any, formulation: Any, strategy: str
) -> None:
    decoding = DecodingConfig(strategy, {"max_length": 4}, k=2)
    wanted = Predictor(formulation, Encodings(new_reader()), decoding, world.store).predict(QUESTIONS)
    small = Small(new_reader())
    found = Predictor(formulation, small, decoding, world.store).predict(QUESTIONS)
    assert [one.text for one in found] == [one.text for one in wanted]
    small.room = 1
    with pytest.raises(ConfigError, match=r"decoding\.pairs_per_batch=256: even 1 at a time do not fit; lower it"):
        Predictor(formulation, small.emptied(), decoding, world.store).predict(QUESTIONS)


def test_a_grid_that_does_not_fit_is_not_counted_twice(new_reader: Callable[..., Any], world: Any) -> None:
    decoding = DecodingConfig("thorough", {"max_length": 4}, k=2)
    cells = [(1, "thorough"), (2, "fast")]
    grids = [
        GridPredictor(made(new_reader()), decoding, world.store, None, cells)  # type: ignore[arg-type]
        for made in (Encodings, Small)
    ]
    for grid in grids:
        grid.predict(QUESTIONS)
    texts = [{cell: [one.text for one in found] for cell, found in grid.found.items()} for grid in grids]
    assert texts[0] == texts[1] and all(len(found) == len(QUESTIONS) for found in texts[1].values())


def test_an_embedding_that_does_not_fit(
    bert_folder: Path, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, passages = TextEncoder(EncoderConfig(), bert_folder, "passage"), [world.store[row] for row in range(8)]
    whole, room = TextEncoder.encode_batch, 2

    def limited(self: TextEncoder, encoded: Any) -> Any:
        return whole(self, encoded) if len(encoded) <= room else _full()

    monkeypatch.setattr(TextEncoder, "encode_batch", limited)
    embed_corpus(encoder, passages, tmp_path, dtype="float32")
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), world.vectors, atol=1e-6)
    room = 0
    (tmp_path / "again").mkdir()
    with pytest.raises(ConfigError, match=r"encoder\.tokens_per_batch=4096: even 2 at a time do not fit"):
        embed_corpus(encoder, passages, tmp_path / "again", dtype="float32")


def _full() -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory.")


class Full(Reader):
    """The memory is full at its third step."""

    def log_likelihood(self, batch: Any) -> Any:
        if self.global_step == 2:
            _full()
        return super().log_likelihood(batch)


@pytest.fixture
def new_full(new_reader: Callable[..., Any]) -> Callable[..., Reader]:
    def make(kind: type[Reader], dies_at: int = -1) -> Reader:
        made = kind(new_reader(), config(), seed=5)
        made.dies_at = dies_at
        return made

    return make


def test_a_training_that_does_not_fit_keeps_its_resume_point(
    new_full: Callable[..., Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    with pytest.raises(ConfigError, match=r"is full \(CUDA out of memory\.?\): lower batch_size=2 of this training"):
        fit(new_full(Full), tmp_path, config())
    assert (tmp_path / RESUME).exists()


def test_a_resume_point_saved_on_a_gpu_goes_on_here(
    new_full: Callable[..., Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(whole := new_full(Reader), tmp_path / "whole", config())
    folder = tmp_path / "stopped"
    monkeypatch.setattr(fitting, "SAVE_EVERY", 2)
    with pytest.raises(Killed):
        fit(new_full(Reader, dies_at=4), folder, config())
    saved = torch.load(folder / RESUME, weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(saved, folder / RESUME)
    with pytest.raises(RuntimeError, match="CUDA device"):
        torch.load(folder / RESUME, weights_only=True)
    fit(again := new_full(Reader), folder, config())
    assert same(weights(whole), weights(again))


def test_processes_on_two_kinds_of_devices_are_refused(
    new_full: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new_full(Reader)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")))
    monkeypatch.setattr(Reader, "trainer", trainer)
    made.setup("fit")
    monkeypatch.setattr(module, "gather_items", lambda own: [*own, "cuda"])
    with pytest.raises(ConfigError, match=r"^processes that train together are on cpu and cuda; set device to one"):
        made.setup("fit")


def test_one_device_for_several_processes_is_refused(new_full: Callable[..., Reader], tmp_path: Path) -> None:
    two = replace(config(), trainer={"devices": 2})
    with pytest.raises(ConfigError, match=r"^device=cuda:1 is one device, and trainer.devices asks for several"):
        fitting.fit(new_full(Reader), [Lesson(ITEMS, 2)], two, tmp_path, seed=5, device="cuda:1")


@pytest.mark.parametrize(("formulation", "strategy"), [("rag_token", "beam"), ("rag_sequence", "thorough")])
def test_numbers_that_overflow_in_float16_are_named(
    new_reader: Callable[..., Any], world: Any, formulation: Any, strategy: str
) -> None:
    reader = new_reader().eval()
    with torch.no_grad():
        for layer in reader.model.model.decoder.layers:
            layer.fc1.weight.mul_(3e4)
            layer.fc2.weight.mul_(3e4)
    decoding = DecodingConfig(strategy, {"max_length": 4}, k=2)
    found = Predictor(formulation, Encodings(reader), decoding, world.store).predict(QUESTIONS)
    assert all(one.log_prob <= 0 for one in found), "float32 holds them"
    with pytest.raises(ConfigError, match=r"if decoding.dtype is float16, its numbers overflow there, so use bfloat16"):
        Predictor(formulation, Encodings(reader, "float16"), decoding, world.store).predict(QUESTIONS)
