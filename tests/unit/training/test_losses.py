"""Losses and gradients of the trained modules against direct computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.records import Passage
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.training import module as training
from rag_lightning.training.batches import Item
from rag_lightning.training.live_retrieval import LiveRetrieval
from rag_lightning.training.rag import RagModule, ReaderModule

PASSAGE = Passage("x", "Rome", "Rome is the capital")
BATCH = [Item("what is the city", "Rome"), Item("capital of x", "Porto-Novo 1"), Item("y", "paris in zug")]
READ = [
    Item("what is the city", "Rome", PASSAGE),
    Item("capital of x", "Porto-Novo 1"),
    Item("what is in it", "Rome [PAD] 1", PASSAGE),  # text is scored whatever its ids are
    Item("y", "paris in zug", PASSAGE),
]
K = 3


def sequence_log_probs(generator: Seq2SeqGenerator, pair: Pair, target: str) -> tuple[np.ndarray, np.ndarray]:
    """log p of each target token [T] and of every token [T, V], one unpadded pair at a time, by the whole model."""
    tokens = torch.tensor(generator.target_ids([target])[0])
    inputs = torch.tensor([[generator.start_id, *tokens[:-1]]])
    with torch.no_grad():
        logits = generator.model(input_ids=torch.tensor(generator.source_ids([pair])), decoder_input_ids=inputs).logits
    whole = torch.log_softmax(logits[0].double(), -1)
    return whole.gather(-1, tokens.unsqueeze(-1)).squeeze(-1).numpy(), whole.numpy()


def rag_module(world: Any, generator: Seq2SeqGenerator, formulation: Any, **settings: Any) -> RagModule:
    config = TrainConfig(**{"k": K, "steps": 2, **settings})
    return RagModule(formulation, generator, world.new_retrieval(), config, seed=0)


def direct(
    world: Any, retrieval: LiveRetrieval, generator: Seq2SeqGenerator, formulation: str, epsilon: float = 0.0
) -> float:
    """The mean loss of BATCH by the formulas of the paper, in probability space."""
    losses = []
    for item in BATCH:
        scores = retrieval.score_scale * (retrieval.encoder.encode_texts([item.query]) @ world.vectors.T)[0].astype(
            float
        )
        rows = np.argsort(-scores)[:K]
        prior = np.exp(scores[rows]) / np.exp(scores[rows]).sum()
        found = [sequence_log_probs(generator, Pair(item.query, world.store[int(r)]), item.target) for r in rows]
        if formulation == "rag_sequence":
            likelihood = np.log(sum(p * np.exp(own.sum()) for p, (own, _) in zip(prior, found, strict=True)))
            terms = [len(whole[0]) * np.log(p) + whole.sum() for p, (_, whole) in zip(prior, found, strict=True)]
            smooth = np.logaddexp.reduce(terms)
        else:
            likelihood = np.log(sum(p * np.exp(own) for p, (own, _) in zip(prior, found, strict=True))).sum()
            smooth = np.log(sum(p * np.exp(whole) for p, (_, whole) in zip(prior, found, strict=True))).sum()
        size = found[0][1].shape[1]
        losses.append(-((1 - epsilon) * likelihood + epsilon / size * smooth))
    return float(np.mean(losses))


def loss_of(module: training.TrainedModule, batch: list[Item], monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    return module.training_step(batch, 0)


@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("budget", [4096, 1])
def test_rag_loss_is_the_papers_marginal_likelihood(
    world: Any,
    new_reader: Callable[..., Seq2SeqGenerator],
    monkeypatch: pytest.MonkeyPatch,
    formulation: str,
    epsilon: float,
    budget: int,
) -> None:
    monkeypatch.setattr(training, "TOKENS_PER_FORWARD", budget)
    generator = new_reader()
    module = rag_module(world, generator, formulation, label_smoothing=epsilon)
    wanted = direct(world, module.retrieval, generator, formulation, epsilon)
    assert loss_of(module, BATCH, monkeypatch).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_reader_loss_is_the_plain_likelihood(
    new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch, epsilon: float
) -> None:
    generator = new_reader()
    module = ReaderModule(generator, TrainConfig(label_smoothing=epsilon), seed=0)
    found = [sequence_log_probs(generator, Pair(i.query, i.passage), i.target) for i in READ]
    wanted = np.mean([-((1 - epsilon) * own.sum() + epsilon * whole.mean(-1).sum()) for own, whole in found])
    assert loss_of(module, READ, monkeypatch).item() == pytest.approx(wanted, rel=1e-5)
    without = [sequence_log_probs(generator, Pair(i.query, None), i.target)[0].sum() for i in READ]
    assert abs(float(np.mean(without)) - float(np.mean([own.sum() for own, _ in found]))) > 0.1


def moved(module: RagModule) -> dict[str, bool]:
    """Which parts have a gradient."""
    encoder = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.retrieval.encoder.parameters()]
    scale = module.retrieval.log_scale.grad
    return {"encoder": any(encoder), "scale": scale is not None and float(scale.abs()) > 0}


@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
def test_the_gradient_reaches_query_encoder_scale_and_generator(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch, formulation: str
) -> None:
    module = rag_module(world, new_reader(), formulation, retriever_lr=1e-4, scale_lr=1e-3)
    loss_of(module, BATCH, monkeypatch).backward()
    assert moved(module) == {"encoder": True, "scale": True}
    assert all(p.grad is not None for p in module.generator.model.model.decoder.layers.parameters())


@pytest.mark.parametrize(("retriever_lr", "scale_lr"), [(0.0, 1e-3), (1e-4, 0.0), (0.0, 0.0)])
def test_a_rate_of_zero_freezes(
    world: Any,
    new_reader: Callable[..., Seq2SeqGenerator],
    monkeypatch: pytest.MonkeyPatch,
    retriever_lr: float,
    scale_lr: float,
) -> None:
    module = rag_module(world, new_reader(), "rag_token", retriever_lr=retriever_lr, scale_lr=scale_lr)
    loss_of(module, BATCH, monkeypatch).backward()
    assert moved(module) == {"encoder": retriever_lr > 0, "scale": scale_lr > 0}
    trained = {id(p) for group in module.parameter_groups() for p in group["params"]}
    assert trained == {id(p) for p in module.parameters() if p.requires_grad}


def test_the_gradient_of_the_scale_is_that_of_finite_differences(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = new_reader()
    module = rag_module(world, generator, "rag_sequence")
    loss_of(module, BATCH, monkeypatch).backward()
    values = []
    for shift in (-0.01, 0.01):
        with torch.no_grad():
            module.retrieval.log_scale += shift
        values.append(direct(world, module.retrieval, generator, "rag_sequence"))
        with torch.no_grad():
            module.retrieval.log_scale -= shift
    assert float(module.retrieval.log_scale.grad) == pytest.approx((values[1] - values[0]) / 0.02, rel=1e-2)


def test_searching_and_training_find_the_same(world: Any) -> None:
    retrieval = world.new_retrieval().train()
    rows, scores = retrieval.search([item.query for item in BATCH], K)
    passages, live = retrieval.read(BATCH, K)
    assert [[p.passage_id for p in line] for line in passages] == [[f"p{r}" for r in line] for line in rows]
    np.testing.assert_allclose(live.detach().numpy(), scores, atol=1e-4)
    assert retrieval.training, "searching must not switch dropout off for good"


def test_a_missing_passage_has_no_weight(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = new_reader()
    wanted = rag_module(world, generator, "rag_token", k=2)
    short = rag_module(world, generator, "rag_token", k=3)
    search = short.retrieval._index.search

    def two(queries: Any, k: int) -> Any:
        scores, rows = search(queries, k)
        scores[:, 2], rows[:, 2] = -np.inf, -1
        return scores, rows

    class Short:
        ntotal, dim, search = 8, 32, staticmethod(two)

    short.retrieval._index = Short()
    loss = loss_of(short, BATCH, monkeypatch)
    assert loss.item() == pytest.approx(loss_of(wanted, BATCH, monkeypatch).item(), rel=1e-5)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in short.parameters())


def test_matrices_decay_and_vectors_do_not(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    module = ReaderModule(new_reader(), TrainConfig(weight_decay=0.3), seed=0)
    decayed, plain = module.parameter_groups()
    assert decayed["weight_decay"] == 0.3 and all(p.ndim > 1 for p in decayed["params"])
    assert plain["weight_decay"] == 0.0 and all(p.ndim == 1 for p in plain["params"])
    assert len(decayed["params"]) + len(plain["params"]) == len(list(module.parameters()))


def test_the_rate_rises_and_falls_to_zero(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    module = ReaderModule(new_reader(), TrainConfig(steps=10, warmup=4, lr=1.0), seed=0)
    found = module.configure_optimizers()
    rates = []
    for _ in range(11):
        rates.append(found["optimizer"].param_groups[0]["lr"])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0.0])
