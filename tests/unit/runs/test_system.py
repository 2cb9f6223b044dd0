"""A system's configuration, label and run folder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import RetrieverConfig
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.runs.evaluate import pairs, swap_notes
from rag_lightning.runs.identity import differing, run_digest
from rag_lightning.runs.system import Point, configure, label_of, make_system, retrieval_label
from tests.points import point, system

BASE = ExperimentConfig()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("rag_token/greedy/flat/5", "RAG-Token · flat · k=5 · greedy"),
        ("rag_sequence/thorough/bm25/10", "RAG-Sequence · bm25 · k=10 · thorough"),
        ("rag_sequence/first_entity/flat/1", "No reader · flat · k=1 · first_entity"),
        ("closed_book/greedy", "Closed book · greedy"),
    ],
)
def test_a_system_has_a_label(text: str, label: str) -> None:
    assert system(BASE, text).label == label == label_of(system(BASE, text).config)


def test_short_names_stand_for_fields() -> None:
    made = configure(BASE, {"decoding": "rag_token/beam", "retriever": "hnsw", "k": 2})
    assert (made.formulation, made.retriever.kind, made.index.kind) == ("rag_token", "dense", "hnsw")
    assert (made.decoding.strategy, made.decoding.k) == ("beam", 2)
    assert made.train == BASE.train and made.encoder == BASE.encoder
    swapped = configure(BASE, point("rag_sequence/fast/bm25/1"))
    assert (swapped.retriever.kind, swapped.index) == ("bm25", BASE.index)
    closed = configure(BASE, point("closed_book/greedy"))
    assert (closed.retriever.kind, closed.decoding.k) == ("none", BASE.decoding.k)
    assert configure(BASE, {}) == BASE


def test_any_field_can_be_set_and_is_shown() -> None:
    made = make_system(BASE, {"index.nprobe": 8, "train.lr": 1e-4, "task.train": ["a.tsv"], "train.trainer.devices": 2})
    config = made.config
    assert (config.index.options["nprobe"], config.train.lr, config.task.train) == (8, 1e-4, ("a.tsv",))
    assert config.train.trainer == {"devices": 2}
    for shown in ("index.nprobe=8", "train.lr=0.0001", 'task.train=["a.tsv"]', "train.trainer.devices=2"):
        assert shown in made.label
    assert retrieval_label(config, BASE) == "flat · index.nprobe=8"


def test_a_path_trains_with_a_retriever_and_a_short_name_swaps_it_in() -> None:
    trained, swapped = (configure(BASE, {name: "bm25"}).retriever for name in ("retriever.kind", "retriever"))
    assert (trained.kind, trained.trained_with) == ("bm25", "same")
    assert (swapped.kind, swapped.trained_with) == ("bm25", "dense")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"decoding.kk": 1}, UnknownNameError, "did you mean 'decoding.k'"),
        ({"retriver": "flat"}, UnknownNameError, "did you mean 'retriever'"),
        ({"train": {}}, UnknownNameError, "'train' is a section"),
        ({"folder": "elsewhere"}, UnknownNameError, "'folder' is no part of a system"),
        ({"retriever": "bm52"}, UnknownNameError, "did you mean 'bm25'"),
        ({"retriever": "dense"}, UnknownNameError, "unknown retriever 'dense'"),
        ({"decoding": "rag_token/thorough"}, UnknownNameError, "unknown decoding"),
        ({"decoding": "closed_book/greedy", "k": 5}, ConfigError, "uses no passages; remove k"),
        ({"k": 5, "decoding.k": 2}, ConfigError, "sets decoding.k more than once"),
        ({"retriever": "flat", "index.kind": "hnsw"}, ConfigError, "sets index.kind more than once"),
        ({"decoding.k": 0}, ConfigError, "decoding.k=0: must be at least 1"),
        ({"decoding.k": "five"}, ConfigError, "decoding.k=five: must be int"),
        ({"index.nprobe": 0}, ConfigError, "index.nprobe=0: must be at least 1"),
        ({"index.kind": "hsnw"}, UnknownNameError, "did you mean 'hnsw'"),
    ],
)
def test_a_point_that_cannot_be_used_is_refused(given: Point, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        configure(BASE, given)


@pytest.mark.parametrize(
    ("trains", "text", "kind", "trained_with", "label"),
    [
        ({}, "rag_token/greedy/bm25/5", "bm25", "dense", "RAG-Token · bm25 · k=5 · greedy"),
        ({}, "rag_token/greedy/oracle/5", "oracle", "dense", "RAG-Token · oracle · k=5 · greedy"),
        (
            {"kind": "bm25"}, "rag_token/greedy/bm25/5", "bm25", "same",
            "RAG-Token · bm25 · k=5 · greedy · trained with bm25",
        ),
        (
            {"kind": "oracle"}, "rag_token/greedy/flat/5", "dense", "oracle",
            "RAG-Token · flat · k=5 · greedy · trained with oracle",
        ),
        ({"train": False}, "rag_token/greedy/flat/5", "dense", "same", "RAG-Token · flat · k=5 · greedy · frozen"),
        ({"null_document": "bias"}, "rag_token/greedy/flat/5", "dense", "same",
         "RAG-Token · flat · k=5 · greedy · null document"),
        ({"kind": "bm25"}, "closed_book/greedy", "none", "same", "Closed book · greedy"),
    ],
)  # fmt: skip
def test_the_retriever_of_training_stays_and_is_shown(
    trains: dict[str, Any], text: str, kind: str, trained_with: str, label: str
) -> None:
    made = system(replace(BASE, retriever=RetrieverConfig(**trains)), text)
    assert (made.config.retriever.kind, made.config.retriever.trained_with) == (kind, trained_with)
    assert made.label == label


def test_a_retriever_that_was_swapped_in_is_a_note() -> None:
    def notes(text: str, **trains: Any) -> list[str]:
        return swap_notes(system(replace(BASE, retriever=RetrieverConfig(**trains)), text).config)

    assert notes("rag_token/greedy/bm25/5") == [
        "BM25 was swapped in at test: the model was trained with dense retrieval"
    ]
    assert notes("rag_token/greedy/bm25/5", kind="bm25") == [] == notes("closed_book/greedy")
    assert notes("rag_token/greedy/flat/5", kind="oracle") == [
        "Dense retrieval was swapped in at test: the model was trained with the oracle"
    ]


def test_a_run_id_is_readable_and_of_one_configuration() -> None:
    name = system(BASE, "rag_token/greedy/flat/5").run_id("dev")
    assert name.startswith("dev-rag-token-flat-k5-greedy-")
    others = [
        system(BASE, "rag_token/greedy/flat/5").run_id("test"),
        system(replace(BASE, seed=1), "rag_token/greedy/flat/5").run_id("dev"),
        system(replace(BASE, task=TaskConfig(limit=5)), "rag_token/greedy/flat/5").run_id("dev"),
        system(BASE, "rag_token/greedy/flat/2").run_id("dev"),
    ]
    assert len({name, *others}) == 5
    elsewhere = replace(BASE, folder="elsewhere", tracking_uri="sqlite:///x.db")
    assert system(elsewhere, "rag_token/greedy/flat/5").run_id("dev") == name
    closed = replace(BASE, formulation="closed_book")
    assert system(closed, "rag_token/greedy/flat/5").run_id("dev") == name, "a point says its own formulation"
    strange = make_system(BASE, {"decoding": "rag_token/greedy", "encoder.query_prefix": "../query: "})
    assert "/" not in strange.run_id("dev")


def test_training_has_a_part_in_the_digest() -> None:
    given: list[Point] = [
        {},
        {"retriever.kind": "bm25"},
        {"retriever.kind": "bm25", "retriever.train": False},
        {"generator.train": "lora"},
        {"generator.train": "lora", "generator.lora_rank": 2},
    ]
    token = {"decoding": "rag_token/greedy"}
    assert len({run_digest(configure(BASE, token | dict(more)), "dev") for more in given}) == len(given)
    kept = token | {"decoding.pair_store_mb": 9}
    assert run_digest(configure(BASE, kept), "dev") == run_digest(configure(BASE, token), "dev")


@pytest.mark.parametrize(
    ("text", "changes", "work"),
    [
        ("rag_token/greedy/flat/5", {}, (5, 1)),
        ("rag_token/beam/flat/5", {"decoding.num_beams": 3}, (5, 3)),
        ("rag_sequence/thorough/flat/2", {"decoding.passage_beams": 3}, (2, 3)),
        ("rag_sequence/fast/flat/2", {}, (2, 1)),
        ("rag_sequence/fast/flat/2", {"retriever.null_document": "bias"}, (3, 1)),
        ("rag_sequence/first_entity/flat/2", {}, (0, 1)),
        ("rag_sequence/classify/flat/2", {"decoding.passage_beams": 3}, (2, 1)),
        ("closed_book/beam", {"decoding.num_beams": 4}, (1, 4)),
    ],
)
def test_work_is_counted(text: str, changes: dict[str, Any], work: tuple[int, int]) -> None:
    config = configure(BASE, point(text) | changes)
    assert (pairs(config), config.decoding.made().beams) == work


def test_differences_are_dotted_names() -> None:
    assert differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}) == ["a.c", "d"]
