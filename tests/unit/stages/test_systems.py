"""Every kind of system from training to scores, and what its artifacts say; the tiny project, its stages shared."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Prediction, read_jsonl
from rag_lightning.stages import ask, corpus, cost, examples, export_model, predict, reader, retrieve, score, train
from tests.systems import inputs, of


@pytest.mark.parametrize(
    ("formulation", "kind"),
    [*product(["rag_token", "rag_sequence"], ["dense", "bm25", "oracle", "random"]), ("fid", "dense"), ("fid", "bm25")],
)
def test_it_is_trained_asked_and_scored(project: ExperimentConfig, kind: str, formulation: str) -> None:
    strategy = "thorough" if formulation == "rag_sequence" else "greedy"
    decoding: Any = replace(project.decoding, strategy=strategy)
    workspace = of(project, kind=kind, formulation=formulation, decoding=decoding)
    model = train.build(workspace)
    assert model.info["dev_score"] is not None and model.info["score_scale"] > 0
    assert model.info.get("retriever", "dense") == kind
    assert (model.path / "query_encoder").is_dir() == (kind in ("dense", "oracle"))
    assert len(list(read_jsonl(predict.build(workspace, "dev").path / predict.PREDICTIONS, Prediction))) == 12
    summary = json.loads((score.build(workspace, "dev").path / score.SUMMARY).read_text())
    assert summary["metrics"]["em"]["n"] == 12
    if kind == "oracle":
        assert summary["metrics"]["gold_recall@1"]["mean"] == 100
    assert cost.build(workspace).info["questions"] == cost.QUESTIONS
    assert len(ask.answer(workspace, "what is the capital of b0a").passages) == 2


def test_a_manifest_names_what_decides_the_model(project: ExperimentConfig) -> None:
    model = train.build(of(project))
    settings = model.manifest["config"]
    sections = {name.partition(".")[0] for name in settings}
    assert sections == {"formulation", "seed", "task", "encoder", "retriever", "generator", "train", "labels"}
    assert inputs(model) == {"reader", "examples", "corpus", "vectors", "index", "query_model"}
    own = {"generator.train", "generator.lora_rank", "generator.lora_alpha"}
    warmed = reader.build(of(project)).manifest["config"]
    assert own <= set(settings) and not own & set(warmed)
    assert {n: v for n, v in warmed.items() if n.startswith("generator.")} == {
        n: v for n, v in settings.items() if n.startswith("generator.") and n not in own
    }


def test_bm25_swapped_in_is_the_dense_model_and_another_than_trained_with_bm25(project: ExperimentConfig) -> None:
    dense, swapped = of(project), of(project, kind="bm25", trained_with="dense")
    own = of(project, kind="bm25")
    assert train.build(swapped).digest == train.build(dense).digest != train.build(own).digest
    assert inputs(train.build(own)) == {"reader", "examples", "corpus", "bm25", "bm25_scale"}
    tuned = retrieve.build(swapped, "dev")
    learnt = retrieve.build(own, "dev")
    assert inputs(tuned) == {"examples", "corpus", "bm25", "bm25_scale"}
    assert inputs(learnt) == {"examples", "corpus", "bm25", "model"}
    assert [r.rows for r in retrieve.read(tuned)] == [r.rows for r in retrieve.read(learnt)]
    assert learnt.info["score_scale"] == train.build(own).info["score_scale"] != tuned.info["score_scale"]
    assert predict.build(swapped, "dev").digest != predict.build(own, "dev").digest
    given = of(project, kind="bm25", train=False, bm25=replace(project.bm25, score_scale=0.7))
    assert train.build(given).info["score_scale"] == pytest.approx(0.7), "not trained, it stays"


def test_dense_swapped_in_for_a_model_without_a_query_encoder_is_as_before_training(project: ExperimentConfig) -> None:
    swapped = of(project, kind="dense", trained_with="random")
    assert retrieve.build(swapped, "dev").digest == retrieve.build(of(project), "dev", "warmed_up").digest
    with pytest.raises(ConfigError, match="trained with random has no query encoder"):
        export_model.check(swapped)


def test_questions_cut_for_retrieval_are_counted_and_announced(project: ExperimentConfig) -> None:
    said: list[str] = []
    short = of(project, said).with_config(encoder=replace(project.encoder, max_query_length=5))
    ranked = retrieve.build(short, "dev", "pretrained")
    assert ranked.info["queries_cut"] == ranked.info["questions"] == 12
    line = "12 of 12 questions are truncated to 5 tokens for retrieval (encoder.max_query_length)"
    assert said.count(line) == 1
    said.clear()
    assert retrieve.build(of(project, said), "dev", "pretrained").info["queries_cut"] == 0
    assert not any("truncated" in line for line in said)
    lexical = of(project, kind="bm25").with_config(bm25=replace(project.bm25, score_scale=1.0))
    assert "queries_cut" not in retrieve.build(lexical, "dev", "pretrained").info


def test_frozen_is_both_rates_at_zero(project: ExperimentConfig) -> None:
    frozen = of(project, train=False)
    rates = of(project).with_config(train=replace(project.train, retriever_lr=0.0, scale_lr=0.0))
    assert train.build(frozen).digest == train.build(rates).digest != train.build(of(project)).digest
    before = retrieve.open_retriever(frozen, "warmed_up")
    after = retrieve.open_retriever(frozen)
    assert after[1] == pytest.approx(before[1], rel=1e-6)
    asked = examples.read(frozen, "dev")
    assert [h.rows.tolist() for h in after[0].retrieve(asked, 5)] == [
        h.rows.tolist() for h in before[0].retrieve(asked, 5)
    ]


def test_fid_trains_no_retriever_and_says_so(project: ExperimentConfig) -> None:
    said: list[str] = []
    k3 = replace(project.train, k=3)
    workspace, frozen = (of(project, said, formulation="fid", train=t).with_config(train=k3) for t in (True, False))
    model = train.build(workspace)
    assert "fid does not train its retriever, so retrieval is not watched" in said
    assert train.STAGE.digest(frozen) == model.digest
    history = (model.path / "history.jsonl").read_text()
    assert "dev_score" in history and "unique_passage_ratio" not in history and "query_gradient_norm" not in history
    asked = examples.read(workspace, "dev")
    now, before = (
        retrieve.open_retriever(workspace, state)[0].retrieve(asked, 5) for state in ("trained", "warmed_up")
    )
    assert [h.rows.tolist() for h in now] == [h.rows.tolist() for h in before]
    answer = ask.answer(workspace, "what is the capital of b0a")
    assert len(answer.passages) == 2 and not answer.posteriors and not answer.tokens


def test_the_oracle_says_of_how_many_questions_it_knew_nothing(project: ExperimentConfig) -> None:
    said: list[str] = []
    workspace = of(project, said, kind="oracle", seed=5)
    trained, ranked = train.build(workspace).info["gold"], retrieve.build(workspace, "dev").info["gold"]
    assert trained == {"questions": 40, "with_gold": 37, "without_gold": 3}
    assert ranked == {"questions": 12, "with_gold": 11, "without_gold": 1}
    told = " ".join(said)
    assert "oracle, training: 37 of 40 questions have a known gold passage; the other 3 use plain" in told
    assert "oracle, dev: 11 of 12 questions" in told
    store, rankings = corpus.open_store(workspace), retrieve.read(retrieve.build(workspace, "dev"))
    for example, ranking in zip(examples.read(workspace, "dev"), rankings, strict=True):
        gold = [store.row(name) for name in example.gold_passage_ids]
        assert ranking.rows[0] in (gold or ranking.rows) and len(set(ranking.rows)) == 5


def test_random_passages_are_the_same_for_every_model(project: ExperimentConfig) -> None:
    digests = {retrieve.build(of(project, kind="random", trained_with=w), "dev").digest for w in ("same", "dense")}
    assert len(digests) == 1
    other = retrieve.build(of(project, kind="random", trained_with="dense", seed=1), "dev")
    assert other.digest not in digests and other.info["score_scale"] == 1.0


@pytest.mark.parametrize("formulation", ["rag_token", "rag_sequence"])
def test_a_null_document_is_trained_and_read(project: ExperimentConfig, formulation: str) -> None:
    strategy: Any = "thorough" if formulation == "rag_sequence" else "greedy"
    decoding = replace(project.decoding, strategy=strategy)
    workspace = of(project, null_document="bias", formulation=formulation, decoding=decoding)
    bias = train.build(workspace).info["null_bias"]
    asked = predict.asked_questions(workspace, "dev")
    assert all(q.null_score == bias and len(q.rows) == 2 and len(q.logits) == 3 for q in asked)
    made = list(read_jsonl(predict.build(workspace, "dev").path / predict.PREDICTIONS, Prediction))
    if formulation == "rag_sequence":
        assert {len(h.passage_log_probs) for p in made for h in p.hypotheses} == {3}
    shown = ask.answer(workspace, "what is the capital of b0a")
    assert shown.passages[-1] is ask.EMPTY and len(shown.priors) == 3 and sum(shown.priors) == pytest.approx(1)
    with pytest.raises(ConfigError, match="null_document: transformers' RAG has no null document"):
        export_model.check(workspace)
    with pytest.raises(ConfigError, match="null_document=bias: its logit is learnt beside the scores of dense"):
        train.build(of(project, kind="bm25", trained_with="dense", null_document="bias"))
    with pytest.raises(ConfigError, match="null_document=bias: its logit is learnt beside the scores of dense"):
        retrieve.build(of(project, kind="bm25", trained_with="dense", null_document="bias"), "dev")


def test_a_model_with_passages_is_not_trained_without_a_retriever(project: ExperimentConfig) -> None:
    with pytest.raises(ConfigError, match=r"retriever\.kind=none: rag_token needs passages"):
        train.build(of(project, kind="none"))
