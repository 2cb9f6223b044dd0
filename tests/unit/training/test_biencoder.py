"""DPR's loss against direct computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rag_lightning.config.retrieval import EncoderConfig
from rag_lightning.config.training import BiencoderConfig
from rag_lightning.core.records import Passage
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.tasks.biencoder import LabelledQuestion
from rag_lightning.training.encoders import BiencoderModule, candidates

PASSAGES = [Passage(f"p{i}", f"title {i}", f"the capital of x{i} is y and z {'w ' * i}") for i in range(6)]
BATCH = [
    LabelledQuestion("what is the capital", PASSAGES[0], frozenset({"p0", "p3"}), (PASSAGES[4],)),
    LabelledQuestion("of x", PASSAGES[3], frozenset({"p3"}), (PASSAGES[5], PASSAGES[1])),
    LabelledQuestion("y and z", PASSAGES[2], frozenset({"p2"}), (PASSAGES[4],)),
]


@pytest.fixture
def module(bert_folder: Path) -> BiencoderModule:
    encoder = EncoderConfig(model=str(bert_folder), max_query_length=24, max_passage_length=48, dtype="float32")
    query, passage = TextEncoder(encoder, bert_folder, "query"), TextEncoder(encoder, bert_folder, "passage")
    return BiencoderModule(query, passage, 20.0, BiencoderConfig(steps=1, dtype="float32").training(), seed=0).eval()


def test_each_passage_of_the_step_is_a_candidate_once() -> None:
    assert list(candidates(BATCH)) == ["p0", "p4", "p3", "p5", "p1", "p2"]


def test_the_loss_is_the_share_of_the_right_passages_and_no_right_one_is_a_negative(module: BiencoderModule) -> None:
    named = list(candidates(BATCH).values())
    vectors = module.passage_encoder.encode_texts(named).astype(float)
    queries = module.query_encoder.encode_texts([item.query for item in BATCH]).astype(float)
    scores = 20.0 * queries @ vectors.T
    right = [[passage.passage_id in item.right for passage in named] for item in BATCH]
    expected = [np.log(np.exp(s[r]).sum() / np.exp(s).sum()) for s, r in zip(scores, np.array(right), strict=True)]
    likelihood, smooth = module.log_likelihood(BATCH)
    assert likelihood.detach().numpy() == pytest.approx(np.array(expected), abs=1e-4)
    assert smooth.tolist() == [0.0] * len(BATCH)
    assert sum(map(sum, right)) == 4  # p3 is right for the first question too, though it came with the second


def test_gradients_reach_both_encoders_and_the_scale(module: BiencoderModule) -> None:
    (-module.log_likelihood(BATCH)[0].mean()).backward()
    for encoder in (module.query_encoder, module.passage_encoder):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
    assert module.log_scale.grad is not None and module.log_scale.grad.abs() > 0
    assert len(module.parameter_groups()) == 5


def test_a_scale_that_is_not_trained_is_in_no_group(module: BiencoderModule) -> None:
    config = BiencoderConfig(steps=1, scale_lr=0.0).training()
    still = BiencoderModule(module.query_encoder, module.passage_encoder, 20.0, config, seed=0)
    assert len(still.parameter_groups()) == 4 and not still.log_scale.requires_grad
    assert torch.isclose(still.log_scale.exp(), torch.tensor(20.0))
