"""What finds passages in training and at test, and which rates are left."""

from __future__ import annotations

from typing import Any

import pytest

from rag_lightning.config.retrieval import (
    RetrieverConfig,
    applied_rates,
    check_retriever,
    retriever_settings,
    training_kind,
)
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.errors import ConfigError

TRAIN = TrainConfig(retriever_lr=3.0, scale_lr=2.0)


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
    found = applied_rates(TRAIN, RetrieverConfig(**changes))
    assert (found.retriever_lr, found.scale_lr) == rates
    assert found.lr == TRAIN.lr


@pytest.mark.parametrize(
    ("changes", "ahead"),
    [({}, True), ({"kind": "oracle"}, True), ({"train": False}, True), ({"kind": "bm25"}, False)],
)
def test_only_a_query_encoder_asks_a_step_ahead(changes: dict[str, Any], ahead: bool) -> None:
    found = applied_rates(TrainConfig(retrieve_ahead=True), RetrieverConfig(**changes))
    assert found.retrieve_ahead is ahead
    assert applied_rates(TRAIN, RetrieverConfig(**changes)).retrieve_ahead is False


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {"kind": "dense"}),
        ({"kind": "bm25", "trained_with": "dense"}, {"kind": "bm25"}),
        ({"kind": "bm25"}, {"kind": "bm25", "trained_with": "bm25"}),
        ({"kind": "none"}, {"kind": "none"}),
        ({"train": False, "null_document": "bias"}, {"kind": "dense", "train": False, "null_document": "bias"}),
    ],
)
def test_what_was_there_before_has_the_same_settings(changes: dict[str, Any], settings: dict[str, Any]) -> None:
    assert retriever_settings(RetrieverConfig(**changes)) == {"k_max": 20, **settings}


def test_a_model_with_passages_needs_some() -> None:
    with pytest.raises(ConfigError, match=r"retriever\.kind=none retrieves nothing, and rag_token needs passages"):
        check_retriever(RetrieverConfig(kind="none"), "rag_token")
    check_retriever(RetrieverConfig(kind="none"), "closed_book")
    with pytest.raises(ConfigError, match="null_document=bias is a logit beside the scores of dense retrieval"):
        check_retriever(RetrieverConfig(kind="bm25", trained_with="dense", null_document="bias"), "rag_token")
    assert training_kind(RetrieverConfig(kind="oracle", trained_with="random")) == "random"
