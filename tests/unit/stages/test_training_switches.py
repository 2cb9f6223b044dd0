"""Switches of a training: which of them make another model, and whether they train at all."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.training import ReaderConfig, RetrieverWarmupConfig
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.stages import train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.training.live_retrieval import SearchAhead


def switched(config: ExperimentConfig, **switches: Any) -> Workspace:
    return Workspace(replace(config, train=replace(config.train, **switches)))


def test_recomputed_activations_are_no_other_model(tiny_copy: SweepConfig) -> None:
    base = replace(tiny_copy.experiment, formulation="rag_token")
    assert train.build(switched(base, checkpoint_encoder=True)).digest == train.build(Workspace(base)).digest


def test_passages_one_step_ahead_are_another_model(tiny_copy: SweepConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def rows(self: SearchAhead, now: Any, real: Any = SearchAhead.rows) -> Any:
        asked.append(now)
        return real(self, now)

    monkeypatch.setattr(SearchAhead, "rows", rows)
    base = replace(tiny_copy.experiment, formulation="rag_token")
    plain, ahead = train.build(Workspace(base)), train.build(switched(base, retrieve_ahead=True))
    assert ahead.digest != plain.digest and len(asked) == base.train.steps
    history = [json.loads(line) for line in (ahead.path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history if "dev_score" in row] == [2, 4]


def test_where_no_query_encoder_asks_it_is_the_same_model(tiny_copy: SweepConfig) -> None:
    closed = replace(tiny_copy.experiment, formulation="closed_book")
    assert train.build(switched(closed, retrieve_ahead=True)).digest == train.build(Workspace(closed)).digest


def test_dev_is_decoded_as_long_as_targets_are_in_the_type_of_training(
    tiny_copy: SweepConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def encodings(generator: Any, dtype: str) -> Encodings:
        seen.append(dtype)
        return Encodings(generator, dtype)

    def predictor(formulation: Any, encodings: Any, decoding: Any, *rest: Any) -> Predictor:
        seen.append((decoding.max_length, decoding.strategy))
        return Predictor(formulation, encodings, decoding, *rest)

    monkeypatch.setattr(train, "Encodings", encodings)
    monkeypatch.setattr(train, "Predictor", predictor)
    base = replace(tiny_copy.experiment, formulation="closed_book")
    config = replace(
        base,
        train=replace(base.train, dtype="bfloat16", steps=1, eval_every=1),
        decoding=DecodingConfig("beam", {"max_length": 1}, dtype="float32"),
    )
    train.build(Workspace(config))
    assert set(seen) == {"bfloat16", (base.generator.max_target_length, "greedy")}


def test_sections_have_only_the_switches_that_they_use() -> None:
    names = {section: {one.name for one in fields(section)} for section in (ReaderConfig, RetrieverWarmupConfig)}
    assert not {"retrieve_ahead", "retriever_lr", "k"} & names[ReaderConfig]
    assert not {"retrieve_ahead", "label_smoothing", "trainer"} & names[RetrieverWarmupConfig]
