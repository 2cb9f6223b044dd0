"""The loss of the query encoder's warm-up against direct computation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.training import RetrieverWarmupConfig, TrainConfig
from rag_lightning.training.encoders import QueryEncoderModule, Sought

BATCH = [Sought("what is the city", (1,)), Sought("capital of x", (0, 5)), Sought("y in zug", (6,))]
CONFIG = RetrieverWarmupConfig(steps=2, warmup=0, k=2, dtype="float32")


def module(world: Any, **settings: Any) -> QueryEncoderModule:
    return QueryEncoderModule(world.new_retrieval(), replace(CONFIG, **settings).training(), seed=0)


@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_loss_is_the_share_of_the_positives_among_what_the_batch_sees(world: Any, k: int) -> None:
    trained = module(world, k=k)
    scores = trained.retrieval.score_scale * (
        trained.retrieval.encoder.encode_texts([item.query for item in BATCH]) @ world.vectors.T
    ).astype(float)
    seen = {row for item in BATCH for row in item.rows} | {
        int(row) for line in np.argsort(-scores)[:, :k] for row in line
    }
    candidates = sorted(seen)
    expected = [
        np.log(sum(np.exp(line[row]) for row in item.rows) / np.exp(line[candidates]).sum())
        for item, line in zip(BATCH, scores, strict=True)
    ]
    likelihood, smooth = trained.log_likelihood(BATCH)
    assert likelihood.detach().numpy() == pytest.approx(np.array(expected), abs=1e-4)
    assert smooth.tolist() == [0.0] * len(BATCH)


def test_one_question_with_nothing_but_its_own_passage_has_nothing_to_learn(world: Any) -> None:
    trained = module(world, k=1)
    best = trained.retrieval.search(["what is the city"], 1)[0][0, 0]
    likelihood, _ = trained.log_likelihood([Sought("what is the city", (int(best),))])
    assert likelihood.item() == pytest.approx(0.0, abs=1e-6)


def test_gradients_reach_the_query_encoder_and_the_scale_but_no_passage(world: Any) -> None:
    trained = module(world)
    before = world.vectors.copy()
    (-trained.log_likelihood(BATCH)[0].mean()).backward()
    assert trained.retrieval.log_scale.grad is not None and trained.retrieval.log_scale.grad.abs() > 0
    moved = [p for p in trained.retrieval.encoder.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert moved
    assert np.array_equal(before, world.vectors)


@pytest.mark.parametrize(("settings", "groups"), [({}, 3), ({"scale_lr": 0.0}, 2), ({"lr": 0.0}, 1)])
def test_what_is_not_trained_is_in_no_group(world: Any, settings: dict[str, float], groups: int) -> None:
    trained = module(world, **settings)
    assert len(trained.parameter_groups()) == groups
    assert all(parameter.requires_grad for group in trained.parameter_groups() for parameter in group["params"])


def test_training_raises_the_share_of_the_positives(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = module(world, lr=1e-3, k=8)
    monkeypatch.setattr(trained, "log", lambda *_, **__: None)
    optimizer = torch.optim.AdamW(trained.parameter_groups())
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = trained.training_step(BATCH, 0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


def test_the_settings_are_those_of_a_trainer() -> None:
    loop = CONFIG.training()
    assert isinstance(loop, TrainConfig) and loop.label_smoothing == 0.0
    assert (loop.retriever_lr, loop.scale_lr, loop.k) == (CONFIG.lr, CONFIG.scale_lr, CONFIG.k)
