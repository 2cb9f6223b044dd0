"""What every registered implementation must do, whatever it is; a new one is tested by being registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.registries import INDEX_KINDS, TASKS
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.records import Prediction, read_jsonl
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.metrics.metric import parse_metric
from rag_lightning.runs.system import decodings, retrievers
from rag_lightning.stages import predict, retrieve, score, train
from rag_lightning.stages.workspace import Workspace
from tests.points import system
from tests.tiny_project import K_MAX, passages

UNFIT = ("ivf_pq", "opq_ivf_pq", "factory", "vectors", "given", "reranked")
"""Retrievers that need more passages, or options, files and models of their own."""


def at(config: SweepConfig, text: str) -> Workspace:
    return Workspace(system(config.experiment, text).config)


@pytest.mark.parametrize("retriever", [name for name in retrievers() if name not in UNFIT])
@pytest.mark.parametrize("state", ["pretrained", "warmed_up", "trained"])
def test_a_retriever_ranks_every_question(
    retriever: str, state: retrieve.EncoderState, tiny_sweep: SweepConfig
) -> None:
    workspace = at(tiny_sweep, f"rag_token/greedy/{retriever}/1")
    artifact = retrieve.build(workspace, "dev", state)
    rankings = retrieve.read(artifact)
    assert [r.example_id for r in rankings] == [f"q{i}" for i in range(40, 52)]
    for ranking in rankings:
        assert 1 <= len(ranking.rows) == len(set(ranking.rows)) <= K_MAX
        assert set(ranking.rows) <= set(range(len(passages())))
        assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
    assert artifact.info["score_scale"] > 0


@pytest.fixture(scope="module")
def encodings(tiny_sweep: SweepConfig) -> Iterator[Callable[[Workspace], Encodings]]:
    made: dict[str, Encodings] = {}

    def open_(workspace: Workspace) -> Encodings:
        model = train.build(workspace)
        if model.digest not in made:
            made[model.digest] = Encodings(train.load_generator(workspace), "float32")
        return made[model.digest]

    yield open_


LEFT_OUT = ("/classify", "_served")
"""Endings of decodings that need a head, or a server."""


@pytest.mark.parametrize(
    "decoding", [name for name in decodings() if not name.startswith("trivial/") and not name.endswith(LEFT_OUT)]
)
def test_a_decoding_answers_every_question(
    decoding: str, tiny_sweep: SweepConfig, encodings: Callable[[Workspace], Encodings]
) -> None:
    closed = decoding.startswith("closed_book")
    workspace = at(tiny_sweep, decoding if closed else f"{decoding}/flat/2")
    asked = predict.asked_questions(workspace, "dev")
    assert {len(question.rows) for question in asked} == {0 if closed else 2}
    predictions = predict.predict_all(predict.make_predictor(workspace, encodings(workspace), PairStore()), asked)
    assert [p.example_id for p in predictions] == [f"q{i}" for i in range(40, 52)]
    for found in predictions:
        log_probs = [hypothesis.log_prob for hypothesis in found.hypotheses]
        assert found.log_prob == log_probs[0] <= 0 and log_probs == sorted(log_probs, reverse=True)
        assert found.text == found.hypotheses[0].text


def test_a_smaller_k_is_a_prefix(
    tiny_sweep: SweepConfig, encodings: Callable[[Workspace], Encodings], tmp_path: Path
) -> None:
    """Rankings of k_max=5 cut at 2 give what rankings of k_max=2 give; the pair store changes nothing."""
    for decoding in ("rag_token/beam", "rag_sequence/thorough", "rag_sequence/fast"):
        workspace = at(tiny_sweep, f"{decoding}/hnsw/2")
        alone = workspace.with_config(retriever=replace(workspace.config.retriever, k_max=2))
        ranked = predict.asked_questions(workspace, "dev"), predict.asked_questions(alone, "dev")
        assert ranked[0] == ranked[1]
        at_five = workspace.with_config(decoding=replace(workspace.config.decoding, k=5))
        shared = PairStore(tmp_path / "pairs.sqlite")
        generator = encodings(workspace)
        predict.predict_all(predict.make_predictor(at_five, generator, shared), predict.asked_questions(at_five, "dev"))
        after = predict.predict_all(predict.make_predictor(workspace, generator, shared), ranked[0])
        fresh = predict.predict_all(
            predict.make_predictor(alone, Encodings(generator.generator), PairStore()), ranked[1]
        )
        assert [p.text for p in after] == [p.text for p in fresh]
        assert [p.log_prob for p in after] == pytest.approx([p.log_prob for p in fresh], abs=1e-5)
        shared.close()


@pytest.mark.parametrize(
    ("use", "near"),
    [
        (lambda: TASKS.get("ng"), "did you mean 'nq'"),
        (lambda: INDEX_KINDS.get("hsnw"), "did you mean 'hnsw'"),
        (lambda: parse_metric("anser_recall@5"), "did you mean 'answer_recall'"),
        (lambda: system(ExperimentConfig(), "rag_tokn/greedy/flat/1"), "did you mean 'rag_token/greedy'"),
        (lambda: system(ExperimentConfig(), "rag_token/greedy/bm52/1"), "did you mean 'bm25'"),
        (lambda: system(ExperimentConfig(), "rag_sequence/thorow/flat/5"), "did you mean 'rag_sequence/thorough'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(use: Callable[[], object], near: str) -> None:
    with pytest.raises(UnknownNameError, match=near):
        use()


def test_a_strategy_of_another_model_is_refused(tiny_sweep: SweepConfig) -> None:
    workspace = at(tiny_sweep, "rag_token/greedy/flat/1")
    wrong = workspace.with_config(decoding=replace(workspace.config.decoding, strategy="thorough"))
    with pytest.raises(ConfigError, match="does not decode rag_token; use greedy or beam or classify"):
        predict.build(wrong, "dev")


def test_predictions_are_scored_by_every_metric_of_the_task(tiny_sweep: SweepConfig) -> None:
    workspace = at(tiny_sweep, "rag_token/greedy/bm25/2")
    scored = score.build(workspace, "dev")
    assert {"em", "f1", "mrr", "answer_recall@1"} <= set(scored.info["metrics"])
    assert len(list(read_jsonl(predict.build(workspace, "dev").path / predict.PREDICTIONS, Prediction))) == 12
