"""What finds passages in training and at test, and which learning rates have an effect."""

from __future__ import annotations

from typing import Any

import pytest

from rag_lightning.config.digesting import effective_training, settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig, check_generator
from rag_lightning.config.retrieval import RetrieverConfig, check_retriever, training_kind
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError

TRAIN = TrainConfig(retriever_lr=3.0, scale_lr=2.0)


def trained(train: TrainConfig, /, **changes: Any) -> TrainConfig:
    return effective_training(ExperimentConfig(train=train, retriever=RetrieverConfig(**changes)))


def model(train: TrainConfig, /, **changes: Any) -> dict[str, Any]:
    return settings(ExperimentConfig(train=train, retriever=RetrieverConfig(**changes)), "model")


@pytest.mark.parametrize(
    ("changes", "rates"),
    [
        ({}, (3.0, 2.0)),
        ({"kind": "oracle"}, (3.0, 2.0)),
        ({"kind": "bm25"}, (0.0, 2.0)),
        ({"kind": "random"}, (0.0, 0.0)),
        ({"kind": "random", "null_document": "bias"}, (0.0, 2.0)),
        ({"train": False}, (0.0, 0.0)),
        ({"kind": "bm25", "train": False}, (0.0, 0.0)),
        ({"kind": "bm25", "trained_with": "dense"}, (3.0, 2.0)),
        ({"kind": "dense", "trained_with": "bm25"}, (0.0, 2.0)),
    ],
)
def test_rates_of_what_is_not_there_or_frozen_are_zero(changes: dict[str, Any], rates: tuple[float, float]) -> None:
    found = trained(TRAIN, **changes)
    assert (found.retriever_lr, found.scale_lr) == rates
    assert found.lr == TRAIN.lr


def test_closed_book_trains_no_retriever() -> None:
    found = effective_training(ExperimentConfig(formulation="closed_book", train=TRAIN))
    assert (found.retriever_lr, found.scale_lr, found.lr) == (0.0, 0.0, TRAIN.lr)


@pytest.mark.parametrize(
    ("changes", "ahead"),
    [({}, True), ({"kind": "oracle"}, True), ({"train": False}, True), ({"kind": "bm25"}, False)],
)
def test_only_a_query_encoder_searches_a_step_ahead(changes: dict[str, Any], ahead: bool) -> None:
    assert trained(TrainConfig(retrieve_ahead=True), **changes).retrieve_ahead is ahead
    assert trained(TRAIN, **changes).retrieve_ahead is False


def test_two_ways_to_train_no_retriever_are_one_model() -> None:
    frozen = TrainConfig(retriever_lr=0.0, scale_lr=0.0)
    assert model(TRAIN, train=False) == model(frozen) == model(frozen, train=False) != model(TRAIN)


@pytest.mark.parametrize("kind", ["dense", "bm25", "oracle", "random"])
def test_the_retriever_of_training_is_the_same_named_or_not(kind: str) -> None:
    named = model(TRAIN, kind=kind, trained_with=kind)
    assert model(TRAIN, kind=kind) == named
    assert named == model(TRAIN, kind="bm25" if kind == "dense" else "dense", trained_with=kind)
    assert named["retriever.trained_with"] == kind


def test_a_model_with_passages_needs_some() -> None:
    with pytest.raises(ConfigError, match=r"retriever\.kind=none: rag_token needs passages"):
        check_retriever(RetrieverConfig(kind="none"), "rag_token")
    check_retriever(RetrieverConfig(kind="none"), "closed_book")
    with pytest.raises(ConfigError, match="null_document=bias: its logit is learnt beside the scores of dense"):
        check_retriever(RetrieverConfig(kind="bm25", trained_with="dense", null_document="bias"), "rag_token")
    assert training_kind(RetrieverConfig(kind="oracle", trained_with="random")) == "random"


def test_fid_trains_no_retriever_and_reads_with_an_encoder() -> None:
    def settings_of(train: TrainConfig, /, **changes: Any) -> dict[str, Any]:
        retriever = RetrieverConfig(**changes)
        return settings(ExperimentConfig(formulation="fid", train=train, retriever=retriever), "model")

    ahead = TrainConfig(retriever_lr=3.0, retrieve_ahead=True)
    assert settings_of(TRAIN) == settings_of(ahead) == settings_of(TRAIN, train=False)
    assert settings_of(TRAIN)["train.k"] == TRAIN.k and settings_of(TRAIN)["retriever.train"] is False
    with pytest.raises(ConfigError, match=r"null_document=bias: fid has no p\(z\|x\)"):
        check_retriever(RetrieverConfig(null_document="bias"), "fid")
    for wrong, why in (
        (GeneratorConfig(head="class_head"), "writes text"),
        (GeneratorConfig(template="prompt"), "no enc"),
    ):
        with pytest.raises(ConfigError, match=why):
            check_generator(wrong, "fid")
        check_generator(wrong, "rag_token")
