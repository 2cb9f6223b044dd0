"""The loss of classification against direct computation, for both heads and all modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.question import Question
from rag_lightning.generator.heads import ClassHead, LabelTokens
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.training import module as training
from rag_lightning.training.batches import Item
from rag_lightning.training.rag import RagModule, ReaderModule

LABELS = ("supports", "refutes")
WORDS = ("paris", "rome")
BATCH = [
    Item("rome is the capital of x", LABELS[0], kind="label"),
    Item("porto is a city in the river 2", LABELS[1], kind="label"),
    Item("y", LABELS[1], kind="label"),
]
PASSAGE = Passage("x", "Rome", "Rome is the capital")
CLOZE = Item("what is the city", "Rome", PASSAGE)
K = 3
NewReader = Callable[..., Seq2SeqGenerator]


def reader(new_reader: NewReader, head: str) -> Seq2SeqGenerator:
    made = new_reader()
    made.config = replace(made.config, head=head, verbalisers=WORDS if head == "label_token" else ())  # type: ignore[arg-type]
    made.set_classes(LABELS, seed=4)
    if isinstance(made.classes, ClassHead):
        with torch.no_grad():
            made.classes.linear.weight.mul_(20)
    return made


def outcomes(generator: Seq2SeqGenerator, pair: Pair) -> tuple[np.ndarray, list[int]]:
    """log p of every outcome (tokens or classes), and where the labels stand among them."""
    source = torch.tensor(generator.source_ids([pair]))
    classes = generator.classes
    with torch.no_grad():
        if isinstance(classes, LabelTokens):
            start = torch.tensor([[generator.start_id]])
            logits = generator.model(input_ids=source, decoder_input_ids=start).logits[0, 0]
            return torch.log_softmax(logits.double(), -1).numpy(), list(classes.token_ids)
        assert classes is not None
        words = generator.tokenizer(pair.query, add_special_tokens=False)["input_ids"]
        fed = torch.tensor([[generator.start_id, *words, generator.eos_id]])
        state = generator.model.model(input_ids=source, decoder_input_ids=fed).last_hidden_state[0, -1]
        return torch.log_softmax(classes.linear(state).double(), -1).numpy(), list(range(len(LABELS)))


def loss_of(module: training.TrainedModule, batch: list[Item], monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    return module.training_step(batch, 0)


def rag(world: Any, generator: Seq2SeqGenerator, formulation: Any = "rag_sequence", **settings: Any) -> RagModule:
    config = TrainConfig(**{"k": K, "steps": 2, **settings})
    return RagModule(formulation, generator, world.new_retrieval(), config, seed=0)


@pytest.mark.parametrize("head", ["label_token", "class_head"])
@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token"])
@pytest.mark.parametrize("budget", [4096, 1])
def test_rag_learns_the_marginal_probability_of_the_label(
    world: Any, new_reader: NewReader, monkeypatch: pytest.MonkeyPatch, head: str, formulation: str, budget: int
) -> None:
    monkeypatch.setattr(training, "TOKENS_PER_FORWARD", budget)
    generator = reader(new_reader, head)
    module = rag(world, generator, formulation)
    wanted = []
    for item in BATCH:
        rows, scores = module.retrieval.search([item.query], K)
        prior = np.exp(scores[0] - scores[0].max()) / np.exp(scores[0] - scores[0].max()).sum()
        found = [outcomes(generator, Pair(item.query, world.store[int(row)])) for row in rows[0]]
        at = found[0][1][LABELS.index(item.target)]
        wanted.append(-np.log(sum(p * np.exp(log_probs[at]) for p, (log_probs, _) in zip(prior, found, strict=True))))
    assert loss_of(module, BATCH, monkeypatch).item() == pytest.approx(np.mean(wanted), rel=1e-4)


@pytest.mark.parametrize("head", ["label_token", "class_head"])
@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_closed_book_learns_the_label_and_smooths_over_the_outcomes(
    new_reader: NewReader, monkeypatch: pytest.MonkeyPatch, head: str, epsilon: float
) -> None:
    generator = reader(new_reader, head)
    module = ReaderModule(generator, TrainConfig(label_smoothing=epsilon), seed=0)
    wanted = []
    for item in BATCH:
        log_probs, places = outcomes(generator, Pair(item.query, None))
        own = log_probs[places[LABELS.index(item.target)]]
        wanted.append(-((1 - epsilon) * own + epsilon * log_probs.mean()))
    assert loss_of(module, BATCH, monkeypatch).item() == pytest.approx(np.mean(wanted), rel=1e-4)


@pytest.mark.parametrize("head", ["label_token", "class_head"])
def test_a_warm_up_mixes_labels_and_text(new_reader: NewReader, monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    generator = reader(new_reader, head)
    module = ReaderModule(generator, TrainConfig(), seed=0)
    alone = [loss_of(module, [item], monkeypatch).item() for item in (BATCH[0], CLOZE, BATCH[1])]
    mixed = loss_of(module, [BATCH[0], CLOZE, BATCH[1]], monkeypatch).item()
    assert mixed == pytest.approx(np.mean(alone), rel=1e-5)
    assert loss_of(ReaderModule(new_reader(), TrainConfig(), 0), [CLOZE], monkeypatch).item() == pytest.approx(
        alone[1], rel=1e-5
    ), "text is learned as without a head"


@pytest.mark.parametrize("head", ["label_token", "class_head"])
def test_the_gradient_reaches_everything_that_is_trained(
    world: Any, new_reader: NewReader, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    module = rag(world, reader(new_reader, head), retriever_lr=1e-4, scale_lr=1e-3)
    loss_of(module, BATCH, monkeypatch).backward()
    assert module.retrieval.log_scale.grad is not None and module.retrieval.log_scale.grad.abs() > 0
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.retrieval.encoder.parameters())
    if isinstance(module.generator.classes, ClassHead):
        assert module.generator.classes.linear.weight.grad.abs().sum() > 0
        trained = {id(p) for group in module.parameter_groups() for p in group["params"]}
        assert {id(p) for p in module.generator.classes.parameters()} <= trained


@pytest.mark.parametrize("head", ["label_token", "class_head"])
def test_a_label_outside_the_task_is_refused(new_reader: NewReader, monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    module = ReaderModule(reader(new_reader, head), TrainConfig(), seed=0)
    with pytest.raises(ConfigError, match="label 'maybe' is none of"):
        loss_of(module, [Item("q", "maybe", kind="label")], monkeypatch)


ROWS = ((0, 3, 5), (2, 1), (), (7, 0, 4))
ASKED = [
    Question(Example(f"e{i}", query, ("supports",)), rows, tuple(2.0 - 0.7 * n for n in range(len(rows))))
    for i, (query, rows) in enumerate(zip(("rome", "city in x", "y", "the capital of 7"), ROWS, strict=True))
]


@pytest.mark.parametrize("head", ["label_token", "class_head"])
@pytest.mark.parametrize("formulation", ["rag_sequence", "rag_token", "closed_book"])
def test_predictions_do_not_depend_on_the_batch(world: Any, new_reader: NewReader, head: str, formulation: Any) -> None:
    encodings = Encodings(reader(new_reader, head))
    store = None if formulation == "closed_book" else world.store
    asked = [Question(q.example, (), ()) for q in ASKED] if store is None else ASKED

    def predictor() -> Predictor:
        return Predictor(formulation, encodings, DecodingConfig(strategy="classify", k=3), store)

    whole = predictor().predict(asked)
    alone = [predictor().predict([question])[0] for question in asked]
    assert [p.example_id for p in whole] == ["e0", "e1", "e2", "e3"]
    for left, right in zip(whole, alone, strict=True):
        assert (left.text, left.raw_text) == (right.text, right.raw_text) and left.text in LABELS
        assert left.log_prob == pytest.approx(right.log_prob, abs=1e-5)
        assert sum(np.exp(h.log_prob) for h in left.hypotheses) == pytest.approx(1.0, abs=1e-5)
    (closed,) = Predictor("closed_book", encodings, DecodingConfig(strategy="classify"), None).predict([asked[2]])
    assert whole[2].log_prob == pytest.approx(closed.log_prob, abs=1e-5), "no passage: from the parameters alone"


def test_a_head_and_its_decoding_go_together(new_reader: NewReader) -> None:
    headed, plain = Encodings(reader(new_reader, "class_head")), Encodings(new_reader())
    for encodings, strategy in ((headed, "greedy"), (plain, "classify")):
        with pytest.raises(ConfigError, match=r"classify goes with a generator\.head"):
            Predictor("closed_book", encodings, DecodingConfig(strategy=strategy), None)
