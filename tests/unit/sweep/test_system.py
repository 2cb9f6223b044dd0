"""A system's name, configuration and run folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag_lightning.core.config import ExperimentConfig, SweepConfig, TaskConfig
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.sweep.study import check
from rag_lightning.sweep.system import System

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
    ],
)
def test_a_search_space_is_checked_before_anything_runs(
    changes: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        check(replace(SweepConfig(), **changes))  # type: ignore[arg-type]


def test_the_default_space_is_the_issues() -> None:
    assert len(check(SweepConfig())) == 5 * 6 * 4 + 2
