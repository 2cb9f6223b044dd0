"""Hybrid and reranked retrieval as stages: what is fitted, what counts, and how p(z|x) is scaled."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import RetrieverConfig, training_kind
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import ConfigError
from rag_lightning.runs.evaluate import index_bytes
from rag_lightning.runs.system import configure
from rag_lightning.stages import bm25, index, retrieve, train
from rag_lightning.stages.workspace import Workspace


def at(project: ExperimentConfig, kind: str, **options: Any) -> Workspace:
    retriever = RetrieverConfig(kind, k_max=project.retriever.k_max, options=options)
    return Workspace(replace(project, retriever=retriever), lambda line: None)


def ranked(work: Workspace) -> Artifact:
    return retrieve.build(work, "dev", "pretrained")


def test_the_weight_of_bm25_is_fitted_once_on_dev(project: ExperimentConfig) -> None:
    fitted, given, fused = (
        at(project, "hybrid"),
        at(project, "hybrid", bm25_weight=0.5),
        at(project, "hybrid", fusion="rrf"),
    )
    made = ranked(fitted)
    weights = retrieve.weight_stage("pretrained")
    weight = weights.open(fitted)
    assert weight is not None and weight.digest == made.manifest["inputs"]["hybrid_weight"]
    assert weight.info["weight"] >= 0 and weight.info["questions"] > 0
    assert weights.digest(fitted.on("test")) == weight.digest, "one for all splits"
    for work in (given, fused):
        assert "hybrid_weight" not in ranked(work).manifest["inputs"]
    assert len({one.digest for one in (made, ranked(given), ranked(fused))}) == 3
    scores = [hits.scores for hits in retrieve.read(ranked(given))]
    assert all(list(one) == sorted(one, reverse=True) for one in scores)
    same = at(project, "hybrid", bm25_weight=weight.info["weight"])
    assert not weight.info["weight"] or retrieve.read(ranked(same)) == retrieve.read(made)


def test_a_hybrid_pays_for_both_indexes(project: ExperimentConfig) -> None:
    work = at(project, "hybrid")
    assert index_bytes(work) == index.build(work).info["bytes"] + bm25.build(work).info["bytes"]


def test_a_cross_encoder_gives_the_logits_of_p_z_x(project: ExperimentConfig, reranker: Path, tmp_path: Path) -> None:
    work, dense = at(project, "reranked", reranker=str(reranker), rerank=8), at(project, "dense")
    made = ranked(work)
    assert made.info["score_scale"] == 1.0 != ranked(dense).info["score_scale"]
    first = [set(one.rows) for one in retrieve.read(retrieve.build(at(project, "dense"), "dev", "pretrained"))]
    assert any(set(a.rows[:2]) != b for a, b in zip(retrieve.read(made), first, strict=True))
    copied = shutil.copytree(reranker, tmp_path / "elsewhere")
    assert (
        retrieve.stage("pretrained").digest(at(project, "reranked", reranker=str(copied), rerank=8).on("dev"))
        == made.digest
    )
    weights = bytearray((copied / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copied / "model.safetensors").write_bytes(weights)
    other = at(project, "reranked", reranker=str(copied), rerank=8)
    assert retrieve.stage("pretrained").digest(other.on("dev")) != made.digest
    with pytest.raises(ConfigError, match=r"needs retriever\.reranker"):
        ranked(at(project, "reranked"))


@pytest.mark.parametrize("kind", ["hybrid", "reranked"])
def test_the_model_is_that_of_dense_training(project: ExperimentConfig, reranker: Path, kind: str) -> None:
    options = {"reranker": str(reranker)} if kind == "reranked" else {}
    work = at(project, kind, **options)
    assert training_kind(work.config.retriever) == "dense"
    assert train.STAGE.digest(work) == train.STAGE.digest(at(project, "dense"))
    inputs = retrieve.stage("trained").at(work.on("dev")).inputs
    assert "model" in inputs and "query_model" not in inputs, "the trained query encoder searches"
    swept = configure(project, {"retriever": kind})
    assert train.STAGE.digest(Workspace(swept)) == train.STAGE.digest(at(project, "dense"))
    assert np.isfinite(list(retrieve.read(ranked(work))[0].scores)).all()
