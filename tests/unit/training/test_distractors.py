"""The loss of distractors against autograd of torch's own KL, one unpadded pair at a time by the whole model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rag_lightning.config.training import TrainConfig
from rag_lightning.core.records import Passage
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import spread_log_probs, target_log_probs
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.training.batches import Item
from rag_lightning.training.distractors import distractors, is_distractor
from rag_lightning.training.rag import RagModule, ReaderModule

ROME = Passage("r", "Rome", "Rome is the capital of x")
READ = [
    Item("what is the city", "Rome", ROME),
    Item("capital of x", "paris in zug", ROME, distractor=True),
    Item("what is in it", "Porto-Novo 1", ROME, distractor=True),
]
ASKED = [Item("what is the city", "Rome"), Item("capital of x", "Porto-Novo 1"), Item("y", "city")]
"""The last target stands in every passage of the corpus."""
SPREADS = ["spread_first", "spread_all"]


def logits_of(generator: Seq2SeqGenerator, query: str, passage: Passage | None, target: str) -> tuple[Tensor, Tensor]:
    """Logits [T, V] with gradient, and the target tokens [T]."""
    tokens = torch.tensor(generator.target_ids([target])[0])
    inputs = torch.tensor([[generator.start_id, *tokens[:-1]]])
    ids = torch.tensor(generator.source_ids([Pair(query, passage)]))
    logits: Tensor = generator.model(input_ids=ids, decoder_input_ids=inputs).logits[0]
    return logits, tokens


def kl(logits: Tensor, spread: str) -> Tensor:
    """KL(uniform || p) by torch, at the first token or as a mean over tokens."""
    kept = logits[:1] if spread == "spread_first" else logits
    even = torch.full_like(kept, 1 / kept.shape[-1])
    return F.kl_div(torch.log_softmax(kept, -1), even, reduction="sum") / len(kept)


def likelihood(logits: Tensor, tokens: Tensor) -> Tensor:
    return torch.log_softmax(logits, -1).gather(-1, tokens.unsqueeze(-1)).sum()


def gradients(module: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys() and any(float(g.abs().max()) > 1e-3 for g in wanted.values())
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=2e-5, msg=name)


def test_the_gradient_of_the_spread_is_p_minus_uniform() -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(2, 3, 4, requires_grad=True), torch.eye(4)
    targets, scored = torch.tensor([[1, 2, 0], [3, 0, 0]]), torch.tensor([[True, True, False], [True, True, False]])
    spread = torch.tensor([[False, False, False], [True, True, False]])
    gathered, even = spread_log_probs(states, targets, scored, spread, weight, None)
    torch.testing.assert_close(gathered, target_log_probs(states, targets, scored, weight, None), rtol=0, atol=0)
    assert bool((even[spread] < 0).all()) and not even[~spread].any()
    (-even).sum().backward()
    wanted = torch.where(spread.unsqueeze(-1), torch.softmax(states.detach(), -1) - 1 / 4, torch.zeros(()))
    torch.testing.assert_close(states.grad, wanted)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_a_distractor_of_the_reader_has_the_spread_alone(
    new_reader: Callable[..., Seq2SeqGenerator], spread: Any, epsilon: float
) -> None:
    generator = new_reader()
    module = ReaderModule(generator, TrainConfig(distractor_loss=spread, label_smoothing=epsilon), seed=0)
    terms = []
    for item in READ:
        logits, tokens = logits_of(generator, item.query, item.passage, item.target)
        own = -(1 - epsilon) * likelihood(logits, tokens) - epsilon * torch.log_softmax(logits, -1).mean(-1).sum()
        terms.append(kl(logits, spread) if item.distractor else own)
    wanted = torch.stack(terms)
    found = module.losses(READ)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    same(gradients(module, found.mean()), gradients(module, wanted.mean()))


def rag_loss(module: RagModule, store: Sequence[Passage], spread: str, weight: float) -> Tensor:
    """Mean over ASKED of -log p(y|x) and weight times the mean KL over the passages without the target."""
    losses = []
    for item in ASKED:
        rows, scores = module.retrieval.scored([item], module.settings.k)
        prior = torch.log_softmax(scores[0], -1)
        made = [logits_of(module.generator, item.query, store[int(r)], item.target) for r in rows[0]]  # type: ignore[arg-type]
        wrong = [item.target.lower() not in f"{store[int(r)].title} {store[int(r)].text}".lower() for r in rows[0]]
        loss = -torch.logsumexp(prior + torch.stack([likelihood(*one) for one in made]), 0)
        terms = [kl(logits, spread) for (logits, _), flag in zip(made, wrong, strict=True) if flag]
        losses.append(loss + weight * torch.stack(terms).mean() if terms else loss)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("spread", SPREADS)
def test_the_spread_is_added_for_passages_without_the_target(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator], spread: Any
) -> None:
    config = TrainConfig(k=3, distractor_loss=spread, distractor_weight=0.7, retriever_lr=1e-4)
    module = RagModule("rag_sequence", new_reader(), world.new_retrieval(), config, seed=0)
    found = module.losses(ASKED).mean()
    flags = distractors(ASKED, module._read)
    assert not any(flags[2]) and all(flags[1]) and len(flags[0]) == 3
    wanted = rag_loss(module, world.store, spread, 0.7)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    same(gradients(module, found), gradients(module, wanted))


def test_without_a_distractor_loss_it_is_the_plain_likelihood(
    world: Any, new_reader: Callable[..., Seq2SeqGenerator]
) -> None:
    module = RagModule("rag_sequence", new_reader(), world.new_retrieval(), TrainConfig(k=3), seed=0)
    plain, _ = module.log_likelihood(ASKED)
    torch.testing.assert_close(module.losses(ASKED), -plain, rtol=0, atol=0)
    spread = RagModule(
        "rag_sequence", module.generator, module.retrieval, TrainConfig(k=3, distractor_loss="spread_first"), seed=0
    )
    torch.testing.assert_close(spread.log_likelihood(ASKED)[0], plain, rtol=0, atol=0)


def test_a_distractor_is_neither_gold_nor_holds_the_target() -> None:
    other = Passage("o", "Zug", "a town")
    assert [is_distractor(Item("q", "rome"), p) for p in (ROME, other, None)] == [False, True, False]
    assert not is_distractor(Item("q", "paris", gold_passage_ids=("o",)), other)
    written = Item("q", "It is Rome.", kind="written")
    assert not is_distractor(written, other), "nothing is known of it"
    known = Item("q", "It is Rome.", kind="written", gold_passage_ids=("r",))
    assert is_distractor(known, other) and not is_distractor(known, ROME)
