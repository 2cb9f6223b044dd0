"""Label probabilities against the whole model, one unpadded pair at a time, summed in probability space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.decoding.class_scores import class_log_probs, decode
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.heads import ClassHead, LabelTokens
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

LABELS = ("supports", "refutes", "not enough info")
WORDS = ("paris", "rome", "novo")
TEXTS = ("rome is a city", "the river in porto", "x", "what is the capital of 7 in the city of novo")
QUERIES = ("rome is the capital", "y", "the river in porto is in the city of paris")
PRIORS = ([0.5, 0.3, 0.1, 0.1], [0.6, 0.4], [1.0])


@pytest.fixture(params=["label_token", "class_head"])
def generator(request: pytest.FixtureRequest, new_reader: Callable[..., Seq2SeqGenerator]) -> Seq2SeqGenerator:
    made = new_reader()
    made.config = replace(made.config, head=request.param, verbalisers=WORDS)
    made.set_classes(LABELS, seed=1).eval()
    if isinstance(made.classes, ClassHead):
        with torch.no_grad():
            made.classes.linear.weight.mul_(5)  # classes that differ
    return made


@pytest.fixture
def questions() -> list[list[Pair]]:
    return [
        [Pair(query, Passage(str(i), "", TEXTS[i])) for i in range(len(priors))]
        for query, priors in zip(QUERIES, PRIORS, strict=True)
    ]


def logs(priors: list[float]) -> torch.Tensor:
    return torch.tensor(priors).log()


def direct(generator: Seq2SeqGenerator, pair: Pair) -> np.ndarray:
    """[C] p(c|x,z), over the whole vocabulary for label tokens."""
    source = torch.tensor(generator.source_ids([pair]))
    classes = generator.classes
    with torch.inference_mode():
        if isinstance(classes, LabelTokens):
            logits = generator.model(
                input_ids=source, decoder_input_ids=torch.tensor([[generator.start_id]])
            ).logits.double()[0, 0]
            return logits.softmax(-1)[list(classes.token_ids)].numpy()
        assert classes is not None
        words = generator.tokenizer(pair.query, add_special_tokens=False)["input_ids"]
        fed = torch.tensor([[generator.start_id, *words, generator.eos_id]])
        state = generator.model.model(input_ids=source, decoder_input_ids=fed).last_hidden_state[0, -1]
        return classes.linear(state).double().softmax(-1).numpy()


def test_one_number_a_pair_and_class(generator: Seq2SeqGenerator, questions: list[list[Pair]]) -> None:
    found = class_log_probs(Encodings(generator), questions, PairStore())
    for pairs, log_probs in zip(questions, found, strict=True):
        assert log_probs.shape == (len(pairs), 3)
        wanted = np.log(np.stack([direct(generator, pair) for pair in pairs]))
        np.testing.assert_allclose(log_probs.numpy(), wanted, atol=2e-5)


def test_labels_are_ranked_by_the_marginal_over_passages(
    generator: Seq2SeqGenerator, questions: list[list[Pair]]
) -> None:
    encodings = Encodings(generator)
    found = class_log_probs(encodings, questions, PairStore())
    for pairs, log_probs, priors in zip(questions, found, PRIORS, strict=True):
        mixed = sum(p * direct(generator, pair) for p, pair in zip(priors, pairs, strict=True))
        wanted = mixed / mixed.sum()
        ranked = decode(encodings, log_probs, logs(priors))
        assert [h.text for h in ranked] == [LABELS[i] for i in np.argsort(-wanted)]
        np.testing.assert_allclose([np.exp(h.log_prob) for h in ranked], np.sort(wanted)[::-1], atol=1e-5)
        ids = generator.classes.token_ids if isinstance(generator.classes, LabelTokens) else None
        for hypothesis in ranked:
            at = LABELS.index(hypothesis.text)
            assert hypothesis.token_ids == ((ids[at],) if ids else ())
            assert hypothesis.passage_log_probs == pytest.approx(log_probs[:, at].tolist())


def test_a_batch_is_its_questions_one_by_one(generator: Seq2SeqGenerator, questions: list[list[Pair]]) -> None:
    whole = class_log_probs(Encodings(generator), questions, PairStore())
    for pairs, together in zip(questions, whole, strict=True):
        (alone,) = class_log_probs(Encodings(generator), [pairs], PairStore())
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


def test_a_smaller_k_is_a_prefix_that_costs_nothing(
    generator: Seq2SeqGenerator, questions: list[list[Pair]], tmp_path: Path
) -> None:
    with PairStore(tmp_path / "pairs.sqlite") as store:
        encodings = Encodings(generator)
        whole = class_log_probs(encodings, questions, store)
        assert (store.generated, store.reused) == (7, 0)
    with PairStore(tmp_path / "pairs.sqlite") as store:
        fresh = Encodings(generator)
        for k in (1, 2):
            found = class_log_probs(fresh, [pairs[:k] for pairs in questions], store)
            assert all(torch.equal(a, b[:k]) for a, b in zip(found, whole, strict=True))
        assert (store.generated, store.reused, fresh.encoded) == (0, 3 + 5, 0)
    ranked = decode(encodings, whole[0], logs(PRIORS[1]))
    assert ranked == decode(encodings, whole[0][:2], logs(PRIORS[1]))


def test_without_a_passage_the_claim_alone_is_read(generator: Seq2SeqGenerator) -> None:
    pair = Pair(QUERIES[0], None)
    encodings = Encodings(generator)
    (log_probs,) = class_log_probs(encodings, [[pair]], PairStore())
    wanted = direct(generator, pair)
    ranked = decode(encodings, log_probs, torch.zeros(1))
    np.testing.assert_allclose([h.log_prob for h in ranked], np.sort(np.log(wanted / wanted.sum()))[::-1], atol=2e-5)


def test_a_claim_that_was_cut_from_the_input_is_still_its_own(new_reader: Callable[..., Seq2SeqGenerator]) -> None:
    """transformers' template cuts the question first: two claims may have one input."""
    made = new_reader(max_source_length=6)
    made.config = replace(made.config, head="class_head", template="hf_rag")
    encodings = Encodings(made.set_classes(LABELS))
    passage = Passage("p", "rome", "the river in the city of porto")
    pairs = [[Pair("paris is in rome", passage)], [Pair("novo is in rome", passage)]]
    assert len(set(encodings.keys([p for listed in pairs for p in listed])[0])) == 1
    one, other = class_log_probs(encodings, pairs, PairStore())
    assert not torch.allclose(one, other)


def test_a_generator_that_writes_text_says_no_labels(toy: Any) -> None:
    with pytest.raises(ConfigError, match=r"set generator\.head"):
        class_log_probs(Encodings(toy), [[Pair("a", None)]], PairStore())
