"""What training reads by every kind of retriever, against direct computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.retrieval.retriever import Asked, Hits
from rag_lightning.training.batches import Item
from rag_lightning.training.live_retrieval import OracleRetrieval
from rag_lightning.training.rag import RagModule
from rag_lightning.training.scaled_retrieval import FixedRetrieval, ScaledRetrieval

BATCH = [
    Item("what is the city", "Rome", example_id="a", gold_passage_ids=("p6",)),
    Item("capital of x", "Porto-Novo 1", example_id="b"),
    Item("y", "paris in zug", example_id="c", gold_passage_ids=("p0",)),
]
K = 3


class Words:
    """Finds three passages, two, and none."""

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        found = {"a": ([1, 4, 2], [3.0, 2.5, 1.0]), "b": ([5, 0], [2.0, 0.5]), "c": ([], [])}
        return [
            Hits(np.array(rows, dtype=np.int64), np.array(scores, dtype=np.float32))
            for rows, scores in (found[question.example_id] for question in asked)
        ]


def fixed(world: Any, scale: float = 0.7) -> FixedRetrieval:
    return FixedRetrieval(Words(), world.store, scale, "bm25.score_scale")


def oracle(world: Any) -> OracleRetrieval:
    live = world.new_retrieval()
    return OracleRetrieval(live.encoder, live._index, world.vectors, world.store, 5.0)


def likelihood(generator: Seq2SeqGenerator, item: Item, passage: Any) -> float:
    """log p(y | x, z) of the whole model, one unpadded pair at a time."""
    tokens = torch.tensor(generator.target_ids([item.target])[0])
    inputs = torch.tensor([[generator.start_id, *tokens[:-1]]])
    source = torch.tensor(generator.source_ids([Pair(item.query, passage)]))
    with torch.no_grad():
        logits = generator.model(input_ids=source, decoder_input_ids=inputs).logits[0]
    return float(torch.log_softmax(logits.double(), -1).gather(-1, tokens.unsqueeze(-1)).sum())


def direct(world: Any, generator: Seq2SeqGenerator, read: Sequence[tuple[Sequence[int | None], np.ndarray]]) -> float:
    """RAG-Sequence's mean loss where each question reads these rows (None: an empty passage) with these logits."""
    losses = []
    for item, (rows, logits) in zip(BATCH, read, strict=True):
        prior = np.exp(logits) / np.exp(logits).sum()
        found = [likelihood(generator, item, None if row is None else world.store[row]) for row in rows]
        losses.append(-np.log(sum(p * np.exp(value) for p, value in zip(prior, found, strict=True))))
    return float(np.mean(losses))


def module_of(
    retrieval: ScaledRetrieval, generator: Seq2SeqGenerator, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> tuple[RagModule, torch.Tensor]:
    module = RagModule("rag_sequence", generator, retrieval, TrainConfig(k=K, steps=2, **settings), seed=0)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    return module, module.training_step(BATCH, 0)


def test_bm25_scores_are_the_logits_and_their_scale_learns(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = new_reader()
    module, loss = module_of(fixed(world), generator, monkeypatch, retriever_lr=0.0, scale_lr=1e-2)

    def wanted(scale: float) -> float:
        first, second = np.array([3.0, 2.5, 1.0]), np.array([2.0, 0.5])
        return direct(world, generator, [((1, 4, 2), scale * first), ((5, 0), scale * second), ((None,), np.zeros(1))])

    assert loss.item() == pytest.approx(wanted(0.7), rel=1e-5)
    loss.backward()
    slope = (wanted(0.7 * np.exp(0.01)) - wanted(0.7 * np.exp(-0.01))) / 0.02
    assert float(module.retrieval.log_scale.grad) == pytest.approx(slope, rel=1e-2)
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
    assert any(module.retrieval.log_scale is p for group in module.parameter_groups() for p in group["params"])


def test_the_oracle_reads_gold_first_and_lifts_it_to_the_best(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, retrieval = new_reader(), oracle(world)
    read = []
    lifted = []
    for item in BATCH:
        scores = 5.0 * (retrieval.encoder.encode_texts([item.query]) @ world.vectors.T)[0]
        gold = [int(name[1:]) for name in item.gold_passage_ids]
        rows = [*gold, *(row for row in np.argsort(-scores).tolist() if row not in gold)][:K]
        logits = scores[rows].astype(float)
        lifted.append(logits[0] < logits[1])
        logits[0] = logits.max() if gold else logits[0]
        read.append((rows, logits))
    assert any(lifted), "else nothing is lifted"
    module, loss = module_of(retrieval, generator, monkeypatch)
    assert loss.item() == pytest.approx(direct(world, generator, read), rel=1e-4)
    loss.backward()
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in retrieval.encoder.parameters())
    ranked, scores = module.retrieval.ranked(BATCH, K)
    assert ranked.tolist() == [rows for rows, _ in read]
    np.testing.assert_allclose(scores, [logits for _, logits in read], rtol=1e-4)


@pytest.mark.parametrize("make", [fixed, oracle])
def test_the_null_document_is_one_more_passage_at_a_learnt_logit(
    world: Any,
    new_reader: Callable[..., Seq2SeqGenerator],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Any], ScaledRetrieval],
) -> None:
    generator, retrieval = new_reader(), make(world)
    retrieval.add_null_document(BATCH, K)
    rows, scores = retrieval.ranked(BATCH, K)
    assert retrieval.null_score == pytest.approx(float(scores[rows >= 0].mean()), rel=1e-5)
    module, loss = module_of(retrieval, generator, monkeypatch, scale_lr=1e-2)

    def wanted(bias: float) -> float:
        kept = [(line[line >= 0].tolist(), values[line >= 0]) for line, values in zip(rows, scores, strict=True)]
        return direct(world, generator, [([None, *r], np.array([bias, *v], dtype=float)) for r, v in kept])

    bias = float(retrieval.null_score or 0.0)
    assert loss.item() == pytest.approx(wanted(bias), rel=1e-4)
    loss.backward()
    assert retrieval.null_bias is not None and retrieval.null_bias.grad is not None
    assert float(retrieval.null_bias.grad) == pytest.approx(
        (wanted(bias + 0.01) - wanted(bias - 0.01)) / 0.02, rel=2e-2
    )
    assert any(retrieval.null_bias is p for group in module.parameter_groups() for p in group["params"])
    frozen, _ = module_of(retrieval, generator, monkeypatch, scale_lr=0.0)
    assert not any(retrieval.null_bias is p for group in frozen.parameter_groups() for p in group["params"])


def test_a_scale_without_a_logarithm_is_named(world: Any) -> None:
    with pytest.raises(ConfigError, match=r"bm25\.score_scale=-1\.0 must be a finite number above 0"):
        fixed(world, -1.0)
