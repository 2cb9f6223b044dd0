"""A system's name, configuration and run folder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import RetrieverConfig
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.sweep.study import check
from rag_lightning.runs.system import System, identity
from rag_lightning.runs.evaluate import swapped

BASE = ExperimentConfig()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("rag_token/greedy/flat/5", "RAG-Token · flat · k=5 · greedy"),
        ("rag_sequence/thorough/bm25/10", "RAG-Sequence · bm25 · k=10 · thorough"),
        ("closed_book/greedy/none/0", "Closed book · greedy"),
    ],
)
def test_a_system_is_read_and_shown(text: str, label: str) -> None:
    system = System.parse(text)
    assert system.label == label
    assert "/".join((system.formulation, system.decoding, system.retriever, str(system.k))) == text


@pytest.mark.parametrize(
    "text", ["rag_token/greedy/flat", "rag_token/greedy/flat/five", "rag_token/greedy/flat/-1", ""]
)
def test_what_is_no_system_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(ConfigError, match="write formulation/strategy/retriever/k"):
        System.parse(text)


@pytest.mark.parametrize(
    "text",
    ["closed_book/greedy/flat/5", "closed_book/greedy/none/5", "rag_token/greedy/none/0", "rag_token/greedy/flat/0"],
)
def test_closed_book_goes_with_no_passages_and_rag_with_some(text: str) -> None:
    with pytest.raises(ConfigError, match="closed_book goes with none and 0 only"):
        System.parse(text)


def test_the_experiment_of_a_system() -> None:
    made = System.parse("rag_token/beam/hnsw/2").configure(BASE)
    assert (made.formulation, made.retriever.kind, made.index.kind) == ("rag_token", "dense", "hnsw")
    assert (made.decoding.strategy, made.decoding.k) == ("beam", 2)
    assert made.train == BASE.train and made.encoder == BASE.encoder
    words = System.parse("rag_sequence/fast/bm25/1").configure(BASE)
    assert (words.retriever.kind, words.index) == ("bm25", BASE.index)
    closed = System.parse("closed_book/greedy/none/0").configure(BASE)
    assert (closed.retriever.kind, closed.decoding.k) == ("none", BASE.decoding.k)


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
        ({"kind": "bm25"}, "closed_book/greedy/none/0", "none", "same", "Closed book · greedy"),
    ],
)  # fmt: skip
def test_what_it_is_trained_with_stays_and_is_said(
    trains: dict[str, Any], text: str, kind: str, trained_with: str, label: str
) -> None:
    base, system = replace(BASE, retriever=RetrieverConfig(**trains)), System.parse(text)
    made = system.configure(base).retriever
    assert (made.kind, made.trained_with) == (kind, trained_with)
    assert system.label_in(base) == label


def test_runs_made_before_there_was_a_choice_stay_known() -> None:
    """What run ids were digests of: kind and k_max alone, none of the later fields."""
    made = identity(System.parse("rag_token/greedy/bm25/5").configure(BASE))
    assert made["retriever"] == {"kind": "bm25", "k_max": 20}
    assert not {"system", "train_preset", "init_from", "generator_train"} & set(made)
    assert not {"train", "lora_rank", "lora_alpha"} & set(made["generator"])
    others = [
        replace(BASE, retriever=RetrieverConfig(kind="bm25")),
        replace(BASE, retriever=RetrieverConfig(train=False)),
        replace(BASE, retriever=RetrieverConfig(null_document="bias")),
        replace(BASE, init_from="elsewhere"),
        replace(BASE, generator=replace(BASE.generator, train="lora")),
        replace(BASE, generator=replace(BASE.generator, train="lora", lora_rank=2)),
    ]
    found = [System.parse("rag_token/greedy/bm25/5").run_id(base, "dev") for base in (BASE, *others[:2], *others[3:])]
    assert len(set(found)) == len(found)
    assert System.parse("rag_token/greedy/flat/5").run_id(others[2], "dev") not in found


def test_a_swapped_in_retriever_is_a_note() -> None:
    def notes(text: str, **trains: Any) -> list[str]:
        return swapped(System.parse(text).configure(replace(BASE, retriever=RetrieverConfig(**trains))))

    assert notes("rag_token/greedy/bm25/5") == [
        "BM25 was swapped in at test: the model was trained with dense retrieval"
    ]
    assert notes("rag_token/greedy/bm25/5", kind="bm25") == [] == notes("closed_book/greedy/none/0")
    assert notes("rag_token/greedy/flat/5", kind="oracle") == [
        "Dense retrieval was swapped in at test: the model was trained with the oracle"
    ]


def test_a_run_id_is_readable_and_of_one_configuration() -> None:
    system = System.parse("rag_token/greedy/flat/5")
    name = system.run_id(BASE, "dev")
    assert name.startswith("dev-rag_token-greedy-flat-k5-")
    others = [
        system.run_id(BASE, "test"),
        system.run_id(replace(BASE, seed=1), "dev"),
        system.run_id(replace(BASE, task=TaskConfig(limit=5)), "dev"),
        System.parse("rag_token/greedy/flat/2").run_id(BASE, "dev"),
    ]
    assert len({name, *others}) == 5
    assert system.run_id(replace(BASE, folder="elsewhere", tracking_uri="sqlite:///x.db"), "dev") == name
    assert system.run_id(replace(BASE, formulation="closed_book"), "dev") == name, "a trial says its own formulation"


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"trials": 0}, ConfigError, "trials >= 1"),
        ({"k": ()}, ConfigError, "at least one k"),
        ({"retriever": ("flatt",)}, UnknownNameError, "did you mean 'flat'"),
        ({"decoding": ("rag_token/thorough",)}, UnknownNameError, "unknown decoding"),
        ({"decoding": ("closed_book/greedy",)}, ConfigError, "closed_book goes with none"),
        ({"k": (1, 50)}, ConfigError, "k=50 exceeds experiment.retriever.k_max=20"),
        ({"always": ("rag_token/greedy/flat/50",)}, ConfigError, "k=50 exceeds"),
        ({"always": ("rag_token/flat/5",)}, ConfigError, "write formulation"),
        ({"objective": "emm"}, UnknownNameError, "did you mean 'em'"),
        (
            {"experiment": ExperimentConfig(retriever=RetrieverConfig(null_document="bias"))},
            ConfigError,
            "null_document=bias is a logit beside the scores of dense retrieval, and retriever.kind=bm25 has others",
        ),
    ],
)
def test_a_search_space_is_checked_before_anything_runs(
    changes: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        check(replace(SweepConfig(), **changes))  # type: ignore[arg-type]


def test_the_default_space_is_the_issues() -> None:
    assert len(check(SweepConfig())) == 5 * 6 * 4 + 2
