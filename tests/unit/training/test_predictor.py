"""Examples and rankings become predictions, for every formulation and strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.registries import DECODINGS
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Example, Prediction, Ranking
from rag_lightning.decoding import rag_sequence, rag_token
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.question import Question, questions
from rag_lightning.decoding.strategy import check_strategy
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.generator.surface import Surface
from rag_lightning.stages.predict import PredictionModule
from rag_lightning.training.fitting import quiet_trainer

EXAMPLES = [Example(f"e{i}", q, ("x",)) for i, q in enumerate(["what is rome", "city in x", "y", "the capital of 7"])]
ROWS = ((0, 3, 5), (2, 1), (), (7, 0, 4))
QUESTIONS = [
    Question(example, rows, tuple(2.0 - 0.7 * i for i in range(len(rows))))
    for example, rows in zip(EXAMPLES, ROWS, strict=True)
]
ALL = [
    (formulation, strategy)
    for strategy in DECODINGS
    for formulation in DECODINGS.get(strategy).formulations
    if strategy != "classify" and not DECODINGS.get(strategy).from_train and not DECODINGS.get(strategy).served
]
LENGTH = 5


@pytest.fixture
def encodings(new_reader: Callable[..., Seq2SeqGenerator]) -> Encodings:
    return Encodings(new_reader())


def predictor(
    encodings: Encodings, world: Any, formulation: Any, strategy: Any, pairs: PairStore | None = None, **more: Any
) -> Predictor:
    options = {"max_length": LENGTH, "num_beams": 3, **more}
    together = {"pairs_per_batch": options.pop("pairs_per_batch", 256)}
    decoding = DecodingConfig(strategy, options, k=3, **together)
    return Predictor(formulation, encodings, decoding, None if formulation == "closed_book" else world.store, pairs)


def close(found: list[Prediction], wanted: list[Prediction]) -> None:
    assert [p.example_id for p in found] == [p.example_id for p in wanted]
    for left, right in zip(found, wanted, strict=True):
        assert left.text == right.text and left.raw_text == right.raw_text
        assert [h.token_ids for h in left.hypotheses] == [h.token_ids for h in right.hypotheses]
        values = [[h.log_prob for h in p.hypotheses] for p in (left, right)]
        np.testing.assert_allclose(*values, atol=1e-4)


@pytest.mark.parametrize(("formulation", "strategy"), ALL)
def test_predictions_are_in_order_and_do_not_depend_on_the_batch(
    encodings: Encodings, world: Any, formulation: str, strategy: str
) -> None:
    asked = [Question(q.example, (), ()) for q in QUESTIONS] if formulation == "closed_book" else QUESTIONS
    whole = predictor(encodings, world, formulation, strategy).predict(asked)
    assert [p.example_id for p in whole] == ["e0", "e1", "e2", "e3"]
    alone = predictor(encodings, world, formulation, strategy)
    close([alone.predict([question])[0] for question in asked], whole)
    for prediction in whole:
        values = [h.log_prob for h in prediction.hypotheses]
        assert values == sorted(values, reverse=True) and 1 <= len(values) <= 5
        assert (prediction.text, prediction.log_prob) == (prediction.hypotheses[0].text, values[0])


@pytest.mark.parametrize(("formulation", "strategy"), [("rag_token", "beam"), ("rag_sequence", "thorough")])
def test_a_prediction_is_what_decoding_says_under_the_softmax_of_the_scores(
    encodings: Encodings, world: Any, formulation: str, strategy: str
) -> None:
    (found,) = predictor(encodings, world, formulation, strategy).predict(QUESTIONS[:1])
    passages = [world.store[row] for row in ROWS[0]]
    pairs = [Pair(EXAMPLES[0].query, passage) for passage in passages]
    priors = torch.tensor([QUESTIONS[0].doc_scores]).log_softmax(-1)
    if formulation == "rag_token":
        pool = rag_token.decode(encodings, [pairs], priors, num_beams=3, max_length=LENGTH)[0]
    else:
        (matrix,) = rag_sequence.matrices(encodings, [pairs], PairStore(), num_beams=1, max_length=LENGTH)
        pool = rag_sequence.decode(matrix, priors[0].numpy(), strategy)
    assert found.hypotheses[0].token_ids == pool[0].token_ids
    assert found.log_prob == pytest.approx(pool[0].log_prob, abs=1e-5)
    surface = Surface(encodings.generator.tokenizer)
    assert found.text == surface.realise(pool[0].token_ids, passages)
    assert found.raw_text == surface.raw(pool[0].token_ids)


@pytest.mark.parametrize(("formulation", "strategy"), [("rag_token", "greedy"), ("rag_sequence", "fast")])
def test_a_question_without_passages_is_answered_from_the_parameters(
    encodings: Encodings, world: Any, formulation: str, strategy: str
) -> None:
    (found,) = predictor(encodings, world, formulation, strategy).predict([QUESTIONS[2]])
    (closed,) = predictor(encodings, world, "closed_book", "greedy").predict([QUESTIONS[2]])
    close([found], [closed])


def test_the_surface_is_that_of_the_passages_shown(
    encodings: Encodings, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = (*encodings.generator.tokenizer("rome", add_special_tokens=False)["input_ids"], 3)
    pool = [[rag_token.Finished(-1.0, written)]]
    monkeypatch.setattr(rag_token, "decode", lambda *_, **__: pool)
    made = predictor(encodings, world, "rag_token", "greedy")
    asked = [Question(EXAMPLES[0], rows, (1.0,)) for rows in ((1,), (0,))]
    assert [made.predict([q])[0].text for q in asked] == ["Rome", "rome"]


def test_pairs_are_generated_once_for_all_strategies(encodings: Encodings, world: Any) -> None:
    store = PairStore()
    predictor(encodings, world, "rag_sequence", "thorough", store).predict(QUESTIONS)
    assert (store.generated, store.reused) == (9, 0)
    predictor(encodings, world, "rag_sequence", "fast", store).predict(QUESTIONS)
    assert (store.generated, store.reused) == (9, 9)


def test_a_question_of_rag_token_with_known_passages_and_scores_is_not_searched_again(
    encodings: Encodings, world: Any
) -> None:
    store = PairStore()
    first = predictor(encodings, world, "rag_token", "beam", store).predict(QUESTIONS)
    assert (store.generated, store.reused) == (9, 0)
    other = [*QUESTIONS[:3], replace(QUESTIONS[3], doc_scores=(2.0, 1.3, 0.5))]
    again = predictor(encodings, world, "rag_token", "beam", store).predict(other)
    assert (store.generated, store.reused) == (12, 6), "another score is another question"
    assert again[:3] == first[:3] and again[3] != first[3]


def test_closed_book_keeps_nothing_in_the_store(encodings: Encodings, world: Any) -> None:
    store = PairStore()
    asked = [Question(EXAMPLES[0], (), ())]
    predictor(encodings, world, "closed_book", "greedy", store).predict(asked)
    assert (store.generated, store.reused) == (0, 0)


@pytest.mark.parametrize(("formulation", "sizes"), [("rag_token", [2, 2]), ("closed_book", [4])])
def test_a_batch_holds_as_many_pairs_as_fit(
    encodings: Encodings, world: Any, formulation: str, sizes: list[int]
) -> None:
    made = predictor(encodings, world, formulation, "greedy", pairs_per_batch=7)
    batches = list(made.batches(QUESTIONS))
    assert [len(batch) for batch in batches] == sizes
    assert [q for batch in batches for q in batch] == QUESTIONS


def test_a_batch_holds_at_least_one_question(encodings: Encodings, world: Any) -> None:
    made = predictor(encodings, world, "rag_token", "greedy", pairs_per_batch=1)
    assert [len(batch) for batch in made.batches(QUESTIONS)] == [1, 1, 1, 1]


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning")
def test_the_trainer_predicts_every_question_in_order(encodings: Encodings, world: Any) -> None:
    made = predictor(encodings, world, "rag_token", "greedy", pairs_per_batch=3)
    module = PredictionModule(made)
    loader: Any = torch.utils.data.DataLoader(list(made.batches(QUESTIONS)), batch_size=None)  # type: ignore[arg-type]
    quiet_trainer(enable_progress_bar=False).predict(module, loader)
    close(module.predictions, made.predict(QUESTIONS))


@pytest.mark.parametrize(
    ("formulation", "strategy", "known"),
    [
        ("rag_token", "fast", "greedy or beam"),
        ("rag_sequence", "greedy", "thorough or fast"),
        ("closed_book", "thorough", "greedy or beam"),
        ("fid", "thorough", "greedy or beam"),
    ],
)
def test_a_strategy_of_another_formulation_is_refused(
    encodings: Encodings, world: Any, formulation: Any, strategy: Any, known: str
) -> None:
    with pytest.raises(ConfigError, match=f"'{strategy}' does not decode {formulation}; use {known}"):
        predictor(encodings, world, formulation, strategy)


def test_every_formulation_takes_its_strategies() -> None:
    for formulation, strategy in ALL:
        check_strategy(formulation, strategy)  # type: ignore[arg-type]


def test_rankings_join_by_id_are_cut_at_k_and_scaled() -> None:
    rankings = [Ranking("e1", (4, 2, 1), (0.5, 0.25, 0.1)), Ranking("e0", (3,), (1.0,)), Ranking("other", (), ())]
    assert questions(EXAMPLES[:2], rankings, score_scale=4.0, k=2) == [
        Question(EXAMPLES[0], (3,), (4.0,)),
        Question(EXAMPLES[1], (4, 2), (2.0, 1.0)),
    ]


def test_an_example_without_a_ranking_is_named() -> None:
    with pytest.raises(ConfigError, match="2 examples have no ranking, the first is 'e1'"):
        questions(EXAMPLES[:3], [Ranking("e0", (3,), (1.0,))], 1.0, 2)


def test_no_rankings_are_closed_book() -> None:
    assert questions(EXAMPLES[:1], None, 1.0, 5) == [Question(EXAMPLES[0], (), ())]


def test_rag_sequence_searches_each_passage_with_as_many_beams_as_asked(encodings: Encodings, world: Any) -> None:
    pools = []
    for beams in (1, 3):
        made = predictor(encodings, world, "rag_sequence", "fast", passage_beams=beams)
        (found,) = made.predict(QUESTIONS[:1])
        pairs = [Pair(EXAMPLES[0].query, world.store[row]) for row in ROWS[0]]
        (matrix,) = rag_sequence.matrices(encodings, [pairs], PairStore(), num_beams=beams, max_length=LENGTH)
        prior = torch.tensor(QUESTIONS[0].doc_scores).log_softmax(-1).numpy()
        pool = rag_sequence.decode(matrix, prior, "fast")
        assert found.hypotheses[0].token_ids == pool[0].token_ids
        pools.append(len(pool))
    assert pools[1] > pools[0]


@pytest.mark.parametrize("name", ["k", "num_beams", "passage_beams", "max_length", "pairs_per_batch"])
def test_counts_below_one_are_refused(name: str) -> None:
    values = {name: 0} if name in ("k", "pairs_per_batch") else {"options": {name: 0}}
    with pytest.raises(ConfigError, match=f"decoding.{name}=0: must be at least 1"):
        DecodingConfig("greedy", **values)  # type: ignore[arg-type]


def test_more_tokens_than_the_decoder_has_positions_are_refused(encodings: Encodings, world: Any) -> None:
    positions = encodings.generator.model.config.max_position_embeddings
    Predictor("rag_token", encodings, DecodingConfig(options={"max_length": positions}), world.store)
    with pytest.raises(ConfigError, match=f"max_length={positions + 1} exceeds the {positions} positions"):
        Predictor("rag_token", encodings, DecodingConfig(options={"max_length": positions + 1}), world.store)


@pytest.mark.parametrize(("formulation", "strategy"), [("rag_token", "greedy"), ("rag_sequence", "thorough")])
@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_named(
    encodings: Encodings, world: Any, formulation: str, strategy: str, score: float
) -> None:
    asked = [QUESTIONS[0], Question(EXAMPLES[1], (2, 1), (1.0, score))]
    with pytest.raises(DataError, match=rf"ranking of e1, row 2, field 'doc_scores': .* \(got {score}\)"):
        predictor(encodings, world, formulation, strategy).predict(asked)


@pytest.mark.parametrize("penalty", [float("nan"), float("inf")])
def test_a_length_penalty_that_is_no_number_is_refused(penalty: float) -> None:
    with pytest.raises(ConfigError, match=r"length_penalty=.*must be a finite number"):
        DecodingConfig(options={"length_penalty": penalty})


@pytest.mark.parametrize(("formulation", "strategy"), [("rag_token", "beam"), ("rag_sequence", "fast")])
def test_a_length_penalty_ranks_and_the_log_probs_stay_true(
    encodings: Encodings, world: Any, monkeypatch: pytest.MonkeyPatch, formulation: str, strategy: str
) -> None:
    short, long = rag_token.Finished(-1.0, (40, 3)), rag_token.Finished(-1.5, (40, 41, 42, 3))
    if formulation == "rag_token":
        monkeypatch.setattr(rag_token, "decode", lambda *_, **__: [[short, long]])
    else:
        monkeypatch.setattr(rag_sequence, "decode", lambda *_: [short, long])
    for penalty, best in ((0.0, short), (1.0, long), (-1.0, short)):
        made = predictor(encodings, world, formulation, strategy, length_penalty=penalty)
        (found,) = made.predict(QUESTIONS[:1])
        assert found.hypotheses[0].token_ids == best.token_ids and found.log_prob == best.log_prob
        assert {h.log_prob for h in found.hypotheses} == {-1.0, -1.5}
